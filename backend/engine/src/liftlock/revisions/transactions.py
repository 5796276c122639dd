"""The working connection: whose transaction it is in, and that no dead run still works beside it."""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any
from weakref import WeakSet

from alembic.runtime.migration import MigrationContext
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, Transaction
from sqlalchemy.exc import SQLAlchemyError

from liftlock.errors import LiftlockError, NotNow
from liftlock.execution.connection import autocommits, driver_of, rows
from liftlock.execution.statements import is_session_setting
from liftlock.postgres.advisory_lock import MigrationLock
from liftlock.postgres.queries import QUERIES
from liftlock.postgres.retry import attempts
from liftlock.postgres.session import query


class _FenceBusy(Exception):
    """The session of a dead run still holds the fence."""


_asked: WeakSet[Transaction] = WeakSet()
"""Transactions that env.py asked for; what SQLAlchemy or Alembic begin by themselves isn't among them, and no event tells them apart."""
_named: set[str] = set()
"""Settings of the project's own names, such as ``app.tenant``, which PostgreSQL doesn't list."""
_OWN_NAME = re.compile(r"\b[A-Za-z_]\w*\.[A-Za-z_]\w*\b")


@contextlib.contextmanager
def track_explicit_transactions() -> Iterator[None]:
    """Know, for as long as the context lasts, which transactions env.py asked for, and which settings of its own names it made."""

    def asked(real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def begin(connection: Connection, *arguments: Any, **named: Any) -> Any:
            transaction = real(connection, *arguments, **named)
            if not _who_asks().startswith("alembic."):
                _asked.add(transaction)
            return transaction

        return begin

    def by_itself(connection: Connection) -> None:
        real["_autobegin"](connection)
        transaction = connection.get_transaction()
        if transaction is not None:
            _asked.discard(transaction)

    real: dict[str, Callable[..., Any]] = {
        name: vars(Connection)[name] for name in ("begin", "begin_twophase", "_autobegin")
    }
    patched = {
        "begin": asked(real["begin"]),
        "begin_twophase": asked(real["begin_twophase"]),
        "_autobegin": by_itself,
    }
    for name, one in patched.items():
        setattr(Connection, name, one)
    event.listen(Engine, "before_cursor_execute", _note_names)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", _note_names)
        _named.clear()
        for name, one in real.items():
            setattr(Connection, name, one)


def _who_asks() -> str:
    """The module that called SQLAlchemy, in which one ``begin`` may call another."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("sqlalchemy."):
        frame = frame.f_back
    return frame.f_globals.get("__name__", "") if frame is not None else ""


def _note_names(
    _connection: Connection, _cursor: object, statement: str, parameters: object, *_more: object
) -> None:
    if is_session_setting(statement):
        _named.update(_OWN_NAME.findall(f"{statement} {parameters!r}"))


@contextlib.contextmanager
def take_over_transaction(context: MigrationContext) -> Iterator[bool]:
    """Settle what env.py has begun; gives whether its transaction must stay around everything.

    A statement before ``configure`` makes SQLAlchemy 2 begin a transaction by itself, which Alembic
    takes for one of the caller's: it would then commit nothing and report success. Such a transaction
    is committed here, as is the one of ``context.begin_transaction()``, which Alembic begins for its own
    sake, and which goes on afterwards. One that env.py asked for by ``connection.begin()`` is the project's to commit.
    What env.py has set for a transaction that is committed here holds up to the end of the context.
    An engine that commits each statement is made transactional: a step and its row in the ledger are one.
    """
    connection = connection_of(context)
    if autocommits(connection.connection):
        connection.dialect.set_isolation_level(driver_of(connection), "READ COMMITTED")
    transaction = connection.get_transaction()
    if transaction in _asked:
        yield True
        return
    goes_on = context._transaction is not None
    with _settings_kept(connection) if transaction is not None else contextlib.nullcontext():
        context._in_external_transaction = False
        context._transaction_per_migration = True
        yield False
    if goes_on:
        context._transaction = connection.get_transaction() or connection.begin()


@contextlib.contextmanager
def _settings_kept(connection: Connection) -> Iterator[None]:
    """Commit; what was set by ``SET LOCAL`` is set for the session, up to the end of the context."""
    local = {
        row["name"]: row["value"]
        for row in rows(connection, QUERIES["settings"], {"own": sorted(_named)})
    }
    commit(connection, atomic=False)
    names = {"names": list(local)}
    before = {
        row["name"]: row["value"] for row in rows(connection, QUERIES["settings_named"], names)
    }
    lost = [name for name in local if local[name] != before[name]]
    _set(connection, {name: local[name] for name in lost})
    try:
        yield
    finally:
        with contextlib.suppress(SQLAlchemyError):  # a lost connection has no settings
            _set(connection, {name: before[name] for name in lost})


def _set(connection: Connection, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        rows(connection, "SELECT set_config(:name, :value, false)", {"name": name, "value": value})
    commit(connection, atomic=False)


def commit(connection: Connection, *, atomic: bool) -> None:
    """Commit what is open, unless the project's own transaction must stay."""
    if atomic:
        return
    transaction = connection.get_transaction()
    if transaction is not None:
        transaction.commit()
    else:
        driver_of(connection).commit()  # SQLAlchemy 1.4 begins none for what its driver has begun


def connection_of(context: MigrationContext) -> Connection:
    """The connection that a migration context works on."""
    connection = context.connection
    assert connection is not None
    return connection


def translated(connection: Connection) -> Mapping[str | None, str | None]:
    """The schemas that env.py has SQLAlchemy put in for others while statements are sent: its ``schema_translate_map``."""
    return connection.get_execution_options().get("schema_translate_map") or {}


def qualified(context: MigrationContext) -> str:
    """The version table's name with its schema: what the project says, else where it is found, else where it would be made."""
    schema = translated(connection_of(context)).get(
        context.version_table_schema, context.version_table_schema
    )
    if schema is None:
        schema = (
            rows(connection_of(context), QUERIES["schema_of"], {"table": context.version_table})[0][
                "schema"
            ]
            or "public"
        )
    return f"{schema}.{context.version_table}"


def assume_role(connection: Connection, flight: MigrationLock) -> None:
    """Follow a ``SET ROLE`` of env.py, so that the second session may read what the first one owns."""
    role = rows(
        connection,
        "SELECT quote_ident(current_user) AS role, current_user = session_user AS same",
        {},
    )[0]
    if not role["same"]:
        flight.assume_role(role["role"])


@contextlib.contextmanager
def fence(
    connection: Connection, flight: MigrationLock, seconds: float, *, atomic: bool
) -> Iterator[None]:
    """Wait until the working session of a killed run is gone, then take its place.

    Its single-flight session dies at once, but its backend may still be running a statement or
    committing; the server notices within about a second (``client_connection_check_interval``).
    """
    key = {"key": flight.key ^ 1}
    try:
        for attempt in attempts(_FenceBusy, seconds, most=0.5):
            with attempt:
                got = rows(connection, QUERIES["try_lock"], key)[0]["got"]
                commit(connection, atomic=atomic)
                if not got:
                    raise _FenceBusy
    except _FenceBusy:
        raise _orphan(flight, key["key"]) from None
    try:
        yield
    finally:
        with contextlib.suppress(Exception):  # a lost connection has let go already
            rows(connection, QUERIES["unlock"], key)
            commit(connection, atomic=atomic)


def _orphan(flight: MigrationLock, key: int) -> LiftlockError:

    pids = [str(row["pid"]) for row in query(flight.session, "lock_holder", key=key)]
    return NotNow(
        "LL-PREVIOUS-SESSION-ACTIVE",
        f"The session of a run that was killed is still at work: pid {', '.join(pids) or 'unknown'}.",
        why="Two sessions must not change the schema at once.",
        now="Wait for it, or end it: SELECT pg_terminate_backend(pid).",
    )
