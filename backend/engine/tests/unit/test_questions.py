"""What a real database is asked, and what is kept from the revisions."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from liftlock.commands.keeper import without_address
from liftlock.planning.questions import Question, Rows, statement

ASKED = Question(Rows.ORPHANED, 's."T""x"', ('a"b', "c:d"), ("id",), "other", ("x", "y"))


@pytest.mark.parametrize("rows", Rows)
def test_a_question_survives_being_written_down(rows: Rows) -> None:
    """As JSON, between two processes."""
    asked = replace(ASKED, rows=rows, type="integer")
    assert Question.from_dict(json.loads(json.dumps(asdict(asked)))) == asked
    assert statement(asked).startswith("SELECT ")


def test_names_are_quoted() -> None:
    """Those of columns whatever they hold; a colon is no parameter."""
    assert 't."a""b" IS NOT NULL AND t."c\\:d" IS NOT NULL' in statement(ASKED)


@pytest.mark.parametrize(
    "name",
    ["t; DROP TABLE t", "t, u", "t AS x", "", "(SELECT 1)", '"a"b', '"a', "a.b.c", "T", "t(1)", "t\n", '""', '"a\0"', "pg_sleep(1)", "t--"],
)
def test_what_is_no_name_of_a_table_is_not_asked(name: str) -> None:
    """Neither as the table nor as what it refers to."""
    for asked in (replace(ASKED, table=name), replace(ASKED, refers=name)):
        with pytest.raises(ValueError, match="no name of a table"):
            statement(asked)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_what_is_no_name_of_a_column_is_not_asked(name: str) -> None:
    """Neither in the key."""
    for asked in (replace(ASKED, columns=(name, "b")), replace(ASKED, key=(name,))):
        with pytest.raises(ValueError, match="no name of a column"):
            statement(asked)


@pytest.mark.parametrize("given", [["--data-url", "postgresql://u:secret@h/d"], ["--data-url=postgresql://u:secret@h/d"]])
def test_the_address_is_taken_out_of_the_arguments(given: list[str]) -> None:
    """In both forms, wherever it stands."""
    around = ["-P", "/bin/liftlock", "-c", "a.ini", "check"], ["--chain", "-o", "json=x"]
    assert without_address([*around[0], *given, *around[1]]) == [*around[0], *around[1]]
    assert without_address([*around[0], *around[1], *given]) == [*around[0], *around[1]]
    assert without_address(["check"]) == ["check"]
