"""Settings: the environment variables, parsed once into values that can be trusted.

This module is imported at each start of a container, so it imports nothing that takes time.
"""

from __future__ import annotations

import os

from liftlock import variables
from liftlock.errors import SettingsError
from liftlock.variables import Reader

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = variables.POSTGRES_PORT.default
_DEFAULT_HOST = "localhost"
_DEFAULT_USER = "postgres"
_MANIFEST_NAME = "liftlock.json"
_SCHEMES = ("postgresql", "postgres")


class Address:
    """Address of a database, and the role that connects. Its ``repr`` has no password.

    Parameters:
        host: a name, an IP address or the folder of a socket; several are separated by commas.
        port: the TCP port, or the number of the socket; several are separated by commas.
        user: the role. An empty value is left to libpq and its variables; so are those below.
        password: the role's password.
        dbname: the database.
        options: further keywords of libpq, such as ``sslmode``.
    """

    __slots__ = ("dbname", "host", "options", "password", "port", "user")

    def __init__(  # noqa: PLR0913 - the parts of an address
        self,
        *,
        host: str,
        port: str,
        user: str,
        password: str | None,
        dbname: str,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.dbname = dbname
        self.options = dict(options or {})

    def __repr__(self) -> str:
        """Return the address as people write it, without the password."""
        return f"{self.user}@{self.host}:{self.port}/{self.dbname}"

    def keywords(self) -> dict[str, str]:
        """Return the connection keywords of libpq."""
        keywords = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.dbname,
            "password": self.password or "",
        }
        return {name: value for name, value in keywords.items() if value} | self.options

    def environ(self) -> dict[str, str]:
        """Return the environment variables that name this address."""
        values = {
            "POSTGRES_SERVER": self.host,
            "POSTGRES_PORT": self.port,
            "POSTGRES_USER": self.user,
            "POSTGRES_PASSWORD": self.password or "",
            "POSTGRES_DB": self.dbname,
        }
        if "sslmode" in self.options:
            values["POSTGRES_SSLMODE"] = self.options["sslmode"]
        return values


class Settings:
    """Values of the environment variables; ``docs/reference/settings.md`` has their meanings.

    Parameters:
        environ: the variables.

    Attributes:
        address: the database; None where only the project's own files name it.
        sources: the origin of each value, by variable; without secrets.
        cache: the folder for files that are kept between calls.
    """

    __slots__ = (
        "address",
        "allow",
        "backfill_lag",
        "backfill_share",
        "backfill_workers",
        "cache",
        "cancel",
        "config",
        "deadline",
        "lock_timeout",
        "manifest",
        "release",
        "require",
        "small_table",
        "sources",
        "standbys",
        "wait",
    )

    def __init__(self, environ: Mapping[str, str]) -> None:
        reader = Reader(environ)
        self.address = _address(reader)
        self.wait = reader.number(variables.WAIT)
        self.lock_timeout = int(reader.number(variables.LOCK_TIMEOUT))
        self.deadline = reader.number(variables.DEADLINE)
        self.small_table = int(reader.number(variables.SMALL_TABLE))
        self.backfill_share = reader.number(variables.BACKFILL_SHARE)
        self.backfill_lag = reader.number(variables.BACKFILL_LAG)
        self.backfill_workers = int(reader.number(variables.BACKFILL_WORKERS))
        self.cancel = reader.words(variables.CANCEL_BLOCKERS)
        self.standbys = reader.words(variables.STANDBYS)
        self.allow = frozenset(reader.words(variables.ALLOW))
        cache = environ.get(variables.XDG_CACHE_HOME.name) or os.path.expanduser("~/.cache")
        self.cache = os.path.join(cache, "liftlock")
        self.config = environ.get(variables.ALEMBIC_CONFIG.name) or "alembic.ini"
        default_manifest = os.path.join(os.path.dirname(self.config), _MANIFEST_NAME)
        self.manifest = environ.get(variables.MANIFEST.name) or default_manifest
        self.require = reader.flag(variables.REQUIRE)
        self.release = environ.get(variables.RELEASE.name, "")
        self.sources = reader.sources
        reader.complain()


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of the environment.

    Parameters:
        environ: the variables; those of the process by default.

    Raises:
        SettingsError: some are wrong; the message names all mistakes.
    """
    return Settings(os.environ if environ is None else environ)


def shadow_server() -> Address | None:
    """Return the server for throwaway databases that ``LIFTLOCK_SHADOW_URL`` names; None for none.

    Raises:
        SettingsError: it isn't a URL of PostgreSQL.
    """
    url = os.environ.get(variables.SHADOW_URL.name)
    return from_url(url) if url else None


def from_url(url: str) -> Address:
    """Return the address of ``postgresql[+driver]://user:password@host:port/database?option=value``.

    libpq parses it, so that several hosts, IPv6 addresses and options mean what they mean to it.

    Raises:
        SettingsError: it isn't a URL of PostgreSQL.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.partition("+")[0]  # libpq doesn't know SQLAlchemy's drivers
    if not separator or scheme not in _SCHEMES:
        raise _not_a_url("The database URL isn't one of PostgreSQL.")
    # SQLAlchemy writes a space in a password as it is, which libpq refuses.
    keywords = _keywords(f"{scheme}://{rest.replace(' ', '%20')}")
    port = keywords.pop("port", DEFAULT_PORT)
    if not all(part.isdecimal() for part in port.split(",") if part):
        raise _not_a_url("The port of the database URL isn't a number.")
    user = keywords.pop("user", "") or _DEFAULT_USER
    return Address(
        host=keywords.pop("host", "") or _DEFAULT_HOST,
        port=port,
        user=user,
        password=keywords.pop("password", None),
        dbname=keywords.pop("dbname", "") or user,
        options=keywords,
    )


def _keywords(url: str) -> dict[str, str]:
    """Return the connection keywords of a URL.

    Raises:
        SettingsError: libpq can't parse it.
    """
    try:
        return _parse(url)
    except ValueError as error:
        reason = str(error).strip()
        # Other messages quote the URL, and so perhaps the password.
        query = url.partition("?")[2]
        options = [option.partition("=")[0] for option in query.split("&")]
        about_option = any(option and f'"{option}"' in reason for option in options)
        if about_option and "@" not in query:
            raise _not_a_url(f"The database URL has a wrong option: {reason}") from None
        raise _not_a_url("libpq can't parse the database URL.") from None


def _parse(url: str) -> dict[str, str]:
    """Parse a URL by libpq, or by psycopg where ctypes finds no libpq.

    Raises:
        ValueError: it can't be parsed; the message is libpq's.
    """
    from liftlock import libpq

    try:
        return libpq.parse_url(url)
    except OSError:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except ProgrammingError as error:
        raise ValueError(str(error)) from None


def _not_a_url(what: str) -> SettingsError:
    return SettingsError(
        "LL-DATABASE-URL",
        what,
        now="Write it as postgresql://user:password@host:5432/dbname, with special characters of"
        " the password percent-encoded and with options of libpq only; or set POSTGRES_SERVER,"
        " POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, which need no encoding.",
    )


def _address(reader: Reader) -> Address | None:
    """Return the address of ``POSTGRES_SERVER`` and its family, or of ``DATABASE_URL``."""
    url = reader.text(variables.DATABASE_URL)
    by_url = from_url(url) if url else None
    by_names = _address_by_names(reader, has_url=by_url is not None)
    if by_url is None or by_names is None:
        return by_url or by_names
    if repr(by_url) != repr(by_names):
        reader.mistakes.append(
            f"DATABASE_URL means {by_url!r}, but POSTGRES_… mean {by_names!r}; keep one of them."
        )
    return by_names


def _address_by_names(reader: Reader, *, has_url: bool) -> Address | None:
    host = reader.text(variables.POSTGRES_SERVER)
    user = reader.text(variables.POSTGRES_USER)
    dbname = reader.text(variables.POSTGRES_DB)
    sslmode = reader.text(variables.POSTGRES_SSLMODE)
    port = reader.port()
    password = reader.password()
    if host is None:
        if not has_url and (user or dbname):
            reader.mistakes.append(
                "POSTGRES_SERVER isn't set, but others of its family are; set it to the host."
            )
        return None
    named = ((variables.POSTGRES_USER.name, user), (variables.POSTGRES_DB.name, dbname))
    missing = [name for name, value in named if value is None]
    if missing:
        reader.mistakes.append(f"POSTGRES_SERVER is set, but {' and '.join(missing)} isn't.")
    return Address(
        host=host,
        port=port,
        user=user or "",
        password=password,
        dbname=dbname or "",
        options={"sslmode": sslmode} if sslmode else {},
    )
