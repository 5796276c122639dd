"""Comparison of two dumps, definition by definition."""

from __future__ import annotations

import pytest

from liftlock.commands.drift import compare_dumps

EXPECTED = """CREATE TABLE public.t (
    id integer NOT NULL,
    a text
);
CREATE INDEX i ON public.t USING btree (a);
"""


@pytest.mark.parametrize(
    ("actual", "differences"),
    [
        (EXPECTED, []),
        (
            EXPECTED.replace("    a text\n", "    a text,\n    b text\n"),
            [
                ("missing", "TABLE public.t: a text"),
                ("extra", "TABLE public.t: a text,"),
                ("extra", "TABLE public.t: b text"),
            ],
        ),
        (
            EXPECTED.replace("CREATE INDEX i ON public.t USING btree (a);\n", ""),
            [("missing", "CREATE INDEX i ON public.t USING btree (a)")],
        ),
    ],
)
def test_compare_dumps(actual: str, differences: list[tuple[str, str]]) -> None:
    """A table's columns are compared one by one."""
    found = [
        (difference.kind, difference.what)
        for difference in compare_dumps(EXPECTED, actual)
        if difference.what
    ]
    assert sorted(found) == sorted(differences)
