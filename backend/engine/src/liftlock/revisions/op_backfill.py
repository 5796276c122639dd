"""``op.backfill``: an update of a whole table, in batches under liftlock, in one statement with Alembic alone."""

from __future__ import annotations

from typing import Any

from alembic.operations import MigrateOperation, Operations
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import DDLElement


class Backfill(DDLElement):
    """The statement, as it reaches the migration context's implementation.

    Parameters:
        table_name, schema: the table.
        values: the SET clause.
        where: which rows still need it; empty for all.
    """

    def __init__(self, table_name: str, schema: str | None, values: str, where: str) -> None:
        self.table_name = table_name
        self.schema = schema
        self.values = values
        self.where = where


@compiles(Backfill)  # type: ignore[no-untyped-call, untyped-decorator] # SQLAlchemy leaves it untyped
def _update(element: Backfill, compiler: Any, **_options: object) -> str:
    quote = compiler.preparer
    doubled = getattr(quote, "_double_percents", False)
    table = (f"{quote.quote(element.schema)}." if element.schema else "") + quote.quote(
        element.table_name
    )
    text = f"{element.values} WHERE {element.where}" if element.where else element.values
    return f"UPDATE {table} SET {text.replace('%', '%%') if doubled else text}"


@Operations.register_operation("backfill")
class BackfillOp(MigrateOperation):
    """Update a table in batches, while the application goes on.

    Parameters:
        table_name: the table.
        set: the SET clause, as SQL; each row's new values must depend on that row alone.
        where: which rows still need it, as SQL; the update must make it false. Without it every row is updated,
            once; rows that come meanwhile are then the business of a default or of the application.
        schema: the table's schema.
    """

    def __init__(
        self, table_name: str, *, set: str, where: str = "", schema: str | None = None
    ) -> None:
        self.table_name = table_name
        self.values = set
        self.where = where
        self.schema = schema

    @classmethod
    def backfill(
        cls,
        operations: Operations,
        table_name: str,
        *,
        set: str,
        where: str = "",
        schema: str | None = None,
    ) -> None:
        """Update a table in batches: see the class."""
        operations.invoke(cls(table_name, set=set, where=where, schema=schema))


@Operations.implementation_for(BackfillOp)
def _run(operations: Operations, operation: BackfillOp) -> None:
    construct = Backfill(operation.table_name, operation.schema, operation.values, operation.where)
    operations.migration_context.impl._exec(construct)
