"""The project's own connections: where they lead, and the settings they get.

All of it by SQLAlchemy's events, so ``env.py`` and the driver stay as they are.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from psycopg.pq import Conninfo
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.pool import Pool
from sqlalchemy.pool.base import _ConnectionFairy

from liftlock.errors import SettingsError
from liftlock.postgres.queries import QUERIES
from liftlock.postgres.session import application, migration_settings
from liftlock.settings import DEFAULT_PORT, Address

_LIBPQ = frozenset(one.keyword.decode() for one in Conninfo.get_defaults())


_BASE = ("host", "port", "user", "password", "dbname", "database")


_NOT_OURS = frozenset(_BASE) | {"options", "application_name", "connect_timeout", "client_encoding"}


_ANYWHERE = frozenset({"options", "application_name", "connect_timeout", "client_encoding"})
"""Keywords that make sense for another server too."""


_INTERNAL_MODULES = ("sqlalchemy.", "alembic.", "liftlock.")
"""Modules that take a driver's connection for themselves, and not for the revision."""


_DRIVER_ATTRIBUTES = ("cursor", "driver_connection", "dbapi_connection", "connection")
"""By what a pool's connection gives the driver's own, or its cursor."""


_LIBPQ_DRIVERS = ("psycopg", "psycopg2")


@contextlib.contextmanager
def detect_driver_access(told: Callable[[object], None]) -> Iterator[None]:
    """Tell when somebody else than SQLAlchemy takes a driver's cursor or connection: no event sees what is sent over it.

    Parameters:
        told: is given the pool's connection, before it is used.
    """

    def meant(name: str, real: Any) -> property:
        described = hasattr(real, "__get__")

        def get(connection: Any) -> Any:
            if not sys._getframe(1).f_globals.get("__name__", "").startswith(_INTERNAL_MODULES):
                told(connection)
            return (
                real.__get__(connection, type(connection))
                if described
                else vars(connection).get(name, real)
            )

        def put(connection: Any, value: object) -> None:
            vars(connection)[name] = value

        return property(get, getattr(real, "__set__", None) if described else put)

    real = {name: one for name, one in vars(_ConnectionFairy).items() if name in _DRIVER_ATTRIBUTES}
    for name, one in real.items():
        setattr(_ConnectionFairy, name, meant(name, one))
    try:
        yield
    finally:
        for name, one in real.items():
            setattr(_ConnectionFairy, name, one)


@contextlib.contextmanager
def no_engine_connects() -> Iterator[None]:
    """What a revision connects to while it is loaded can't be led elsewhere, so it fails."""
    event.listen(Engine, "do_connect", _refuse)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", _refuse)


def _refuse(*_: object) -> None:
    raise RuntimeError(
        "it connects to a database while it is loaded; that belongs into upgrade(), by op.get_bind()"
    )


class Connections:
    """Watches the project's connections while it is installed.

    Parameters:
        command: what runs; it shows in ``application_name``.
        redirect: connect there, wherever the project wants to.
        more: further settings of each session.
    """

    def __init__(
        self, command: str, redirect: Address | None = None, more: Mapping[str, str] | None = None
    ) -> None:
        self._settings = (
            migration_settings(lock_timeout=0)
            | {"application_name": application(command)}
            | dict(more or {})
        )
        self._redirect = redirect
        self._seen: dict[Dialect, Mapping[str, Any]] = {}
        self._opened: list[Any] = []

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Watch for as long as the context lasts."""
        event.listen(Engine, "do_connect", self._connecting)
        event.listen(Pool, "connect", self._connected)
        try:
            yield
        finally:
            event.remove(Engine, "do_connect", self._connecting)
            event.remove(Pool, "connect", self._connected)
            self._forget()

    def address_of(self, connection: Connection) -> Address:
        """Where a connection of the project leads.

        Raises:
            SettingsError: it was opened in a way that doesn't tell.
        """
        seen = self._seen.get(connection.dialect)
        if seen is None and not connection.engine.url.host and not connection.engine.url.database:
            raise SettingsError(
                "LL-ENV-ADDRESS-HIDDEN",
                "env.py opens its connection by a function of its own, so its address can't be seen.",
                why="Single flight needs a second session to the same database.",
                now="Give the address: DATABASE_URL, or POSTGRES_SERVER, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB.",
            )
        return address_from(
            seen if seen is not None else connection.engine.url.translate_connect_args()
        )

    def _connecting(
        self, dialect: Dialect, _record: object, _positional: object, parameters: dict[str, Any]
    ) -> None:
        if dialect.name != "postgresql":
            return
        if self._redirect is not None:
            _redirect(dialect, parameters, self._redirect)
        self._seen[dialect] = dict(parameters)

    def _forget(self) -> None:
        """A pool of the project's must not hand out a connection to where it was led once."""
        for record in self._opened:
            with contextlib.suppress(Exception):
                record.invalidate()

    def _connected(self, connection: Any, record: Any) -> None:
        """Settle a new session, as its first act: nothing that env.py sends can then begin a transaction too early."""
        if self._redirect is not None:
            self._opened.append(record)
        cursor = connection.cursor()
        try:
            cursor.execute(_settle(self._settings))
        finally:
            cursor.close()
        connection.commit()


def address_from(parameters: Mapping[str, Any]) -> Address:
    """An address from the connection parameters of any driver."""
    password = parameters.get("password")
    options = {
        key: str(value)
        for key, value in parameters.items()
        if key in _LIBPQ and key not in _NOT_OURS and value is not None
    }
    encrypted = parameters.get("ssl") or parameters.get(
        "ssl_context"
    )  # asyncpg's and pg8000's words
    if encrypted:
        options["sslmode"] = encrypted if isinstance(encrypted, str) else "require"
    return Address(
        host=str(parameters.get("host") or ""),
        port=str(parameters.get("port") or DEFAULT_PORT),
        user=str(parameters.get("user") or parameters.get("username") or ""),
        password=None if password is None else str(password),
        dbname=str(parameters.get("dbname") or parameters.get("database") or ""),
        options=options,
    )


def _redirect(dialect: Dialect, parameters: dict[str, Any], address: Address) -> None:
    for name in {"ssl", "ssl_context", "direct_tls", *_LIBPQ} - _ANYWHERE:
        parameters.pop(name, None)
    if not str(parameters.get("options", "")).startswith("-"):
        parameters.pop("options", None)  # some hosts tell their databases apart by it
    name = "dbname" if dialect.driver.startswith(_LIBPQ_DRIVERS) else "database"
    parameters.update(
        host=address.host, port=int(address.port), user=address.user, password=address.password
    )
    parameters[name] = address.dbname
    if dialect.driver.startswith(_LIBPQ_DRIVERS):
        parameters.update({"sslmode": address.options.get("sslmode", "prefer")})


def _settle(settings: Mapping[str, str]) -> str:
    """The statement that settles a session, without parameters: drivers write those in different ways."""

    def array(values: list[str]) -> str:
        return (
            "ARRAY["
            + ", ".join("'" + value.replace("'", "''").replace("%", "_") + "'" for value in values)
            + "]"
        )

    return (
        QUERIES["settle"]
        .replace(":names", array(list(settings)))
        .replace(":values", array(list(settings.values())))
    )


def url_of(address: Address) -> URL:
    """An address for SQLAlchemy, by way of psycopg."""
    return URL.create(
        "postgresql+psycopg",
        username=address.user,
        password=address.password,
        host=address.host,
        port=int(address.port),
        database=address.dbname,
        query=address.options,
    )
