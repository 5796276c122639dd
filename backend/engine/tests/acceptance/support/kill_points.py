"""Kills of a run at chosen points: before or after the commit of each step and batch.

All functions that change this process (`at_each_new_commit`, `kill_at_commit`,
`record_statements`, `kill_after_statement`) return a function to be called in a forked process;
see `run_liftlock`.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
from acceptance.support.processes import run_liftlock
from helpers import Project, connected
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from liftlock.execution.connection import ProjectConnection
from liftlock.settings import Address

Action = Callable[[psycopg.Connection[object]], None]
"""Something done at a commit, with the connection that commits."""
PROGRESS = """
SELECT concat_ws(' ', count(*), count(e.finished_at), (SELECT count(*) FROM liftlock.steps),
    (SELECT count(finished_at) FROM liftlock.steps),
    (SELECT string_agg(cursor::text, ' ') FROM liftlock.steps))
FROM liftlock.executions AS e
"""
"""The progress of a database: how many revisions and steps are begun and finished, and cursors."""
MOST_COMMITS = 200
"""More commits than any operation of the tests has."""


class Progress:
    """A file that lists the commits at which something was done, over several runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def __len__(self) -> int:
        return len(self._path.read_text().splitlines())

    def add(self, commit: str) -> bool:
        """Add a commit; return whether it is new."""
        is_new = commit not in self._path.read_text().splitlines()
        if is_new:
            with self._path.open("a") as file:
                file.write(f"{commit}\n")
        return is_new


def at_each_new_commit(progress: Progress, action: Action, *moments: str) -> Callable[[], None]:
    """Do something once before, or after, the commit of each step and batch.

    Parameters:
        progress: the commits that had their turn; runs that resume each other share it.
        action: what is done.
        moments: ``before``, ``after``.
    """

    def act_once(session: psycopg.Connection[object], moment: str) -> None:
        status = session.info.transaction_status
        if moment not in moments or status is TransactionStatus.INERROR:
            return
        with psycopg.ClientCursor(session, row_factory=tuple_row) as cursor:
            (state,) = cursor.execute(PROGRESS).fetchone() or ("",)
        if status is TransactionStatus.IDLE:
            session.rollback()  # the query has begun a transaction
        if progress.add(f"{moment} {state}"):
            action(session)

    return lambda: _patch_commit(act_once)


def _patch_commit(act: Callable[[psycopg.Connection[object], str], None]) -> None:
    """Call a function before and after each commit of this process."""
    commit_of_psycopg = psycopg.Connection.commit

    def commit(self: psycopg.Connection[object]) -> None:
        act(self, "before")
        commit_of_psycopg(self)
        act(self, "after")

    psycopg.Connection.commit = commit


def run_again_at_each_commit(
    project: Project, command: str, action: Action, *moments: str, ends_with: int
) -> None:
    """Run a command over and over, each time disturbed at a further commit, until it succeeds.

    Parameters:
        project: the project.
        command: ``upgrade`` or ``downgrade``.
        action: what disturbs it, such as `kill_this_process`.
        moments: ``before``, ``after``: the side of the commit.
        ends_with: the exit code of a disturbed run.
    """
    progress = Progress(project.folder / f"{command}.progress")
    disturb = at_each_new_commit(progress, action, *moments)
    while (code := run_liftlock(project, command, disturb)) == ends_with:
        assert len(progress) < MOST_COMMITS
    assert code == 0
    assert len(progress) > 1, "no run was disturbed"


def run_killed_at_each_commit(project: Project, command: str, *moments: str) -> None:
    """Run a command over and over, killing each run at a further commit, until one succeeds."""
    run_again_at_each_commit(
        project, command, kill_this_process, *moments, ends_with=-signal.SIGKILL
    )


def kill_this_process(_session: psycopg.Connection[object]) -> None:
    """End this process immediately."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_commit(number: int, *, before: bool) -> Callable[[], None]:
    """Kill the process before, or after, its commit of that number."""
    numbers = itertools.count(1)

    def kill(session: psycopg.Connection[object], moment: str) -> None:
        if (moment == "before") is before and next(numbers) == number:
            kill_this_process(session)

    return lambda: _patch_commit(kill)


def kill_after_statement(part: str) -> Callable[[], None]:
    """Kill the process after a statement of a step that contains this text."""

    def kill(sql: str) -> None:
        if part in sql:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: _after_each_statement(kill)


def record_statements(path: Path) -> Callable[[], None]:
    """Write each statement of liftlock's own steps that succeeds to a file."""

    def record(sql: str) -> None:
        with path.open("a") as file:
            file.write(f"{sql}\n")

    return lambda: _after_each_statement(record)


def _after_each_statement(act: Callable[[str], None]) -> None:
    """Call a function with each statement of a step that this process has run."""
    send_of_connection = ProjectConnection.send

    def send(self: ProjectConnection, sql: str) -> list[dict[str, object]]:
        returned = send_of_connection(self, sql)
        act(sql)
        return returned

    ProjectConnection.send = send


def terminate_sessions(address: Address, which: str) -> Action:
    """Terminate sessions of liftlock, as an administrator or a failing network would.

    Parameters:
        address: the database.
        which: ``the working session`` (the one that commits) or ``the other sessions``.
    """
    sign = "=" if which == "the working session" else "<>"

    def terminate(session: psycopg.Connection[object]) -> None:
        with connected(address) as administrator:
            administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'liftlock%'"
                f" AND pid {sign} {session.info.backend_pid}"
            )

    return terminate
