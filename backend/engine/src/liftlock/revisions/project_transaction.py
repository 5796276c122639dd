"""The transaction that ``env.py`` has open when the revisions are to be run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from liftlock.execution.connection import driver_of, is_in_autocommit, rows
from liftlock.execution.transaction import commit_open
from liftlock.postgres.queries import QUERIES
from liftlock.revisions import patches
from liftlock.revisions.migration_context import connection_of
from liftlock.sql import parse

_TWO_PART_NAME = re.compile(r"\b[A-Za-z_]\w*\.[A-Za-z_]\w*\b")
"""A parameter name among the values of a statement, such as ``app.tenant`` of ``set_config``."""


class CustomSettings:
    """The parameters with two-part names that ``env.py`` sets; PostgreSQL doesn't list them."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    @contextlib.contextmanager
    def tracked(self) -> Iterator[None]:
        """Note the names of such parameters in this context."""
        event.listen(Engine, "before_cursor_execute", self._note)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", self._note)
            self.names.clear()

    def _note(
        self,
        _connection: Connection,
        _cursor: object,
        statement: str,
        parameters: object,
        *_more: object,
    ) -> None:
        parsed = parse(statement)
        if parsed.is_session_setting:
            self.names.update(parsed.custom_settings)
            self.names.update(_TWO_PART_NAME.findall(repr(parameters)))


@contextlib.contextmanager
def take_over_transaction(context: MigrationContext, custom: CustomSettings) -> Iterator[bool]:
    """Commit the transaction that is open, unless it is the project's own.

    A statement before ``configure()`` makes SQLAlchemy 2 begin a transaction, which Alembic takes
    for one of its caller's: it would commit nothing and report success. Such a transaction is
    committed here, and so is the one of ``context.begin_transaction()``, which continues
    afterwards. A transaction that env.py began by ``connection.begin()`` is the project's to
    commit.

    Settings that env.py made for a transaction that is committed here hold until the end of this
    context. A connection in autocommit becomes transactional: a step and its ledger row belong
    together.

    Parameters:
        context: the migration context.
        custom: the names of parameters that PostgreSQL doesn't list.

    Returns:
        Whether the project's own transaction stays open around the run.
    """
    connection = connection_of(context)
    if is_in_autocommit(connection.connection):
        connection.dialect.set_isolation_level(driver_of(connection), "READ COMMITTED")
    transaction = connection.get_transaction()
    if patches.is_explicit(transaction):
        yield True
        return
    continues = patches.has_transaction(context)
    keep = _settings_kept(connection, custom) if transaction else contextlib.nullcontext()
    with keep:
        patches.use_transaction_per_revision(context)
        yield False
    if continues:
        patches.adopt_transaction(context, connection)


@contextlib.contextmanager
def _settings_kept(connection: Connection, custom: CustomSettings) -> Iterator[None]:
    """Commit; set for the session what ``SET LOCAL`` had set, until the end of the context."""
    found = rows(connection, QUERIES["settings"], {"own": sorted(custom.names)})
    local = {row["name"]: row["value"] for row in found}
    commit_open(connection)
    found = rows(connection, QUERIES["settings_named"], {"names": list(local)})
    session = {row["name"]: row["value"] for row in found}
    lost = {name: value for name, value in local.items() if value != session[name]}
    _set(connection, lost)
    try:
        yield
    finally:
        with contextlib.suppress(SQLAlchemyError):  # a lost connection has no settings
            _set(connection, {name: session[name] for name in lost})


def _set(connection: Connection, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        rows(connection, QUERIES["set"], {"name": name, "value": value, "local": False})
    commit_open(connection)
