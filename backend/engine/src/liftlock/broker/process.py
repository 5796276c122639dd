"""Keeps the address of a real database from the revisions that are judged.

``check`` runs other people's code. So a process that loads none of it, the keeper, has the address, and is asked in names; the
command begins anew, by exec, without the address in its arguments, its environment or its memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO

from liftlock import errors
from liftlock.broker.reader import RowReader
from liftlock.broker.row_queries import RowQuery
from liftlock.broker.sandbox import confine, withdraw
from liftlock.broker.table_size import Size
from liftlock.errors import LiftlockError, NotNow, SettingsError
from liftlock.events import Event, Notify
from liftlock.model.revision import Chain, Revision, SchemaState
from liftlock.postgres.standing import Build, Status, compare
from liftlock.settings import Address, from_url

OPTION, VARIABLE = "--data-url", "LIFTLOCK_DATA_URL"
_SOCKET = "LIFTLOCK_KEEPER"
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from liftlock.broker.process import main; main(int(sys.argv[1]))"
_SECONDS = 600.0
"""How long it works for who asks, all in all."""


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """Where a database stands.

    Parameters:
        address: its own, without the password.
        pending: what of a build is to run there.
        foreign: whether it has a revision that nobody knows.
    """

    address: str
    pending: frozenset[str]
    foreign: bool


def status_of(address: Address, build: Build) -> DatabaseStatus:
    """Compare a database with a build; it is only read.

    Raises:
        LiftlockError: it can't be used.
        psycopg.Error: it can't be read.
    """
    with contextlib.closing(RowReader(address)) as data:
        found: Status = compare(data.session, build)
    return DatabaseStatus(
        repr(address),
        frozenset() if found.satisfied else found.pending,
        found.state is SchemaState.FOREIGN,
    )


def start_broker(url: str) -> NoReturn:
    """Leave an address to a keeper, and begin this command anew without it. Nothing may run beside the calling thread.

    Raises:
        LiftlockError: the database can't be used.
    """
    address = from_url(url)
    if _SOCKET in os.environ or sys.argv[0] in {"", "-"}:
        raise SettingsError(
            "LL-BROKER-ADDRESS-EXPOSED",
            f"The program that runs liftlock gives it the address by itself ({VARIABLE}), or isn't a file.",
            why="Revisions would find the address in it.",
            now=f"Set {VARIABLE} outside, and run liftlock itself.",
        )
    ours, theirs = socket.socketpair()
    path = json.dumps(
        [one for one in sys.path if one not in {"", str(Path.cwd())}]
    )  # what lies in the checkout isn't imported
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-c", _PROGRAM, str(theirs.fileno()), path],
        env={name: value for name, value in os.environ.items() if name != VARIABLE},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    theirs.close()
    lines = ours.makefile("rw", encoding="utf-8")
    if not _exchanged(lines, url):
        reason = (keeper.communicate()[1] or b"").decode(errors="replace").strip().splitlines()[-1:]
        now = "Install liftlock elsewhere than in this folder, from which nothing is imported beside the address."
        raise SettingsError(
            "LL-BROKER-NOT-STARTED",
            f"What keeps the address doesn't start: {' '.join(reason)}",
            now=now,
        )
    os.set_inheritable(ours.fileno(), True)
    known = {VARIABLE} if address.password else {VARIABLE, "PGPASSWORD"}
    environ = {name: value for name, value in os.environ.items() if name not in known} | {
        _SOCKET: str(ours.fileno())
    }
    os.execve(sys.executable, [sys.executable, *without_address(sys.orig_argv[1:])], environ)


def connect_to_broker(ports: Sequence[int], *, trust: bool, notify: Notify) -> DataBroker | None:
    """Who asks the keeper that ``hand_over`` left; this process is then confined for good. None where no address was given.

    Parameters:
        ports: at which it may reach a shadow nevertheless.
        trust: go on where the system can't confine.
        notify: is told.

    Raises:
        SettingsError: the system can't confine.
    """
    number = os.environ.pop(_SOCKET, None)
    if not number:
        return None
    if confine(ports):
        notify(
            Event(
                "check.confined",
                "the revisions have no network but the shadow, since --data-url is given",
            )
        )
    elif trust:
        notify(
            Event(
                "check.unconfined",
                "the revisions are trusted: this system can't keep them from the database",
                warning=True,
            )
        )
    else:
        raise SettingsError(
            "LL-SANDBOX-UNAVAILABLE",
            "This system can't keep the revisions from the database of --data-url.",
            why="They are code: hostile ones could find its address, and connect.",
            now="Run it on Linux 6.7 or newer, which can (Landlock); or, if you trust who wrote them, with --trust.",
        )
    return DataBroker(int(number), ports)


def without_address(arguments: Sequence[str]) -> list[str]:
    """A command's arguments, but for the option that gives the address."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [
        one
        for before, one in pairs
        if OPTION not in {before, one} and not one.startswith(f"{OPTION}=")
    ]


def _exchanged(lines: TextIO, asked: object) -> Any:
    """What is answered; None when there is nobody any more.

    Raises:
        LiftlockError: as the keeper says.
    """
    try:
        lines.write(json.dumps(asked) + "\n")
        lines.flush()
        answer = json.loads(lines.readline() or '{"answer": null}')
    except OSError:
        return None
    if "error" in answer:
        told = answer["error"]
        raise getattr(errors, told["family"])(
            told["error"], told["what"], why=told["why"], now=told["now"]
        )
    return answer["answer"]


def main(number: int) -> None:
    """Keep the address that comes first, and answer until whoever asks has ended.

    Parameters:
        number: of the socket to it.
    """
    withdraw()
    with (
        socket.socket(fileno=number) as asked,
        asked.makefile("rw", encoding="utf-8") as lines,
        contextlib.ExitStack() as stack,
    ):
        answers = _Answers(stack)
        for line in lines:
            lines.write(json.dumps(answers.to(json.loads(line))) + "\n")
            lines.flush()


class _Answers:
    """What is answered.

    Parameters:
        stack: closes the session.
    """

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._address: Address | None = None
        self._data: RowReader | None = None
        self._seconds = 0.0

    def to(self, asked: Any) -> dict[str, Any]:
        """The answer, or the error, to anything."""
        begun = time.monotonic()
        try:
            return {
                "answer": self._begun(str(asked))
                if self._address is None
                else self._answer(self._address, asked)
            }
        except LiftlockError as error:
            return {"error": error.as_dict()}
        except Exception as error:
            return {
                "error": NotNow(
                    "LL-BROKER-QUERY-FAILED",
                    f"{self._address!r}: {error}",
                    now="Look at the server, and run it again.",
                ).as_dict()
            }
        finally:
            self._seconds += time.monotonic() - begun

    def _begun(self, url: str) -> bool:
        """The first that is said is the address; while revisions run, its name could lead elsewhere, so the server that answers is kept."""
        address = from_url(url)
        shown = _shown_in(url) if address.password else ""
        if shown:
            raise SettingsError(
                "LL-BROKER-PASSWORD-VISIBLE",
                f"The password of {address!r} is in the arguments of a running program, {shown}, where revisions can read it.",
                now=f"Give the address by the environment, {VARIABLE}.",
            )
        with contextlib.closing(RowReader(address)) as data:
            self._address = data.met(address)
        return True

    def _answer(self, address: Address, asked: Mapping[str, Any]) -> Any:
        if self._seconds > _SECONDS:
            raise NotNow(
                "LL-BROKER-TIME-LIMIT",
                f"{address!r} was asked for {_SECONDS:g} s already.",
                now="Check fewer revisions at once.",
            )
        match asked["about"]:
            case "standing":
                chain = Chain.of(Revision.from_dict(row) for row in asked["revisions"])
                seen = status_of(
                    address, Build(asked["version_table"], chain, frozenset(asked["required"]))
                )
                return asdict(seen) | {"pending": sorted(seen.pending)}
            case "rows":
                return self._session(address).look(RowQuery.from_dict(asked["question"]))
            case "sizes":
                sizes, reason = self._session(address).sizes(
                    [str(name) for name in asked["tables"]]
                )
                return {name: asdict(size) for name, size in sizes.items()}, reason
        raise LookupError(asked["about"])

    def _session(self, address: Address) -> RowReader:
        """One for all that is asked at the end; while revisions are tried, there is none."""
        if self._data is None:
            self._data = self._stack.enter_context(contextlib.closing(RowReader(address)))
        return self._data


def _shown_in(url: str) -> str:
    """A program that has an address in its arguments, which all can read; this command, which begins anew, doesn't count."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if int(path.parent.name) != os.getppid() and url.encode() in path.read_bytes():
                return f"{(path.parent / 'comm').read_text().strip()} ({path.parent.name})"
    return ""


class DataBroker:
    """The other side: asks the keeper.

    Parameters:
        number: of the socket to it.
        ports: at which this process may reach a shadow.
    """

    def __init__(self, number: int, ports: Sequence[int]) -> None:
        os.set_inheritable(number, False)
        with socket.socket(fileno=number) as connection:
            self._lines = connection.makefile("rw", encoding="utf-8")
        self.ports = ports

    def close(self) -> None:
        """Let it end."""
        with contextlib.suppress(OSError):
            self._lines.close()

    def standing(self, build: Build) -> DatabaseStatus:
        """Where the database stands."""
        rows = [asdict(one) for one in build.chain]
        found = self._ask(
            "standing",
            version_table=build.version_table,
            revisions=rows,
            required=sorted(build.required),
        )
        return DatabaseStatus(found["address"], frozenset(found["pending"]), found["foreign"])

    def look(self, question: RowQuery) -> tuple[str, bool]:
        """The rows that are asked for, one a line; or why they couldn't be looked for. And whether they were."""
        text, seen = self._ask("rows", question=asdict(question))
        return text, seen

    def sizes(self, tables: Sequence[str]) -> tuple[dict[str, Size], str]:
        """How large tables are, and how much is written to them; those that aren't there are left out. And why it couldn't look."""
        found, reason = self._ask("sizes", tables=list(tables))
        return {name: Size(**size) for name, size in found.items()}, reason

    def _ask(self, about: str, **more: object) -> Any:
        answer = _exchanged(self._lines, {"about": about, **more})
        if answer is None:
            raise NotNow(
                "LL-BROKER-ENDED",
                "The process that keeps the address of --data-url has ended.",
                now="Run it again.",
            )
        return answer
