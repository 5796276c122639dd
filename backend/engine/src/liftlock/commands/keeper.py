"""Keeps the address of a real database from the revisions that are judged.

``check`` runs other people's code. So the process that was given the address keeps it, loads no revision and is
asked in names; the command goes on anew, by exec, without it in its arguments, its environment or its memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import psycopg

from liftlock import errors
from liftlock.commands.status import Build, Status, compare
from liftlock.errors import LiftlockError, NotNow
from liftlock.events import Event, Notify
from liftlock.model.report import Size
from liftlock.model.revision import Chain, Revision, Standing
from liftlock.planning.questions import Question
from liftlock.postgres.data import Data
from liftlock.postgres.embedded import free_ports
from liftlock.revisions.confinement import confine, withdraw
from liftlock.settings import Address, from_url

OPTION, VARIABLE = "--data-url", "LIFTLOCK_DATA_URL"
_SOCKET = "LIFTLOCK_KEEPER"


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a real database stands: what of a build is pending there, and whether it has a revision that the build doesn't know."""

    pending: frozenset[str]
    foreign: bool

    @classmethod
    def of(cls, found: Status) -> Seen:
        """What is seen of a status."""
        return cls(frozenset() if found.satisfied else found.pending, found.standing is Standing.FOREIGN)


def hand_over(url: str) -> NoReturn:
    """Leave an address to a process of its own, and begin this command anew without it.

    Nothing may run beside the calling thread.

    Raises:
        SettingsError: it isn't an address.
    """
    address = from_url(url)
    ours, theirs = socket.socketpair()
    environ = {name: value for name, value in os.environ.items() if name != VARIABLE}
    program = [sys.executable, "-P", "-m", __name__, str(theirs.fileno())]  # nothing is imported from the current folder
    null = subprocess.DEVNULL
    _keeper = subprocess.Popen(  # noqa: S603 - our own arguments
        program, env=environ, pass_fds=[theirs.fileno()], stdin=null, stdout=null, stderr=null, start_new_session=True
    )
    ours.sendall(json.dumps([address.host, address.port, address.user, address.password, address.dbname, address.options]).encode() + b"\n")
    os.set_inheritable(ours.fileno(), True)  # noqa: FBT003 - its only parameter
    anew = [sys.executable, *without_address(sys.orig_argv[1:])]
    os.execve(sys.executable, anew, environ | {_SOCKET: str(ours.fileno())})  # noqa: S606 - this command itself


def without_address(arguments: Sequence[str]) -> list[str]:
    """A command's arguments, but for the option that gives the address."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [one for before, one in pairs if OPTION not in {before, one} and not one.startswith(f"{OPTION}=")]


def main() -> None:
    """Keep the address that comes first, and answer until whoever asks has ended."""
    withdraw()
    with socket.socket(fileno=int(sys.argv[1])) as asked, asked.makefile("rw", encoding="utf-8") as lines, contextlib.ExitStack() as stack:
        host, port, user, password, dbname, options = json.loads(lines.readline())
        address = Address(host=host, port=port, user=user, password=password, dbname=dbname, options=options)
        answers = _Answers(address, stack)
        for line in lines:
            lines.write(json.dumps(answers.to(json.loads(line))) + "\n")
            lines.flush()


class _Answers:
    """What is answered.

    Parameters:
        address: of the database; it is connected to when something is asked.
        stack: closes the session.
    """

    def __init__(self, address: Address, stack: contextlib.ExitStack) -> None:
        self._address = address
        self._stack = stack
        self._data: Data | None = None

    def to(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The answer, or the error, to anything."""
        try:
            return {"answer": self._answer(asked)}
        except LiftlockError as error:
            return {"error": error.as_dict()}
        except (psycopg.Error, ValueError, TypeError, LookupError) as error:
            return {"error": NotNow("LL-DATA-URL", f"{self._address!r}: {error}", now="Look at the server, and run it again.").as_dict()}

    def _answer(self, asked: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what JSON knows
        match asked["about"]:
            case "address":
                with contextlib.closing(Data(self._address)):
                    return repr(self._address)
            case "standing":
                chain = Chain.of(Revision.from_dict(row) for row in asked["revisions"])
                with contextlib.closing(Data(self._address)) as data:
                    seen = Seen.of(compare(data.session, Build(asked["version_table"], chain, frozenset(asked["required"]))))
                return {"pending": sorted(seen.pending), "foreign": seen.foreign}
            case "rows":
                return self._kept().look(Question.from_dict(asked["question"]))
            case "sizes":
                sizes, reason = self._kept().sizes([str(name) for name in asked["tables"]])
                return {name: asdict(size) for name, size in sizes.items()}, reason
        raise LookupError(asked["about"])

    def _kept(self) -> Data:
        """One session for all that is asked at the end; while revisions are tried, there is none."""
        if self._data is None:
            self._data = self._stack.enter_context(contextlib.closing(Data(self._address)))
        return self._data


class Keeper:
    """The other side: asks the process that keeps the address.

    Parameters:
        number: of the socket to it.
        ports: at which this process may reach a shadow.

    Raises:
        LiftlockError: the database can't be used.
    """

    def __init__(self, number: int, ports: Sequence[int]) -> None:
        os.set_inheritable(number, False)  # noqa: FBT003 - its only parameter
        with socket.socket(fileno=number) as connection:
            self._lines = connection.makefile("rw", encoding="utf-8")
        self.ports = ports
        try:
            self.address = str(self._ask("address"))
        except LiftlockError:
            self.close()
            raise

    @classmethod
    def found(cls, server: Address | None, notify: Notify) -> Keeper | None:
        """The one that ``hand_over`` left, if any; this process, and all that it starts, is then confined to the shadow.

        Parameters:
            server: on which revisions are tried; the embedded one by default.
            notify: is told when the system can't confine.

        Raises:
            LiftlockError: the database can't be used.
        """
        number = os.environ.pop(_SOCKET, None)
        if not number:
            return None
        ports = [int(server.port)] if server else free_ports()
        if not confine(ports):
            text = "this system can't keep revisions from the network (Landlock of Linux 6.7 does): only the address is kept from them"
            notify(Event("check.unconfined", text, warning=True))
        return cls(int(number), ports)

    def close(self) -> None:
        """Let it end."""
        self._lines.close()

    def standing(self, build: Build) -> Seen:
        """Where the database stands."""
        rows = [asdict(one) for one in build.chain]
        found = self._ask("standing", version_table=build.version_table, revisions=rows, required=sorted(build.required))
        return Seen(frozenset(found["pending"]), found["foreign"])

    def look(self, question: Question) -> tuple[str, bool]:
        """The rows that are asked for, one a line; or why they couldn't be looked for. And whether they were."""
        text, seen = self._ask("rows", question=asdict(question))
        return text, seen

    def sizes(self, tables: Sequence[str]) -> tuple[dict[str, Size], str]:
        """How large tables are, and how much is written to them; those that aren't there are left out. And why it couldn't look."""
        found, reason = self._ask("sizes", tables=list(tables))
        return {name: Size(**size) for name, size in found.items()}, reason

    def _ask(self, about: str, **more: object) -> Any:  # noqa: ANN401 - what JSON knows
        try:
            self._lines.write(json.dumps({"about": about, **more}) + "\n")
            self._lines.flush()
            line = self._lines.readline()
        except OSError:
            line = ""
        if not line:
            raise NotNow("LL-DATA-URL", "The process that keeps the address of --data-url has ended.", now="Run it again.")
        answer = json.loads(line)
        if "error" in answer:
            told = answer["error"]
            raise getattr(errors, told["family"])(told["error"], told["what"], why=told["why"], now=told["now"])
        return answer["answer"]


if __name__ == "__main__":
    main()
