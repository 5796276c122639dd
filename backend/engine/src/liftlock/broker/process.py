"""The broker process: holds the address of a real database, and answers requests about its rows.

``liftlock check`` runs revisions that other people wrote. Python code can find everything that its
process has, so the address is held by a separate process, which loads no code of the project. The
command (``liftlock.broker.client``) sends it the address, then replaces itself by ``exec`` with the
same command, whose arguments, environment and memory don't contain the address
(docs/decisions/0013-keeper.md).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from liftlock.broker.reader import RowReader
from liftlock.broker.row_queries import RowQuery
from liftlock.broker.sandbox import withdraw
from liftlock.errors import LiftlockError, NotNow, SettingsError
from liftlock.model.revision import Chain, Revision, SchemaState
from liftlock.postgres.standing import Build, compare
from liftlock.settings import Address, from_url

OPTION, VARIABLE = "--data-url", "LIFTLOCK_DATA_URL"
_MAX_SECONDS = 600.0
"""The time that the broker spends on requests at most: revisions could send any number of them."""

Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """The state of a database, compared with the revisions of a build.

    Parameters:
        address: the address, without the password.
        pending: the revisions of the build that aren't applied.
        foreign: whether the version table has a revision that no file has.
    """

    address: str
    pending: frozenset[str]
    foreign: bool


def status_of(address: Address, build: Build) -> DatabaseStatus:
    """Compare a database with a build, in a read-only session.

    Raises:
        LiftlockError: the database can't be used.
        psycopg.Error: the database can't be read.
    """
    with contextlib.closing(RowReader(address)) as reader:
        status = compare(reader.session, build)
    pending = frozenset() if status.satisfied else status.pending
    return DatabaseStatus(repr(address), pending, status.state is SchemaState.FOREIGN)


def main(descriptor: int) -> None:
    """Run the broker: take the address from the first line, then answer requests until the end.

    Parameters:
        descriptor: the file descriptor of the socket to the client.
    """
    withdraw()
    with (
        socket.socket(fileno=descriptor) as client,
        client.makefile("rw", encoding="utf-8") as lines,
        contextlib.ExitStack() as stack,
    ):
        broker = _Broker(stack)
        for line in lines:
            lines.write(json.dumps(broker.answer(json.loads(line))) + "\n")
            lines.flush()


class _Broker:
    """Answers the requests of a client.

    Parameters:
        stack: closes the session to the database.
    """

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._address: Address | None = None
        self._reader: RowReader | None = None
        self._seconds = 0.0

    def answer(self, request: object) -> dict[str, object]:
        """Return the reply to any request, or the error, as a message."""
        begun = time.monotonic()
        try:
            return {"reply": self._reply(request)}
        except LiftlockError as error:
            return {"error": error.as_dict()}
        except Exception as error:  # noqa: BLE001 - the client needs an answer to every request
            return {"error": _query_failed(self._address, error).as_dict()}
        finally:
            self._seconds += time.monotonic() - begun

    def _reply(self, request: object) -> Reply:
        if self._address is None:
            return self._connect(str(request))
        if not isinstance(request, dict):
            raise TypeError(request)
        return self._handle(self._address, request)

    def _connect(self, url: str) -> Reply:
        """Connect once, before a revision runs, and keep the address of the server itself.

        While revisions run, its host name could resolve to a server of theirs.
        """
        address = from_url(url)
        program = _program_with(url) if address.password else ""
        if program:
            raise _password_visible(address, program)
        with contextlib.closing(RowReader(address)) as reader:
            self._address = reader.server_address(address)
        return {}

    def _handle(self, address: Address, request: Mapping[str, Any]) -> Reply:
        if self._seconds > _MAX_SECONDS:
            raise _time_limit(address)
        match request["request"]:
            case "status":
                return self._status(address, request)
            case "rows":
                row_query = RowQuery.from_dict(request["row_query"])
                text, complete = self._session(address).find_rows(row_query)
                return {"text": text, "complete": complete}
            case "sizes":
                tables = [str(name) for name in request["tables"]]
                sizes, error = self._session(address).table_sizes(tables)
                return {
                    "sizes": {name: asdict(size) for name, size in sizes.items()},
                    "error": error,
                }
        raise LookupError(request["request"])

    def _status(self, address: Address, request: Mapping[str, Any]) -> Reply:
        chain = Chain.of(Revision.from_dict(row) for row in request["revisions"])
        build = Build(request["version_table"], chain, frozenset(request["required"]))
        status = status_of(address, build)
        return asdict(status) | {"pending": sorted(status.pending)}

    def _session(self, address: Address) -> RowReader:
        """Return the session for rows and sizes, which are requested when all revisions have run.

        Opened at its first use, so that no session is open while the revisions run.
        """
        if self._reader is None:
            self._reader = self._stack.enter_context(contextlib.closing(RowReader(address)))
        return self._reader


def _program_with(url: str) -> str:
    """Return the name and the PID of a program with a URL in its arguments; empty if none has.

    Every process can read the arguments of all others. This command doesn't count: it replaces
    itself by one without the URL.
    """
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        pid = path.parent.name
        with contextlib.suppress(OSError):
            if int(pid) != os.getppid() and url.encode() in path.read_bytes():
                name = (path.parent / "comm").read_text().strip()
                return f"{name} ({pid})"
    return ""


def _query_failed(address: Address | None, error: Exception) -> NotNow:
    database = repr(address) if address is not None else f"the database of {OPTION}"
    return NotNow(
        "LL-BROKER-QUERY-FAILED",
        f"The broker can't query {database}: {error}",
        why=f"With {OPTION}, the revisions are checked against the rows of that database.",
        now="Check the log of the database server, then run the same command again.",
    )


def _password_visible(address: Address, program: str) -> SettingsError:
    return SettingsError(
        "LL-BROKER-PASSWORD-VISIBLE",
        f"The password of {address!r} is in the arguments of a running program, {program}.",
        why="Every process on this machine can read them, and so can the revisions.",
        now=f"Give the address by the environment:\nexport {VARIABLE}=postgresql://…",
    )


def _time_limit(address: Address) -> NotNow:
    return NotNow(
        "LL-BROKER-TIME-LIMIT",
        f"The broker has used up its time for queries of {address!r}, {_MAX_SECONDS:g} s.",
        why="The limit protects that database from revisions that query it without an end.",
        now="Check fewer revisions at once: liftlock check REVISION.",
    )
