"""The client of the broker: starts it, and sends it requests, each a line of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, TextIO

from liftlock import errors
from liftlock.broker.process import OPTION, VARIABLE, DatabaseStatus, Reply
from liftlock.broker.row_queries import RowQuery
from liftlock.broker.sandbox import confine
from liftlock.broker.table_size import Size
from liftlock.errors import NotNow, SettingsError
from liftlock.events import Event, Notify
from liftlock.postgres.standing import Build
from liftlock.settings import Address, from_url

_SOCKET_VARIABLE = "LIFTLOCK_BROKER"
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]);"
    " from liftlock.broker.process import main; main(int(sys.argv[1]))"
)


def start_broker(url: str) -> NoReturn:
    """Start the broker with an address, and replace this process by the same command without it.

    Only the calling thread may run: ``exec`` ends all others.

    Raises:
        LiftlockError: the database can't be used, or the broker can't be started.
    """
    address = from_url(url)
    if _SOCKET_VARIABLE in os.environ or sys.argv[0] in {"", "-"}:
        raise _address_exposed()
    client_end, broker_end = socket.socketpair()
    with broker_end:
        broker = _start_process(broker_end)
    with client_end, client_end.makefile("rw", encoding="utf-8") as lines:
        if _exchange(lines, url) is None:
            raise _not_started(broker)
        inheritable = True
        os.set_inheritable(client_end.fileno(), inheritable)
        environ = _without_secrets(address) | {_SOCKET_VARIABLE: str(client_end.fileno())}
        os.execve(sys.executable, [sys.executable, *without_address(sys.orig_argv[1:])], environ)


def connect_to_broker(ports: Sequence[int], *, trust: bool, notify: Notify) -> DataBroker | None:
    """Connect to the broker that ``start_broker`` started, and confine this process for good.

    Parameters:
        ports: the TCP ports of the shadow, which stay reachable.
        trust: go on if the system can't confine the process.
        notify: receives an event that says whether the process is confined.

    Returns:
        The client of the broker; None if ``--data-url`` wasn't given.

    Raises:
        SettingsError: the system can't confine the process.
    """
    descriptor = os.environ.pop(_SOCKET_VARIABLE, None)
    if not descriptor:
        return None
    if confine(ports):
        text = "the revisions have no network but the shadow, since --data-url is given"
        notify(Event("check.confined", text))
    elif trust:
        text = "the revisions are trusted: this system can't keep them from the database"
        notify(Event("check.unconfined", text, warning=True))
    else:
        raise _sandbox_unavailable()
    return DataBroker(int(descriptor), ports)


def without_address(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command without the option that gives the address."""
    previous = ["", *arguments]
    return [
        argument
        for before, argument in zip(previous, arguments, strict=False)
        if OPTION not in {before, argument} and not argument.startswith(f"{OPTION}=")
    ]


def _start_process(broker_end: socket.socket) -> subprocess.Popen[bytes]:
    """Start the broker process, which inherits its end of the socket."""
    descriptor = broker_end.fileno()
    # The current folder belongs to the project, and must not provide modules to the broker.
    path = [folder for folder in sys.path if folder not in {"", str(Path.cwd())}]
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _PROGRAM, str(descriptor), json.dumps(path)],
        env={name: value for name, value in os.environ.items() if name != VARIABLE},
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _without_secrets(address: Address) -> dict[str, str]:
    """Return the environment without the address and the password that belongs to it."""
    secret = {VARIABLE} if address.password else {VARIABLE, "PGPASSWORD"}
    return {name: value for name, value in os.environ.items() if name not in secret}


def _exchange(lines: TextIO, request: object) -> Reply | None:
    """Send a request and wait for the reply; None if the broker has ended.

    Raises:
        LiftlockError: the broker's error.
    """
    try:
        lines.write(json.dumps(request) + "\n")
        lines.flush()
        line = lines.readline()
    except OSError:
        return None
    if not line:
        return None
    message = json.loads(line)
    if "error" in message:
        error = message["error"]
        family = getattr(errors, error["family"])
        raise family(error["error"], error["what"], why=error["why"], now=error["now"])
    reply: Reply = message["reply"]
    return reply


class DataBroker:
    """The client's side of the broker.

    Parameters:
        descriptor: the file descriptor of the socket to the broker.
        ports: the TCP ports of a shadow that this process can reach.
    """

    def __init__(self, descriptor: int, ports: Sequence[int]) -> None:
        inheritable = False
        os.set_inheritable(descriptor, inheritable)
        with socket.socket(fileno=descriptor) as connection:
            self._lines = connection.makefile("rw", encoding="utf-8")
        self.ports = ports

    def close(self) -> None:
        """Close the socket, which ends the broker."""
        with contextlib.suppress(OSError):
            self._lines.close()

    def status(self, build: Build) -> DatabaseStatus:
        """Compare the database with a build."""
        reply = self._request(
            "status",
            version_table=build.version_table,
            revisions=[asdict(revision) for revision in build.chain],
            required=sorted(build.required),
        )
        return DatabaseStatus(reply["address"], frozenset(reply["pending"]), reply["foreign"])

    def find_rows(self, row_query: RowQuery) -> tuple[str, bool]:
        """Run a query for rows.

        Returns:
            The rows, one a line, and True; or the reason why the query can't be run, and False.
        """
        reply = self._request("rows", row_query=asdict(row_query))
        return reply["text"], reply["complete"]

    def table_sizes(self, tables: Sequence[str]) -> tuple[dict[str, Size], str]:
        """Measure the size and the write load of tables.

        Parameters:
            tables: the tables as SQL text; those that don't exist are left out.

        Returns:
            The sizes by table, and an empty text; or no sizes, and the reason.
        """
        reply = self._request("sizes", tables=list(tables))
        sizes = {name: Size(**fields) for name, fields in reply["sizes"].items()}
        return sizes, reply["error"]

    def _request(self, name: str, **fields: object) -> Reply:
        reply = _exchange(self._lines, {"request": name, **fields})
        if reply is None:
            raise _broker_ended()
        return reply


def _address_exposed() -> SettingsError:
    return SettingsError(
        "LL-BROKER-ADDRESS-EXPOSED",
        f"liftlock can't restart this program without the address of {OPTION}: the program sets"
        f" {VARIABLE} itself, or it isn't a file that can be run again.",
        why="Revisions would run in a process that has the address and the password.",
        now="Set the variable outside of the program, and run liftlock itself:\n"
        f"export {VARIABLE}=postgresql://…\nliftlock check",
    )


def _not_started(broker: subprocess.Popen[bytes]) -> SettingsError:
    errors_of_python = (broker.communicate()[1] or b"").decode(errors="replace")
    reason = " ".join(errors_of_python.strip().splitlines()[-1:])
    return SettingsError(
        "LL-BROKER-NOT-STARTED",
        f"The broker, a process that holds the address of {OPTION}, doesn't start: {reason}",
        why="It imports nothing from the current folder, which belongs to the project.",
        now="Install liftlock in a virtual environment, not in the folder where you run it:\n"
        "pip install liftlock",
    )


def _sandbox_unavailable() -> SettingsError:
    return SettingsError(
        "LL-SANDBOX-UNAVAILABLE",
        f"This system can't keep the revisions from the database of {OPTION}: it lacks Landlock"
        " rules for TCP, or this process has several threads.",
        why="Revisions are code: a hostile one could find the address and connect.",
        now="Run the command on Linux 6.7 or newer. Or, if you trust the revisions' authors:\n"
        "liftlock check --trust",
    )


def _broker_ended() -> NotNow:
    return NotNow(
        "LL-BROKER-ENDED",
        f"The broker, the process that holds the address of {OPTION}, has ended.",
        why="The rows of that database can't be checked without it.",
        now="Run the same command again. If the broker ends again, look in the system log for the"
        " signal that ended it, such as that of the out-of-memory killer.",
    )
