"""Environment variables: their names, types, defaults and meanings, and a reader for their values.

This module is imported at each start of a container, so it imports nothing that takes time.
"""

from __future__ import annotations

from liftlock.errors import SettingsError

TYPE_CHECKING = False  # typing's constant, without the cost of importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping

_HIGHEST_PORT = 65535


class Variable:
    """A variable.

    Parameters:
        name: its name.
        meaning: a phrase for the reference.
        kind: its type, in a word.
        default: its default, as the reference shows it; empty for none.
    """

    __slots__ = ("default", "kind", "meaning", "name")

    def __init__(self, name: str, meaning: str, *, kind: str = "text", default: str = "") -> None:
        self.name = name
        self.meaning = meaning
        self.kind = kind
        self.default = default


def _digits(value: float) -> str:
    """Return a number as people write it."""
    return f"{value:.0f}" if value == int(value) else f"{value:g}"


class Number(Variable):
    """A variable whose value is a number.

    Parameters:
        name: its name.
        meaning: a phrase for the reference.
        value: its default.
        least: the least permitted value; None permits every value above 0.
        most: the greatest permitted value; None for no limit.
    """

    __slots__ = ("least", "most", "value")

    def __init__(
        self,
        name: str,
        meaning: str,
        value: float,
        *,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        super().__init__(name, meaning, kind="number", default=_digits(value))
        self.value = value
        self.least = least
        self.most = most

    def permits(self, value: float) -> bool:
        """Tell whether a value is within the limits."""
        if not 0 <= value < float("inf"):
            return False
        above = value > 0 if self.least is None else value >= self.least
        return above and (self.most is None or value <= self.most)

    def demand(self) -> str:
        """Return the limits in words."""
        above = "above 0" if self.least is None else f"of {_digits(self.least)} or more"
        below = "" if self.most is None else f", and at most {_digits(self.most)}"
        return f"a number {above}{below}"


DATABASE_URL = Variable(
    "DATABASE_URL",
    "database as `postgresql://user:password@host:5432/database?sslmode=require`; several hosts and"
    " a driver, such as `postgresql+asyncpg`, are understood",
    kind="URL",
)
POSTGRES_SERVER = Variable(
    "POSTGRES_SERVER", "host of the database: a name, an IP address, or the folder of a socket"
)
POSTGRES_PORT = Variable("POSTGRES_PORT", "port of the database", kind="port", default="5432")
POSTGRES_USER = Variable("POSTGRES_USER", "role that migrates")
POSTGRES_PASSWORD = Variable("POSTGRES_PASSWORD", "its password, with any characters as they are")
POSTGRES_PASSWORD_FILE = Variable(
    "POSTGRES_PASSWORD_FILE",
    "file with the password, instead of `POSTGRES_PASSWORD`; one trailing newline is removed",
    kind="path",
)
POSTGRES_DB = Variable("POSTGRES_DB", "name of the database")
POSTGRES_SSLMODE = Variable(
    "POSTGRES_SSLMODE", "libpq's `sslmode`, such as `require` or `verify-full`", default="prefer"
)
WAIT = Number("LIFTLOCK_WAIT", "seconds to wait for a database that may still start", 60)
LOCK_TIMEOUT = Number(
    "LIFTLOCK_LOCK_TIMEOUT",
    "stall budget: milliseconds for which one attempt to get a lock may make queries wait",
    100,
)
DEADLINE = Number(
    "LIFTLOCK_DEADLINE", "seconds after which a run that can't get a lock gives up", 900
)
SMALL_TABLE = Number(
    "LIFTLOCK_SMALL_TABLE",
    "bytes up to which a table is small, so that a scan or rewrite of it is brief",
    1 << 20,
    least=0,
)
BACKFILL_SHARE = Number(
    "LIFTLOCK_BACKFILL_SHARE", "share of the time for which a backfill may work", 1, most=1
)
BACKFILL_LAG = Number(
    "LIFTLOCK_BACKFILL_LAG",
    "seconds by which a replica may lag before a backfill waits for it",
    10,
)
BACKFILL_WORKERS = Number(
    "LIFTLOCK_BACKFILL_WORKERS",
    "sessions that work on one backfill at the same time",
    1,
    least=1,
    most=64,
)
CANCEL_BLOCKERS = Variable(
    "LIFTLOCK_CANCEL_BLOCKERS",
    "application names, with wildcards, of sessions that may be cancelled when they block a lock",
    kind="list",
)
STANDBYS = Variable(
    "LIFTLOCK_STANDBYS",
    "hosts of standbys, each with or without a port, whose long queries are named in messages",
    kind="list",
)
ALLOW = Variable(
    "LIFTLOCK_ALLOW", "codes of rules that the operator permits to be broken", kind="list"
)
REQUIRE = Variable(
    "LIFTLOCK_REQUIRE",
    "`exec` never migrates, and waits until another process has",
    kind="0 or 1",
    default="0",
)
RELEASE = Variable(
    "LIFTLOCK_RELEASE", "name of this build in the ledger, such as the tag of the image"
)
MANIFEST = Variable(
    "LIFTLOCK_MANIFEST",
    "path of the manifest that `bake` writes and `exec` reads",
    kind="path",
    default="`liftlock.json` in the folder of `alembic.ini`",
)
SHADOW_URL = Variable(
    "LIFTLOCK_SHADOW_URL",
    "server for throwaway databases of `check`, `drift`, `bake` and the fixtures; an embedded"
    " server by default",
    kind="URL",
)
DATA_URL = Variable(
    "LIFTLOCK_DATA_URL",
    "real database, or a replica of one, about whose rows `check` asks; revisions can't reach it",
    kind="URL",
)
TRUST = Variable(
    "LIFTLOCK_TRUST",
    "`check --data-url` runs the revisions even where the system can't confine them",
    kind="0 or 1",
    default="0",
)
ALEMBIC_CONFIG = Variable(
    "ALEMBIC_CONFIG", "path of the project's `alembic.ini`", kind="path", default="`alembic.ini`"
)
XDG_CACHE_HOME = Variable(
    "XDG_CACHE_HOME",
    "folder in which `check` keeps base states, in the subfolder `liftlock`",
    kind="path",
    default="`~/.cache`",
)

VARIABLES = (
    DATABASE_URL,
    POSTGRES_SERVER,
    POSTGRES_PORT,
    POSTGRES_USER,
    POSTGRES_PASSWORD,
    POSTGRES_PASSWORD_FILE,
    POSTGRES_DB,
    POSTGRES_SSLMODE,
    WAIT,
    LOCK_TIMEOUT,
    DEADLINE,
    SMALL_TABLE,
    BACKFILL_SHARE,
    BACKFILL_LAG,
    BACKFILL_WORKERS,
    CANCEL_BLOCKERS,
    STANDBYS,
    ALLOW,
    REQUIRE,
    RELEASE,
    MANIFEST,
    SHADOW_URL,
    DATA_URL,
    TRUST,
    ALEMBIC_CONFIG,
    XDG_CACHE_HOME,
)
"""All variables, in the order of the reference."""


class Reader:
    """Values of variables, their sources, and the mistakes in them.

    Parameters:
        environ: the variables.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.sources: dict[str, str] = {}
        self.mistakes: list[str] = []

    def text(self, variable: Variable) -> str | None:
        """Return a value; None for a variable that is unset or empty."""
        value = self.environ.get(variable.name)
        if value:
            self.sources[variable.name] = "environment"
        return value or None

    def words(self, variable: Variable) -> tuple[str, ...]:
        """Return the words of a list, which are separated by commas or spaces."""
        return tuple((self.text(variable) or "").replace(",", " ").split())

    def number(self, variable: Number) -> float:
        """Return a number, its default if it is unset."""
        text = self.text(variable)
        if text is None:
            return variable.value
        try:
            value = float(text)
        except ValueError:
            value = -1
        if not variable.permits(value):
            example = f"such as {variable.default}"
            demand = f"it must be {variable.demand()}, {example}"
            self.mistakes.append(f"{variable.name} is {text!r}; {demand}.")
        return value

    def flag(self, variable: Variable) -> bool:
        """Return a flag: 0 or 1, also spelled false or true."""
        text = (self.text(variable) or "0").lower()
        if text not in {"0", "1", "false", "true"}:
            self.mistakes.append(f"{variable.name} is {text!r}; it must be 0 or 1.")
        return text in {"1", "true"}

    def port(self) -> str:
        """Return the port of the database."""
        text = self.text(POSTGRES_PORT)
        if text is None:
            self.sources[POSTGRES_PORT.name] = "default"
            return POSTGRES_PORT.default
        if not text.isdecimal() or not 0 < int(text) <= _HIGHEST_PORT:
            demand = f"it must be a number from 1 to {_HIGHEST_PORT}, such as 5432"
            self.mistakes.append(f"{POSTGRES_PORT.name} is {text!r}; {demand}.")
        return text

    def password(self) -> str | None:
        """Return the password, from its variable or from its file; None for none."""
        path = self.text(POSTGRES_PASSWORD_FILE)
        password = self.text(POSTGRES_PASSWORD)
        if path is None:
            return password
        if password is not None:
            self.mistakes.append(
                "POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set; keep one."
            )
        try:
            with open(path, encoding="utf-8") as file:
                secret = file.read()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it isn't text"
            fault = f"names {path}, which can't be read: {reason}"
            self.mistakes.append(f"{POSTGRES_PASSWORD_FILE.name} {fault}.")
            return None
        self.sources[POSTGRES_PASSWORD.name] = f"the file {path}"
        return secret.removesuffix("\n")

    def complain(self) -> None:
        """Raise all mistakes at once.

        Raises:
            SettingsError: there are mistakes.
        """
        if self.mistakes:
            raise SettingsError(
                "LL-SETTINGS-INVALID",
                "\n".join(self.mistakes),
                why="Without these variables the database can't be found.",
                now="Set the variables and start again; `liftlock doctor` shows each one and where"
                " its value came from.",
            )
