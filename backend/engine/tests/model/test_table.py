"""Tables as the catalog describes them."""

from __future__ import annotations

from liftlock.model.table import Column, Constraint, Index, Table

TABLE = Table(
    oid=1,
    name="person",
    kind="r",
    bytes=0,
    rows=-1,
    columns=(Column("id", "integer", not_null=True),),
    constraints=(Constraint("person_pkey", "p", ("id",), "", validated=True),),
    indexes=(
        Index(
            "person_pkey",
            ("id",),
            columns_only=True,
            unique=True,
            valid=True,
            immediate=True,
            constraint=True,
        ),
    ),
)


def test_objects_of_a_table_by_name() -> None:
    """A name that the table lacks gives None."""
    assert TABLE.column("id") is TABLE.columns[0]
    assert TABLE.constraint("person_pkey") is TABLE.constraints[0]
    assert TABLE.index("person_pkey") is TABLE.indexes[0]
    assert TABLE.column("age") is None
    assert TABLE.constraint(None) is None
    assert TABLE.index("ix") is None
