"""Alembic's migration context: its connection, its scripts, and its version table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import ModuleType

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from liftlock.errors import SettingsError, UnsafeRevision
from liftlock.execution.connection import rows
from liftlock.postgres.queries import QUERIES
from liftlock.revisions.alembic_step import AlembicStep

_FUNCTIONS = frozenset({"upgrade", "downgrade"})
_KEEP_ONE_ROW = """Keep one of the rows, and give the table the primary key that Alembic gives it:
  DELETE FROM {table} AS a USING {table} AS b
    WHERE a.version_num = b.version_num AND a.ctid > b.ctid;
  ALTER TABLE {table} ADD PRIMARY KEY (version_num);"""


def connection_of(context: MigrationContext) -> Connection:
    """Return the connection of a migration context.

    Raises:
        RuntimeError: it has none, as in offline mode, which isn't taken over.
    """
    if context.connection is None:
        message = "a migration context without a connection was taken over"
        raise RuntimeError(message)
    return context.connection


def script_of(context: MigrationContext) -> ScriptDirectory:
    """Return the script directory of a migration context.

    Raises:
        RuntimeError: it has none; Alembic sets it in every environment.
    """
    if context.script is None:
        message = "a migration context without a script directory was taken over"
        raise RuntimeError(message)
    return context.script


def schema_translation(connection: Connection) -> Mapping[str | None, str | None]:
    """Return the ``schema_translate_map`` that env.py set on a connection; often empty."""
    return connection.get_execution_options().get("schema_translate_map") or {}


def version_table_of(context: MigrationContext) -> str:
    """Return the name of the version table, with its schema.

    The schema is the one that the project configures, else the one in which the table exists, else
    the one in which it would be created.
    """
    connection = connection_of(context)
    configured = context.version_table_schema
    schema = schema_translation(connection).get(configured, configured)
    if schema is None:
        (found,) = rows(connection, QUERIES["schema_of"], {"table": context.version_table})
        schema = found["schema"] or "public"
    return f"{schema}.{context.version_table}"


def steps_of(context: MigrationContext, heads: Sequence[str]) -> list[AlembicStep]:
    """Return the steps that Alembic's command chooses, the first one first.

    Parameters:
        context: the migration context.
        heads: the rows of the version table.

    Raises:
        UnsafeRevision: one of the revisions lacks the function that is to be run.
    """
    try:
        return list(context._migrations_fn(tuple(heads), context))  # type: ignore[misc] # noqa: SLF001 - patches.PATCHES
    except AttributeError as error:
        if error.name not in _FUNCTIONS or not isinstance(error.obj, ModuleType):
            raise
        raise _function_missing(error.obj, error.name) from error


def _function_missing(module: ModuleType, name: str) -> UnsafeRevision:
    revision = getattr(module, "revision", "?")
    return UnsafeRevision(
        "LL-FUNCTION-MISSING",
        f"revision {revision}, {module.__file__}: it has no function {name}().",
        why="Nothing is run, since the run couldn't pass this revision.",
        now="Write the function; one that changes nothing is:\n"
        f"  def {name}() -> None:\n      pass",
    )


def require_distinct(heads: Sequence[str], version_table: str) -> None:
    """Refuse to run revisions on a version table that has a row twice.

    Parameters:
        heads: its rows.
        version_table: its name.

    Raises:
        SettingsError: Alembic couldn't update its rows at the end of a revision.
    """
    for head, count in Counter(heads).items():
        if count > 1:
            raise SettingsError(
                "LL-VERSION-ROW-TWICE",
                f"{version_table} holds {head} {count} times.",
                why="Alembic updates exactly one row, and fails if there are more. Nothing is run.",
                now=_KEEP_ONE_ROW.format(table=version_table),
            )
