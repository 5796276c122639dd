from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.check.rules import RULES
from liftlock.model.lock import LockMode
from liftlock.model.manifest import Manifest
from liftlock.model.operation import Operation, first_words
from liftlock.model.revision import Chain, Revision, SchemaState, schema_state
from liftlock.shadow.result import RevisionResult

CHAIN = Chain.of([Revision("a"), Revision("b", ("a",)), Revision("c", ("b",))])


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
)
def test_standing(current: set[str], applied: list[Revision], expected: SchemaState) -> None:
    """What is asked is whether the database has what the build requires, not whether it is exactly there."""
    assert schema_state(CHAIN, frozenset({"c"}), frozenset(current), Chain.of(applied)) is expected


def test_a_build_of_an_older_head_is_content_with_a_later_one() -> None:
    """An image that requires b works on a database at c."""
    assert schema_state(CHAIN, frozenset({"b"}), frozenset({"c"}), Chain()) is SchemaState.HEAD


def test_heads_and_ancestors_follow_branches_and_dependencies() -> None:
    """depends_on counts for what must be there, not for what is a head."""
    chain = Chain.of([Revision("a"), Revision("b", ("a",)), Revision("x", (), ("a",))])
    assert chain.heads == {"b", "x"}
    assert chain.ancestors(["x"]) == {"x", "a"}


@given(st.lists(st.text(max_size=5), unique=True))
def test_a_manifest_comes_back_as_it_was(ids: list[str]) -> None:
    """Whatever the identifiers."""
    chain = Chain.of(
        Revision(one, tuple(ids[:index][-1:]), message="it's") for index, one in enumerate(ids)
    )
    manifest = Manifest("public.alembic_version", chain, chain.heads, {"a.py": 3}, {}, {}, "18.1")
    assert Manifest.loads(manifest.dumps()) == manifest


def test_a_manifest_of_another_format_is_refused() -> None:
    """Rather than misread."""
    with pytest.raises(ValueError, match="format"):
        Manifest.loads('{"format": 99}')


def test_an_operation_is_known_again_by_its_shape() -> None:
    """Literals differ between attempts (a random default); the shape doesn't."""
    one = Operation("execute", None, "UPDATE t SET a = 'x''y', b = 1.5")
    other = Operation("execute", None, "UPDATE  t SET a = 'z', b = 22")
    assert one.shape == other.shape
    assert one.fingerprint != other.fingerprint


def test_locks_say_whom_they_block() -> None:
    """By the table of conflicts in PostgreSQL's manual."""
    assert LockMode.ACCESS_EXCLUSIVE.blocks == "reads and writes"
    assert LockMode.SHARE.blocks == "writes"
    assert LockMode.SHARE_UPDATE_EXCLUSIVE.blocks == "nothing"


def test_the_order_of_a_set_is_not_volatile() -> None:
    """SQLAlchemy makes the indexes of a table in the order of a set, which is another in each process."""
    rule = next(one for one in RULES if one.code == "LL-NOT-DETERMINISTIC")
    first, second = (
        Operation("create_index", "t", f"CREATE INDEX {name} ON t (a)") for name in ("a", "b")
    )
    revision = Revision("r1")
    assert (
        list(
            rule.judge(
                RevisionResult(revision, "", (first, second), again=(second, first)), "plain"
            )
        )
        == []
    )
    assert (
        list(
            rule.judge(RevisionResult(revision, "", (first, first), again=(first, second)), "plain")
        )
        != []
    )


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("", []),
        ("  -- why\n/* and how */ (select 1)", ["SELECT", "1)"]),
        ("SET\nLOCAL x = 1", ["SET", "LOCAL"]),
        ("-- it\nDELETE FROM t; TRUNCATE t", ["DELETE", "FROM"]),
        ("TRUNCATE;", ["TRUNCATE"]),
    ],
)
def test_the_first_words_of_a_statement(sql: str, expected: list[str]) -> None:
    """Behind comments and parentheses, whatever stands between them."""
    assert first_words(sql, 2) == expected
    assert first_words(sql) == expected[:1]
