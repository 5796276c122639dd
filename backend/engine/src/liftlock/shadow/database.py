"""Throwaway databases to try revisions on: copies of a base state, which is kept from one call to the next."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
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

_BASE = "postgres"
_SPARE = ("template0", "template1")
"""Nothing is made from them, and each is some hundred files to copy."""
_KEPT = 4
"""How many base states are kept; each is some 40 MB."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """A server with a database in the base state; to make copies costs more than anything else.

    Parameters:
        server: its address; the role may make databases.
        base: the database.
        version: of PostgreSQL, such as ``18.6``.
        name: what the names of all its databases begin with.
    """

    server: Address
    base: Address
    version: str
    name: str

    @contextlib.contextmanager
    def copied(self, source: Address) -> Iterator[Address]:
        """A copy of a database of the server, for as long as the context lasts; whoever is connected to it is thrown out."""
        name = f"{self.name}_{secrets.token_hex(4)}"
        with contextlib.closing(connect(self.server, "check")) as session:
            query(session, "throw_out", dbname=source.dbname)
        _execute(self.server, f"CREATE DATABASE {name} TEMPLATE {source.dbname}")
        try:
            yield _at(self.server, name)
        finally:
            _execute(self.server, f"DROP DATABASE {name} WITH (FORCE)")


class Roles:
    """The roles of a server, which all its databases share: what a revision makes in one of them is hidden from its other run.

    Parameters:
        server: its address; others may work there, and their roles aren't touched.
    """

    def __init__(self, server: Address) -> None:
        self._server = server
        self._made: set[str] = set()
        with self._session() as session:
            self._known = _roles(session)

    @contextlib.contextmanager
    def others(self, sent: Iterable[str]) -> Iterator[None]:
        """The other run: it sees the roles that it made itself, in place of those of the first.

        Parameters:
            sent: the statements of the first run: a role that is in none of them is somebody else's.
        """
        texts = list(sent)
        with self._session() as session:
            new = {one for one in _roles(session) - self._known if not one.startswith(HIDDEN)}
            self._made |= {
                one
                for one in new
                if any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text) for text in texts)
            }
            for one in self._made:
                _rename(session, one, f"{HIDDEN}{FIRST}{one}")
                _rename(session, f"{HIDDEN}{one}", one)
        try:
            yield
        finally:
            with self._session() as session:
                for one in self._made:
                    _rename(session, one, f"{HIDDEN}{one}")
                    _rename(session, f"{HIDDEN}{FIRST}{one}", one)

    def _session(self) -> contextlib.closing[Session]:
        return contextlib.closing(connect(self._server, "check"))


def _roles(session: Session) -> set[str]:
    return {row["name"] for row in query(session, "roles")}


def _rename(session: Session, old: str, new: str) -> None:
    if old in _roles(session):
        session.execute(
            sql.SQL("ALTER ROLE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new))
        )


@contextlib.contextmanager
def embedded_shadow(
    cache: Path,
    keys: Sequence[str],
    roles: Sequence[str],
    build: Callable[[Address, int], None],
    ports: Sequence[int] = (),
) -> Iterator[Shadow]:
    """A shadow on the embedded server.

    Parameters:
        cache: the folder in which base states are kept.
        keys: of the base states along the chain, the one that is wanted last; each tells all that the state depends on,
            and is a name that a folder can have.
        roles: that the server has.
        build: brings a database to the wanted state, from the state of the key of that number; -1 for an empty one.
        ports: where the server may listen; anywhere by default.

    Raises:
        SettingsError: the cache can't be written.
        LiftlockError: the server can't be started, or what ``build`` raises.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            "LL-CACHE-NOT-WRITABLE",
            f"The folder for shadows can't be made: {cache}: {error.strerror}.",
            now="Set XDG_CACHE_HOME to a folder that can be written.",
        ) from error
    with embedded.temporary_folder() as folder:
        state = folder / "shadow"
        if not _taken(cache / keys[-1], state):
            _make(cache, keys, roles, build, state, ports)
        with _serve(state, ports) as server:
            yield Shadow(server, _at(server, _BASE), _version(server), "liftlock")


@contextlib.contextmanager
def server_shadow(
    server: Address, texts: Sequence[str], build: Callable[[Address, int], None]
) -> Iterator[Shadow]:
    """A shadow on a server that somebody else runs: databases of its own there, which are gone afterwards, whatever becomes of us.

    Parameters:
        server: the address of a database there; it isn't touched. The role must be allowed to make databases.
        texts: of the revisions: roles that are new afterwards, and that they make by name, are dropped as well.
        build: as of ``embedded_shadow``; it begins from an empty database each time.

    Raises:
        SettingsError: the role may not make databases.
        LiftlockError: the server can't be used, or what ``build`` raises.
    """
    verdict = probe(server)
    if verdict is not None:
        raise verdict.error()
    name = f"liftlock_shadow_{secrets.token_hex(4)}"
    with contextlib.closing(connect(server, "check")) as session:
        roles = _roles(session)
    janitor = subprocess.Popen(
        [sys.executable, "-m", "liftlock.shadow.janitor"],
        stdin=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert janitor.stdin is not None
    try:
        told = {
            "name": name,
            "address": server.keywords(),
            "roles": sorted(roles),
            "texts": list(texts),
        }
        janitor.stdin.write(json.dumps(told) + "\n")
        janitor.stdin.flush()
        try:
            _execute(server, f"CREATE DATABASE {name}")
        except psycopg.errors.InsufficientPrivilege as error:
            raise SettingsError(
                "LL-SHADOW-PERMISSION",
                f"{server.user} may not make databases on {server!r}.",
                why="The revisions are tried in databases of their own.",
                now=f"ALTER ROLE {server.user} CREATEDB; or leave --shadow-url away: the embedded server needs none.",
            ) from error
        build(_at(server, name), -1)
        yield Shadow(server, _at(server, name), _version(server), name)
    finally:
        janitor.stdin.close()
        janitor.wait()


def _make(
    cache: Path,
    keys: Sequence[str],
    roles: Sequence[str],
    build: Callable[[Address, int], None],
    folder: Path,
    ports: Sequence[int],
) -> None:
    """Make a base state from the nearest one that is kept, and keep it too."""
    nearest = next(
        (number for number in reversed(range(len(keys))) if _taken(cache / keys[number], folder)),
        -1,
    )
    if nearest < 0:
        folder.mkdir()
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text(secrets.token_urlsafe(16))
    with _serve(folder, ports) as server:
        if nearest < 0:
            embedded.make_roles(server, roles)
        build(_at(server, _BASE), nearest)
        for name in _SPARE:
            _execute(
                server,
                f"UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = '{name}'",
            )
            _execute(server, f"DROP DATABASE IF EXISTS {name}")
    with embedded.temporary_folder(cache) as beside:
        _copy(folder, beside / "state")
        (beside / "state" / "done").touch()
        with contextlib.suppress(OSError):  # another call was faster
            (beside / "state").rename(cache / keys[-1])
        kept = (one for one in cache.iterdir() if (one / "done").exists() and one.name != keys[-1])
        for one in sorted(kept, key=lambda state: state.stat().st_mtime)[: 1 - _KEPT]:
            with _locked(one, fcntl.LOCK_EX) as got:
                if got:
                    one.rename(beside / one.name)


def _taken(state: Path, folder: Path) -> bool:
    """Copy a state that is kept; False where there is none, or another call is throwing it away."""
    with _locked(state, fcntl.LOCK_SH) as got:
        if got:
            os.utime(state)
            _copy(state, folder)
            (folder / "done").unlink()
        return got


@contextlib.contextmanager
def _locked(state: Path, kind: int) -> Iterator[bool]:
    """Whether a state is there and, for as long as the context lasts, ours: shared by those who copy it, alone by who throws it away."""
    try:
        file = (state / "done").open("rb")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield (state / "done").exists()


def _serve(folder: Path, ports: Sequence[int]) -> contextlib.AbstractContextManager[Address]:
    return embedded.serve(
        folder / "data", (folder / "password").read_text(), ports=ports, settings=embedded.THROWAWAY
    )


def _copy(source: Path, target: Path) -> None:
    """With owners and permissions, which PostgreSQL insists on."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _version(server: Address) -> str:
    with contextlib.closing(connect(server, "check")) as session:
        row = session.execute("SELECT current_setting('server_version') AS version").fetchone()
        return str(row and row["version"]).split(" ")[0]


def _execute(server: Address, sql: str) -> None:
    with contextlib.closing(connect(server, "check")) as session:
        session.execute(sql.encode())


def _at(server: Address, dbname: str) -> Address:
    return Address(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=dbname,
        options=server.options,
    )
