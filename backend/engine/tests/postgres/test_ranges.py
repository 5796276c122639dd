from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from liftlock.postgres.cursor import Position
from liftlock.postgres.ranges import Blocks, Keys, ranges_of, reads_blocks, without_only

KEYS = Keys([{"name": "tenant", "type": "uuid"}, {"name": "Order", "type": "bigint"}])


class Answers:
    """A connection that returns the same rows for each statement, and keeps the statements."""

    def __init__(self, *rows: Mapping[str, Any]) -> None:
        self._rows = rows
        self.statements: list[str] = []

    def __call__(
        self, statement: str, _parameters: Mapping[str, object]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the rows."""
        self.statements.append(statement)
        return self._rows


def test_a_range_of_keys_compares_rows() -> None:
    """Keys are bound as texts and cast to the types of the columns."""
    condition = KEYS.between(("a", "1"), ("b", "2"))
    assert condition.sql == (
        '("tenant", "Order") > (CAST(CAST(:ll_a0 AS text) AS uuid), CAST(CAST(:ll_a1 AS text) AS'
        ' bigint)) AND ("tenant", "Order") <= (CAST(CAST(:ll_b0 AS text) AS uuid),'
        " CAST(CAST(:ll_b1 AS text) AS bigint))"
    )
    assert condition.parameters == {"ll_a0": "a", "ll_a1": "1", "ll_b0": "b", "ll_b1": "2"}


def test_the_first_range_of_keys_has_no_lower_bound() -> None:
    """Its start is None."""
    condition = Keys([{"name": "id", "type": "integer"}]).between(None, ("9",))
    assert condition.sql == 'true AND ("id") <= (CAST(CAST(:ll_b0 AS text) AS integer))'
    assert condition.parameters == {"ll_b0": "9"}


def test_locked_rows_are_selected_by_their_keys() -> None:
    """All keys are one parameter."""
    condition = KEYS.among([("a", "1"), ("b", "2")])
    assert condition.sql.startswith('("tenant", "Order") IN (SELECT CAST(ll_one ->> 0 AS uuid)')
    assert condition.parameters == {"ll_keys": '[["a", "1"], ["b", "2"]]'}


def test_the_end_of_a_range_of_keys_is_its_last_key() -> None:
    """None after the last row."""
    execute = Answers({"k0": "a", "k1": "5"})
    assert KEYS.end(execute, "item", None, 100) == ("a", "5")
    assert 'ORDER BY "tenant", "Order" LIMIT 100' in execute.statements[0]
    assert 'ORDER BY "tenant" DESC, "Order" DESC LIMIT 1' in execute.statements[0]
    assert KEYS.end(Answers(), "item", ("a", "5"), 100) is None


@pytest.mark.parametrize(
    ("start", "size", "blocks", "end"),
    [
        (None, 1_000, 100, 20),
        (90, 1_000, 100, 100),
        (100, 1_000, 100, None),
        (None, 1, 100, 1),
        (None, 1_000, 0, None),
    ],
)
def test_the_end_of_a_range_of_blocks(
    start: Position | None, size: int, blocks: int, end: int | None
) -> None:
    """Fifty rows a block are assumed, at least one block, and at most those of the table."""
    assert Blocks().end(Answers({"blocks": blocks}), "item", start, size) == end


def test_a_range_of_blocks_compares_ctid() -> None:
    """Without parameters."""
    condition = Blocks().between(None, 20)
    assert condition.sql == "ctid >= CAST('(0,0)' AS tid) AND ctid < CAST('(20,0)' AS tid)"
    assert condition.parameters == {}


def test_the_last_row_of_a_range_is_described() -> None:
    """By its key, else by its block."""
    assert KEYS.describe(("a", "5")) == '"tenant"=a, "Order"=5'
    assert Blocks().describe(20) == "in block 19"


def test_a_position_of_the_other_kind_is_refused() -> None:
    """As when the unique index was dropped or created since the cursor was stored."""
    with pytest.raises(TypeError, match="a key instead of a block"):
        Blocks().end(Answers({"blocks": 10}), "item", ("1",), 100)
    with pytest.raises(TypeError, match="a block instead of a key"):
        KEYS.between(7, ("a", "1"))


def test_a_table_with_a_key_has_ranges_of_keys_unless_blocks_are_wanted() -> None:
    """A table without one always has ranges of blocks."""
    execute = Answers({"name": "id", "type": "integer"})
    assert isinstance(ranges_of(execute, "item"), Keys)
    assert isinstance(ranges_of(execute, "item", blocks=True), Blocks)
    assert isinstance(ranges_of(Answers(), "item"), Blocks)


@pytest.mark.parametrize(("version", "reads"), [(130014, False), (140000, True)])
def test_ranges_of_blocks_are_read_alone_since_postgresql_14(version: int, *, reads: bool) -> None:
    """By a TID range scan."""
    assert reads_blocks(Answers({"version": version})) is reads


def test_only_is_removed_from_the_name_of_a_table() -> None:
    """As functions that take a relation don't know it."""
    assert without_only("ONLY public.item") == "public.item"
    assert without_only('"ONLY"') == '"ONLY"'
