"""Shadows: throwaway databases with a base state, on an embedded server or on another one."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from liftlock.errors import SettingsError
from liftlock.postgres.probe import probe
from liftlock.postgres.session import Session, connect, query
from liftlock.settings import Address
from liftlock.shadow import embedded
from liftlock.shadow.janitor import FIRST, HIDDEN
from liftlock.shadow.state_cache import StateCache
from liftlock.shadow.temporary_folder import temporary_folder
from liftlock.sql import mentions

_BASE = "postgres"
_TEMPLATES = ("template0", "template1")

Build = Callable[[Address, int], None]
"""Brings a database to a base state. The number is that of the key of the state that it has; -1 if
it is empty."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A server with a database in the base state, of which copies can be made.

    Parameters:
        server: an address of the server whose role may create databases.
        base: the address of the database.
        version: the version of PostgreSQL, such as ``18.6``.
        name: the prefix of the names of all databases of the shadow.
    """

    server: Address
    base: Address
    version: str
    name: str

    @contextlib.contextmanager
    def copied(self, source: Address) -> Iterator[Address]:
        """Copy a database of the server, and drop the copy at the end of the context.

        Other sessions on the source are terminated: CREATE DATABASE can't copy a database with
        sessions.
        """
        name = f"{self.name}_{secrets.token_hex(4)}"
        with contextlib.closing(connect(self.server, "check")) as session:
            query(session, "throw_out", dbname=source.dbname)
        _execute(self.server, f"CREATE DATABASE {name} TEMPLATE {source.dbname}")
        try:
            yield _address_of(self.server, name)
        finally:
            _execute(self.server, f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True, slots=True)
class BaseState:
    """A base state, and how it is built.

    Parameters:
        keys: the keys of the states along the chain of revisions; the last one is that of this
            state. A key depends on everything that its state depends on, and names its folder.
        roles: the roles that the server has.
        build: builds it.
    """

    keys: Sequence[str]
    roles: Sequence[str]
    build: Build


class Roles:
    """The roles of a server, which all its databases share.

    A revision is run twice, in two databases. The roles that its first run created are hidden from
    the second one by renaming them; otherwise its CREATE ROLE would fail there.

    Parameters:
        server: an address of the server. Others may use the server, so only roles that the
            revisions created are renamed.
    """

    def __init__(self, server: Address) -> None:
        self._server = server
        self._created: set[str] = set()
        with self._session() as session:
            self._known = _roles(session)

    @contextlib.contextmanager
    def others(self, sent: Iterable[str]) -> Iterator[None]:
        """Show the roles of the second run in place of those of the first until the context ends.

        Parameters:
            sent: the statements of the first run; a new role that none of them mentions was created
                by others.
        """
        statements = list(sent)
        with self._session() as session:
            self._created |= self._created_by(session, statements)
            for role in self._created:
                _rename(session, role, f"{HIDDEN}{FIRST}{role}")
                _rename(session, f"{HIDDEN}{role}", role)
        try:
            yield
        finally:
            with self._session() as session:
                for role in self._created:
                    _rename(session, role, f"{HIDDEN}{role}")
                    _rename(session, f"{HIDDEN}{FIRST}{role}", role)

    def _created_by(self, session: Session, statements: Sequence[str]) -> set[str]:
        new = {role for role in _roles(session) - self._known if not role.startswith(HIDDEN)}
        return {role for role in new if _is_mentioned(role, statements)}

    def _session(self) -> contextlib.closing[Session]:
        return contextlib.closing(connect(self._server, "check"))


@contextlib.contextmanager
def embedded_shadow(cache: Path, state: BaseState, ports: Sequence[int] = ()) -> Iterator[Shadow]:
    """Run a shadow on an embedded server until the end of the context.

    Parameters:
        cache: the folder in which base states are kept.
        state: the base state.
        ports: the ports that the server may listen on; free ones by default.

    Raises:
        SettingsError: the cache can't be written.
        LiftlockError: the server can't be started, or the error of ``build``.
    """
    states = StateCache(cache)
    states.prepare()
    with temporary_folder() as temporary:
        folder = temporary / "shadow"
        if not states.copy(state.keys[-1], folder):
            _build_state(states, state, folder, ports)
        with _serve(folder, ports) as server:
            yield Shadow(server, _address_of(server, _BASE), _version(server), "liftlock")


@contextlib.contextmanager
def server_shadow(server: Address, texts: Sequence[str], build: Build) -> Iterator[Shadow]:
    """Make a shadow on a server of others until the end of the context.

    The janitor process drops its databases and roles, even if this process is killed.

    Parameters:
        server: the address of a database of the server, which isn't changed. The role must be
            allowed to create databases.
        texts: the texts of the revisions: new roles that they create by name are dropped too.
        build: brings the empty database to the base state.

    Raises:
        SettingsError: the role may not create databases.
        LiftlockError: the server can't be used, or the error of ``build``.
    """
    problem = probe(server)
    if problem is not None:
        raise problem.error()
    name = f"liftlock_shadow_{secrets.token_hex(4)}"
    with contextlib.closing(connect(server, "check")) as session:
        roles = _roles(session)
    task = {
        "name": name,
        "address": server.keywords(),
        "roles": sorted(roles),
        "texts": list(texts),
    }
    with _janitor(task):
        try:
            # Without quotes: the janitor looks for this text in pg_stat_activity.
            _execute(server, f"CREATE DATABASE {name}")
        except psycopg.errors.InsufficientPrivilege as error:
            raise _permission_missing(server) from error
        base = _address_of(server, name)
        build(base, -1)
        yield Shadow(server, base, _version(server), name)


@contextlib.contextmanager
def _janitor(task: Mapping[str, object]) -> Iterator[None]:
    """Start the janitor; it does its task at the end of the context, or of this process."""
    janitor = subprocess.Popen(
        [sys.executable, "-m", "liftlock.shadow.janitor"],
        stdin=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    with janitor:  # which closes its standard input, and waits for it
        if janitor.stdin is not None:
            janitor.stdin.write(json.dumps(dict(task)) + "\n")
            janitor.stdin.flush()
        yield


def _build_state(states: StateCache, state: BaseState, folder: Path, ports: Sequence[int]) -> None:
    """Build a base state from the nearest one that is kept, and keep it too."""
    nearest = states.copy_latest(state.keys, folder)
    if nearest < 0:
        folder.mkdir()
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text(secrets.token_urlsafe(16))
    with _serve(folder, ports) as server:
        if nearest < 0:
            embedded.make_roles(server, state.roles)
        state.build(_address_of(server, _BASE), nearest)
        _drop_templates(server)
    states.store(state.keys[-1], folder)


def _drop_templates(server: Address) -> None:
    """Drop the template databases, which aren't used: each has hundreds of files to copy."""
    with contextlib.closing(connect(server, "check")) as session:
        for name in _TEMPLATES:
            session.execute(
                "UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = %s", [name]
            )
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def _serve(folder: Path, ports: Sequence[int]) -> contextlib.AbstractContextManager[Address]:
    password = (folder / "password").read_text()
    return embedded.serve(folder / "data", password, ports=ports, settings=embedded.THROWAWAY)


def _version(server: Address) -> str:
    with contextlib.closing(connect(server, "check")) as session:
        row = session.execute("SELECT current_setting('server_version') AS version").fetchone()
    return str(row["version"] if row is not None else "").split(" ")[0]


def _roles(session: Session) -> set[str]:
    return {row["name"] for row in query(session, "roles")}


def _is_mentioned(role: str, statements: Iterable[str]) -> bool:
    return any(mentions(statement, role) for statement in statements)


def _rename(session: Session, old: str, new: str) -> None:
    """Rename a role if it exists."""
    if old in _roles(session):
        rename = sql.SQL("ALTER ROLE {} RENAME TO {}")
        session.execute(rename.format(sql.Identifier(old), sql.Identifier(new)))


def _execute(server: Address, statement: str) -> None:
    with contextlib.closing(connect(server, "check")) as session:
        session.execute(statement.encode())


def _address_of(server: Address, dbname: str) -> Address:
    return Address(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=dbname,
        options=server.options,
    )


def _permission_missing(server: Address) -> SettingsError:
    return SettingsError(
        "LL-SHADOW-PERMISSION",
        f"{server.user} may not create databases on {server!r}.",
        why="The revisions are run in databases of their own.",
        now=f"Allow it: ALTER ROLE {server.user} CREATEDB. Or leave out --shadow-url: the embedded"
        " server needs no permission.",
    )
