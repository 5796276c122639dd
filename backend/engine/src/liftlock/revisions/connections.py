"""The connections that a project's ``env.py`` opens: their addresses and their settings.

SQLAlchemy's events see each connection, so ``env.py`` and the driver stay as they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from psycopg.pq import Conninfo
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.pool import Pool

from liftlock.errors import SettingsError
from liftlock.execution.transaction import commit_driver
from liftlock.postgres.keepalive import keep_alive
from liftlock.postgres.queries import QUERIES
from liftlock.postgres.session import application, migration_settings
from liftlock.settings import DEFAULT_PORT, Address

_LIBPQ_DRIVERS = ("psycopg", "psycopg2")
_LIBPQ_KEYWORDS = frozenset(option.keyword.decode() for option in Conninfo.get_defaults())
_ADDRESS_KEYWORDS = frozenset({"host", "port", "user", "password", "dbname", "database"})
_SESSION_KEYWORDS = frozenset({"options", "application_name", "connect_timeout", "client_encoding"})
"""Keywords that describe the session, and not the server."""
_TLS_PARAMETERS = frozenset({"ssl", "ssl_context", "direct_tls"})
"""Parameters of asyncpg and pg8000 in place of libpq's ``sslmode``."""
_SERVER_KEYWORDS = (_LIBPQ_KEYWORDS | _TLS_PARAMETERS) - _SESSION_KEYWORDS
"""Keywords that hold for one server only: its address, its certificates and so on."""


class DriverCursor(Protocol):
    """A cursor of any driver: https://peps.python.org/pep-0249/."""

    def execute(self, statement: str, /) -> object:
        """Send a statement."""

    def close(self) -> object:
        """Close the cursor."""


class DriverConnection(Protocol):
    """A connection of any driver: https://peps.python.org/pep-0249/."""

    def cursor(self) -> DriverCursor:
        """Return a new cursor."""


class PoolEntry(Protocol):
    """SQLAlchemy's record of a connection in a pool."""

    def invalidate(self) -> None:
        """Have the pool close the connection instead of using it again."""


@contextlib.contextmanager
def no_engine_connects() -> Iterator[None]:
    """Make every connection of SQLAlchemy fail, for files that must only be loaded.

    A revision could otherwise connect to the real database while it is checked on a shadow.
    """
    event.listen(Engine, "do_connect", _refuse_connection)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", _refuse_connection)


def _refuse_connection(*_: object) -> None:
    raise RuntimeError(
        "it connects to a database while it is loaded; connect in upgrade() instead:"
        " connection = op.get_bind()"
    )


class Connections:
    """The connections that the project opens while this is installed.

    Parameters:
        command: the command that runs; it shows in ``application_name``.
        redirected_to: the address of all connections; None leaves it to the project.
        more_settings: further settings of each session.

    ``last_address`` is the one to which the project has connected last; None before that.
    """

    def __init__(
        self,
        command: str,
        redirected_to: Address | None = None,
        more_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = {
            **migration_settings(lock_timeout=0),
            "application_name": application(command),
            **(more_settings or {}),
        }
        self.last_address: Address | None = None
        self._redirected_to = redirected_to
        self._parameters: dict[Dialect, Mapping[str, object]] = {}
        self._redirected: list[PoolEntry] = []
        self._replaced: list[tuple[dict[str, object], dict[str, object]]] = []

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Listen to the events of all engines and pools in this context."""
        event.listen(Engine, "do_connect", self._before_connect)
        event.listen(Pool, "connect", self._after_connect)
        try:
            yield
        finally:
            event.remove(Engine, "do_connect", self._before_connect)
            event.remove(Pool, "connect", self._after_connect)
            self._discard_redirected()
            self._restore_parameters()

    def address_of(self, connection: Connection) -> Address:
        """Return the address of a connection of the project.

        Raises:
            SettingsError: neither the driver's parameters nor the engine's URL are known.
        """
        parameters = self._parameters.get(connection.dialect)
        if parameters is not None:
            return address_from(parameters)
        url = connection.engine.url
        if not url.host and not url.database:
            raise _address_hidden()
        return address_from(url.translate_connect_args())

    def _before_connect(
        self, dialect: Dialect, _entry: object, _arguments: object, parameters: dict[str, object]
    ) -> None:
        if dialect.name != "postgresql":
            return
        if self._redirected_to is not None:
            self._replaced.append((parameters, dict(parameters)))
            redirect(dialect.driver, parameters, self._redirected_to)
        self._parameters[dialect] = dict(parameters)
        self.last_address = address_from(parameters)

    def _after_connect(self, connection: DriverConnection, entry: PoolEntry) -> None:
        """Apply the settings to a new session and its socket, and commit.

        A session of the pool's has no transaction of the project yet, which a commit would end.
        """
        if self._redirected_to is not None:
            self._redirected.append(entry)
        keep_alive(connection)
        cursor = connection.cursor()
        try:
            cursor.execute(_settings_statement(self._settings))
        finally:
            cursor.close()
        commit_driver(connection)

    def _discard_redirected(self) -> None:
        """Keep the project's pools from using a redirected connection later."""
        for entry in self._redirected:
            with contextlib.suppress(Exception):
                entry.invalidate()

    def _restore_parameters(self) -> None:
        """Make the project's engines connect to their own addresses again.

        Before SQLAlchemy 2.1, a listener changes the parameters of all later connections.
        """
        for parameters, original in reversed(self._replaced):
            parameters.clear()
            parameters.update(original)
        self._replaced.clear()


def address_from(parameters: Mapping[str, object]) -> Address:
    """Return the address in the parameters of a driver's ``connect()``.

    Parameters:
        parameters: of psycopg, psycopg2, asyncpg or pg8000.
    """
    password = parameters.get("password")
    return Address(
        host=_first_text(parameters, "host"),
        port=_first_text(parameters, "port") or DEFAULT_PORT,
        user=_first_text(parameters, "user", "username"),
        password=None if password is None else str(password),
        dbname=_first_text(parameters, "dbname", "database"),
        options=_libpq_options(parameters),
    )


def _first_text(parameters: Mapping[str, object], *names: str) -> str:
    """Return the first parameter that isn't empty, with commas between several hosts or ports."""
    value = next((parameters[name] for name in names if parameters.get(name)), "")
    if isinstance(value, list | tuple):  # asyncpg takes lists
        return ",".join(str(item) for item in value)
    return str(value)


def _libpq_options(parameters: Mapping[str, object]) -> dict[str, str]:
    """Return the parameters besides the address that another session needs, as libpq's keywords."""
    wanted = _LIBPQ_KEYWORDS - _ADDRESS_KEYWORDS - _SESSION_KEYWORDS
    options = {
        name: str(value)
        for name, value in parameters.items()
        if name in wanted and value is not None
    }
    encryption = parameters.get("ssl") or parameters.get("ssl_context")
    if encryption:
        options["sslmode"] = encryption if isinstance(encryption, str) else "require"
    return options


def redirect(driver: str, parameters: dict[str, object], address: Address) -> None:
    """Make the parameters of a driver's ``connect()`` lead to another address.

    Parameters:
        driver: the driver's name in a URL of SQLAlchemy.
        parameters: its parameters; they are changed.
        address: the address.
    """
    for name in _SERVER_KEYWORDS:
        parameters.pop(name, None)
    if not str(parameters.get("options", "")).startswith("-"):
        # "-c name=value" sets parameters of the server, as everywhere; another form, such as
        # "endpoint=…", tells a hosting provider's proxy which database is meant
        parameters.pop("options", None)
    parameters.update(user=address.user, password=address.password)
    if driver.startswith(_LIBPQ_DRIVERS):
        parameters.update(
            host=address.host,
            port=address.port,
            dbname=address.dbname,
            sslmode=address.options.get("sslmode", "prefer"),
        )
    else:
        parameters.update(
            host=_first_of_list(address.host),
            port=int(_first_of_list(address.port)),
            database=address.dbname,
        )


def url_of(address: Address) -> URL:
    """Return an address as a URL of SQLAlchemy, with psycopg as the driver."""
    url = URL.create(
        "postgresql+psycopg",
        username=address.user,
        password=address.password,
        database=address.dbname,
        query=address.options,
    )
    if "," in address.port:
        # the port of a URL is one number; SQLAlchemy takes several ports in the query
        return url.update_query_dict({"host": address.host, "port": address.port})
    return url.set(host=address.host, port=int(address.port))


def _first_of_list(text: str) -> str:
    """Return the first of the hosts or ports that libpq would try; other drivers take one only."""
    return text.partition(",")[0]


def _settings_statement(settings: Mapping[str, str]) -> str:
    """Return the statement that applies settings to a session.

    It has no parameters, because drivers write them in different ways.
    """
    return (
        QUERIES["settle"]
        .replace(":names", _text_array(settings.keys()))
        .replace(":values", _text_array(settings.values()))
    )


def _text_array(texts: Iterable[str]) -> str:
    """Return an array of texts as SQL.

    Percent signs are replaced, because some drivers take them for parameters and others don't.
    """
    literals = ("'" + text.replace("'", "''").replace("%", "_") + "'" for text in texts)
    return f"ARRAY[{', '.join(literals)}]"


def _address_hidden() -> SettingsError:
    return SettingsError(
        "LL-ENV-ADDRESS-HIDDEN",
        "env.py opens its connection by a function (creator=…), so liftlock can't see the address"
        " of the database.",
        why="liftlock needs a second session to the same database, which holds the single-flight"
        " lock.",
        now="In env.py, give create_engine() the address too; creator=… may stay:\n"
        '  create_engine("postgresql+psycopg://user:password@host:5432/database", creator=…)',
    )
