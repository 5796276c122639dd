"""Alembic's migration context: its connection, its scripts, and its version table."""

from __future__ import annotations

from collections.abc import Mapping

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from liftlock.execution.connection import rows
from liftlock.postgres.queries import QUERIES


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
