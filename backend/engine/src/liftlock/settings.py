"""The environment, parsed once into values that can be trusted. Nothing else reads it.

This module is on the path of ``exec`` at head, where every import is start-up time of the
service: it imports nothing but ``os``.
"""

from __future__ import annotations

import os

from liftlock.errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = "5432"
WAIT_SECONDS = 60.0
LOCK_TIMEOUT_MS = 100
DEADLINE_SECONDS = 900.0
SMALL_TABLE_BYTES = 1 << 20
BACKFILL_LAG_SECONDS = 10.0
MANIFEST = "liftlock.json"


class Address:
    """Where the database is and who asks. Its ``repr`` never holds the password.

    Parameters:
        host: a name, an address or the folder of a socket.
        port: TCP port, or the socket's number, as text.
        user, password, dbname: as libpq means them. What is empty is left to libpq and its own variables.
        options: further libpq keywords, such as ``sslmode``.
    """

    __slots__ = ("dbname", "host", "options", "password", "port", "user")

    def __init__(
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
        """The address as people write it, without the password."""
        return f"{self.user}@{self.host}:{self.port}/{self.dbname}"

    def keywords(self) -> dict[str, str]:
        """Libpq's connection keywords."""
        words = {"host": self.host, "port": self.port, "user": self.user, "dbname": self.dbname}
        words["password"] = self.password or ""
        return {key: value for key, value in words.items() if value} | self.options

    def environ(self) -> dict[str, str]:
        """The same address in the variables of the migration guide."""
        given = {
            "POSTGRES_SERVER": self.host,
            "POSTGRES_PORT": self.port,
            "POSTGRES_USER": self.user,
            "POSTGRES_PASSWORD": self.password or "",
            "POSTGRES_DB": self.dbname,
        }
        if "sslmode" in self.options:
            given["POSTGRES_SSLMODE"] = self.options["sslmode"]
        return given


class Settings:
    """Everything that the environment says.

    Parameters:
        address: the database, or None where the project's own files know it.
        sources: for each setting, where its value came from; no secrets.
        wait: seconds to wait for a database that may still come up.
        lock_timeout: the stall budget, milliseconds a try.
        deadline: seconds after which a run that got no lock gives up.
        small_table: bytes up to which a table is small: what scans or rewrites it is brief.
        backfill_share: which part of the time a backfill may take, above 0 and up to 1.
        backfill_lag: seconds that a replica may be behind, before a backfill waits for it.
        backfill_workers: how many sessions work on a backfill at once.
        cancel: application names, with wildcards, of sessions that may be cancelled when they keep us from a lock.
        standbys: hosts of standbys, each with or without a port, whose long queries are to be named.
        allow: codes of rules that the operator permits to be broken.
        cache: the folder of what is kept from one call to the next.
        config: path of ``alembic.ini``.
        manifest: path of the file that ``bake`` writes.
        require: ``exec`` never migrates, and waits until somebody else has.
        release: what the ledger calls this build, such as an image tag.
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
        reader = _Reader(environ)
        self.address = reader.address()
        self.wait = reader.number("LIFTLOCK_WAIT", WAIT_SECONDS)
        self.lock_timeout = int(reader.number("LIFTLOCK_LOCK_TIMEOUT", LOCK_TIMEOUT_MS))
        self.deadline = reader.number("LIFTLOCK_DEADLINE", DEADLINE_SECONDS)
        self.small_table = int(reader.number("LIFTLOCK_SMALL_TABLE", SMALL_TABLE_BYTES, least=0))
        self.backfill_share = reader.number("LIFTLOCK_BACKFILL_SHARE", 1.0, most=1.0)
        self.backfill_lag = reader.number("LIFTLOCK_BACKFILL_LAG", BACKFILL_LAG_SECONDS)
        self.backfill_workers = int(reader.number("LIFTLOCK_BACKFILL_WORKERS", 1, least=1, most=64))
        self.cancel = tuple(
            (reader.text("LIFTLOCK_CANCEL_BLOCKERS") or "").replace(",", " ").split()
        )
        self.standbys = tuple((reader.text("LIFTLOCK_STANDBYS") or "").replace(",", " ").split())
        self.allow = frozenset((reader.text("LIFTLOCK_ALLOW") or "").replace(",", " ").split())
        self.cache = os.path.join(
            environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "liftlock"
        )
        self.config = environ.get("ALEMBIC_CONFIG") or "alembic.ini"
        beside = os.path.join(os.path.dirname(self.config), MANIFEST)
        self.manifest = environ.get("LIFTLOCK_MANIFEST") or beside
        self.require = reader.flag("LIFTLOCK_REQUIRE")
        self.release = environ.get("LIFTLOCK_RELEASE", "")
        self.sources = reader.sources
        reader.complain()


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Parse the environment.

    Parameters:
        environ: the variables; the process's own by default.

    Raises:
        SettingsError: all mistakes at once.
    """
    return Settings(os.environ if environ is None else environ)


def shadow_server() -> Address | None:
    """Where revisions are to be tried, if the environment says it: ``LIFTLOCK_SHADOW_URL``.

    Raises:
        SettingsError: it isn't a PostgreSQL URL.
    """
    url = os.environ.get("LIFTLOCK_SHADOW_URL")
    return from_url(url) if url else None


def from_url(url: str) -> Address:
    """An address from ``postgresql[+driver]://user:password@host:port/dbname?option=value``.

    Raises:
        SettingsError: it isn't a PostgreSQL URL.
    """
    from urllib.parse import parse_qsl, unquote, urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme.split("+")[0] not in {"postgresql", "postgres"}:
        raise SettingsError(
            "LL-DATABASE-URL",
            "The database URL isn't one of PostgreSQL.",
            now="Write it as postgresql://user:password@host:5432/dbname, with the special characters of the"
            " password percent-encoded; or give POSTGRES_SERVER, POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB,"
            " which need no encoding.",
        )
    options = dict(parse_qsl(parts.query))
    user = unquote(parts.username or "") or options.pop("user", "postgres")
    return Address(
        host=unquote(parts.hostname or "") or options.pop("host", "localhost"),
        port=str(port or options.pop("port", DEFAULT_PORT)),
        user=user,
        password=unquote(parts.password)
        if parts.password is not None
        else options.pop("password", None),
        dbname=unquote(parts.path.lstrip("/")) or user,
        options=options,
    )


class _Reader:
    """Reads variables, keeps their sources and gathers mistakes."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.sources: dict[str, str] = {}
        self.mistakes: list[str] = []

    def text(self, name: str) -> str | None:
        value = self.environ.get(name)
        if value:
            self.sources[name] = "environment"
        return value or None

    def number(
        self, name: str, default: float, least: float = 1e-9, most: float = float("inf")
    ) -> float:
        raw = self.text(name)
        try:
            value = float(raw) if raw else default
        except ValueError:
            value = -1
        if not least <= value <= most or value == float("inf"):
            bound = f"a number of {least:g} or more" if least in {0, 1} else "a number above 0"
            bound += f", and at most {most:g}" if most < float("inf") else ""
            self.mistakes.append(f"{name} is {raw!r}; it must be {bound}, such as {default:g}.")
        return value

    def flag(self, name: str) -> bool:
        raw = (self.text(name) or "0").lower()
        if raw not in {"0", "1", "false", "true"}:
            self.mistakes.append(f"{name} is {raw!r}; it must be 0 or 1.")
        return raw in {"1", "true"}

    def password(self) -> str | None:
        path = self.text("POSTGRES_PASSWORD_FILE")
        given = self.text("POSTGRES_PASSWORD")
        if path is None:
            return given
        if given is not None:
            self.mistakes.append(
                "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set; keep one."
            )
        try:
            with open(path, encoding="utf-8") as file:
                secret = file.read()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it isn't text"
            self.mistakes.append(
                f"POSTGRES_PASSWORD_FILE names {path}, which can't be read: {reason}."
            )
            return None
        self.sources["POSTGRES_PASSWORD"] = f"the file {path}"
        return secret.removesuffix("\n")

    def address(self) -> Address | None:
        url = self.text("DATABASE_URL")
        server = self.text("POSTGRES_SERVER")
        names = {name: self.text(name) for name in ("POSTGRES_USER", "POSTGRES_DB")}
        sslmode, port, password = self.text("POSTGRES_SSLMODE"), self.port(), self.password()
        given = from_url(url) if url else None
        if server is None:
            if given is None and any(names.values()):
                self.mistakes.append(
                    "POSTGRES_SERVER isn't set, but others of its family are; set it to the host."
                )
            return given
        missing = [name for name, value in names.items() if value is None]
        if missing:
            self.mistakes.append(f"POSTGRES_SERVER is set, but {' and '.join(missing)} isn't.")
        address = Address(
            host=server,
            port=port,
            user=names["POSTGRES_USER"] or "",
            password=password,
            dbname=names["POSTGRES_DB"] or "",
            options={"sslmode": sslmode} if sslmode else {},
        )
        if given is not None and repr(given) != repr(address):
            self.mistakes.append(
                f"DATABASE_URL means {given!r}, but POSTGRES_… mean {address!r}; keep one of them."
            )
        return address

    def port(self) -> str:
        raw = self.text("POSTGRES_PORT")
        if raw is None:
            self.sources["POSTGRES_PORT"] = "default"
            return DEFAULT_PORT
        if not raw.isdecimal() or not 0 < int(raw) < 65536:
            self.mistakes.append(
                f"POSTGRES_PORT is {raw!r}; it must be a number from 1 to 65535, such as 5432."
            )
        return raw

    def complain(self) -> None:
        if self.mistakes:
            raise SettingsError(
                "LL-SETTINGS-INVALID",
                "\n".join(self.mistakes),
                why="Without these the database can't be found.",
                now="Set the variables and start again; `liftlock doctor` shows each one and where its value came from.",
            )
