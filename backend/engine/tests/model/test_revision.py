"""Chains of revisions, and the state of a database compared with a build."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from liftlock.model.revision import Chain, Revision, SchemaState, schema_state

CHAIN = Chain.of([Revision("a"), Revision("b", ("a",)), Revision("c", ("b",))])
BRANCHES = Chain.of([Revision("a"), Revision("b", ("a",)), Revision("x", (), ("a",))])


@pytest.mark.parametrize(
    ("current", "applied", "expected"),
    [
        ({"c"}, [], SchemaState.HEAD),
        ({"b"}, [], SchemaState.BEHIND),
        (set(), [], SchemaState.BEHIND),
        ({"d"}, [Revision("d", ("c",))], SchemaState.NEWER),
        ({"d"}, [], SchemaState.FOREIGN),
        ({"x"}, [Revision("x", ("b",))], SchemaState.FOREIGN),
        ({"c", "y"}, [Revision("y")], SchemaState.NEWER),
    ],
    ids=["head", "behind", "empty", "newer", "unknown", "other branch", "head and another"],
)
def test_schema_state(current: set[str], applied: list[Revision], expected: SchemaState) -> None:
    """A database satisfies a build when it has the required revisions, and may have others."""
    applied_chain = Chain.of(applied)
    assert schema_state(CHAIN, frozenset({"c"}), frozenset(current), applied_chain) is expected


def test_older_build_accepts_a_later_revision_that_it_knows() -> None:
    """An image that requires b works on a database at c."""
    assert schema_state(CHAIN, frozenset({"b"}), frozenset({"c"}), Chain()) is SchemaState.HEAD


def test_depends_on_does_not_make_a_head() -> None:
    """A revision that others only depend on stays the head of its branch."""
    assert BRANCHES.heads == {"b", "x"}


def test_ancestors_include_depends_on() -> None:
    """A dependency must be applied, like a parent."""
    assert BRANCHES.ancestors(["x"]) == {"x", "a"}


def test_ancestors_skip_unknown_revisions() -> None:
    """A revision that was deleted from the project has no ancestors."""
    assert CHAIN.ancestors(["unknown", "b"]) == {"b", "a"}
    assert Chain.of([Revision("b", ("deleted",))]).ancestors(["b"]) == {"b"}


def test_revision_round_trip() -> None:
    """JSON has lists for tuples."""
    revision = Revision("b", ("a",), ("x",), "add person", ("main",))
    row = {**asdict(revision), "down": ["a"], "depends_on": ["x"], "labels": ["main"]}
    assert Revision.from_dict(row) == revision
    with pytest.raises(KeyError):
        Revision.from_dict({"id": "b"})
