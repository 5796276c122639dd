"""Stand-ins for small interfaces of liftlock, for tests of pure code.

None of them stands for PostgreSQL: tests that need a server use a real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liftlock.model.operation import Operation
from liftlock.model.step import Pace, Step
from liftlock.postgres.ledger import OperationKey, RevisionProgress, StepRecord


def step(sql: str = "SELECT 1", **changes: Any) -> Step:
    """Return a step, a brief one unless the changes say otherwise."""
    return Step(**{"name": "plain", "sql": sql, "pace": Pace.BRIEF, "lock": None, **changes})


def operation(sql: str = "SELECT 1", kind: str = "execute", **changes: Any) -> Operation:
    """Return an operation, by default one of ``op.execute``."""
    return Operation(**{"kind": kind, "table": None, "sql": sql, **changes})


class Clock:
    """A monotonic clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.seconds

    def pass_milliseconds(self, milliseconds: float) -> None:
        """Let time pass."""
        self.seconds += milliseconds / 1000


class FakeLedger:
    """A ledger that keeps a list of the calls, and gives each execution the row 7."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def begin(self, progress: RevisionProgress) -> None:
        """Give a revision a row, if it has none."""
        if progress.execution is None:
            progress.execution = 7
            self.calls.append(("begin", progress.revision))

    def add_step(self, progress: RevisionProgress, record: StepRecord) -> None:
        """Keep a step."""
        self.calls.append(("step", progress.execution, record))

    def add_result(
        self, progress: RevisionProgress, key: OperationKey, fingerprint: str, body: str
    ) -> None:
        """Keep a result."""
        self.calls.append(("result", progress.execution, key, fingerprint, body))

    def advance(
        self, progress: RevisionProgress, key: OperationKey, number: int, cursor: object
    ) -> None:
        """Keep a cursor."""
        self.calls.append(("advance", progress.execution, key, number, cursor))

    def forget(self, progress: RevisionProgress, key: OperationKey) -> None:
        """Keep the key of an undone operation."""
        self.calls.append(("forget", progress.execution, key))

    def request(self, progress: RevisionProgress, state: str) -> None:
        """Keep a requested state."""
        self.calls.append(("request", progress.execution, state))


class FakeMonitor:
    """A monitor for which other sessions see every object except some.

    Parameters:
        unseen: the names of objects that they don't see.
    """

    def __init__(self, *unseen: str) -> None:
        self.unseen = set(unseen)
        self.asked: list[tuple[str, str, str]] = []
        self.lines: list[str] = []

    def visible_to_others(self, kind: str, whose: str, part: str) -> bool:
        """Return whether other sessions see an object."""
        self.asked.append((kind, whose, part))
        return whose not in self.unseen

    def blocker_lines(self) -> list[str]:
        """Return a line for each blocker."""
        return self.lines


class FakeConnection:
    """A project connection that keeps what is sent, in order.

    Parameters:
        settings: the current values of parameters.
        autocommit: whether the driver commits each statement.
    """

    def __init__(
        self, settings: Mapping[str, str] | None = None, *, autocommit: bool = False
    ) -> None:
        self.settings = dict(settings or {})
        self.sent: list[object] = []
        self.connection = self
        self.server_major = 18
        self.dbapi_connection = self
        self.autocommit = autocommit

    def rows(
        self, statement: str, parameters: Mapping[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """Keep a statement."""
        self.sent.append((statement, dict(parameters)) if parameters else statement)
        return [{"found": True}]

    def setting(self, name: str) -> str:
        """Return the value of a parameter."""
        return self.settings[name]

    def set(self, name: str, value: str, *, local: bool = False) -> None:
        """Set a parameter, and keep that it was set."""
        self.settings[name] = value
        self.sent.append(("set", name, value, "local" if local else "session"))

    def set_local(self, **values: str) -> None:
        """Set parameters for the transaction."""
        for name, value in values.items():
            self.set(name, value, local=True)

    def send(self, sql: str) -> None:
        """Keep a statement."""
        self.sent.append(sql)

    def send_with(self, sql: str, parameters: object) -> None:
        """Keep a statement and its parameters."""
        self.sent.append((sql, parameters))
