"""``op.backfill``: an update of a whole table.

liftlock runs it in batches, while the application continues. Plain Alembic runs it as one UPDATE.
"""

from __future__ import annotations

from alembic.operations import MigrateOperation, Operations
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import DDLElement
from sqlalchemy.sql.compiler import DDLCompiler


class Backfill(DDLElement):
    """The statement, as it reaches the migration context's implementation.

    Parameters:
        table_name, schema: the table.
        values: the SET clause.
        where: the condition of the rows that still need it; empty for all rows.
    """

    def __init__(self, table_name: str, schema: str | None, values: str, where: str) -> None:
        self.table_name = table_name
        self.schema = schema
        self.values = values
        self.where = where


@compiles(Backfill)  # type: ignore[no-untyped-call, untyped-decorator] # SQLAlchemy leaves it untyped
def _update(element: Backfill, compiler: DDLCompiler, **_options: object) -> str:
    preparer = compiler.preparer
    table = preparer.quote(element.table_name)
    if element.schema:
        table = f"{preparer.quote(element.schema)}.{table}"
    changes = f"SET {element.values}"
    if element.where:
        changes += f" WHERE {element.where}"
    # patches.doubles_percent_signs can't be imported: Alembic loads this module by its plug-in,
    # before its own modules are complete
    if getattr(preparer, "_double_percents", False):
        changes = changes.replace("%", "%%")
    return f"UPDATE {table} {changes}"


@Operations.register_operation("backfill")
class BackfillOp(MigrateOperation):
    """Update a table in batches, while the application continues.

    Parameters:
        table_name: the table.
        set: the SET clause, as SQL. Each row's new values must depend on that row only.
        where: the condition of the rows that still need the update, as SQL. The update must make it
            false. Without it every row is updated once; rows that are inserted meanwhile need a
            default, or the application.
        schema: the table's schema.
    """

    def __init__(
        self,
        table_name: str,
        *,
        set: str,  # noqa: A002 - SQL's word, which revisions write
        where: str = "",
        schema: str | None = None,
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
        set: str,  # noqa: A002 - SQL's word, which revisions write
        where: str = "",
        schema: str | None = None,
    ) -> None:
        """Update a table in batches: see the class."""
        operations.invoke(cls(table_name, set=set, where=where, schema=schema))


@Operations.implementation_for(BackfillOp)
def _run(operations: Operations, operation: BackfillOp) -> None:
    construct = Backfill(operation.table_name, operation.schema, operation.values, operation.where)
    operations.migration_context.impl.execute(construct)
