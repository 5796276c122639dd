"""The time of long steps, compared with the server's own statements.

A backfill is compared with one UPDATE, and an index with CREATE INDEX CONCURRENTLY. No other
session uses the database. The time of a step is the ledger's; a process takes half a second more
to start.

    python benchmarks/online_work.py [--rows 1000000]
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from projects import connected, copy_of_seed, make_project, seed

from liftlock import Address, embedded_server

SEED = """
CREATE TABLE account (
    id bigint PRIMARY KEY, email text NOT NULL, balance integer NOT NULL, doubled bigint
);
INSERT INTO account SELECT i, i || '@example.com', i % 1000 FROM generate_series(1, {rows}) AS i;
"""
SERVER = {"shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "off"}
LONGEST_SECONDS = 1.0
"""The longest transaction that liftlock may have."""
TRANSACTION_AGE = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity
WHERE application_name LIKE 'liftlock%' AND query NOT LIKE 'CREATE INDEX%'"""
STEP_SECONDS = """
SELECT extract(epoch FROM sum(finished_at - started_at)) FROM liftlock.steps
WHERE pace <> 'brief'"""


@dataclass(frozen=True)
class Work:
    """A statement, the operation that does the same, and the ratio of times that is allowed."""

    name: str
    statement: str
    operation: str
    most: float


WORK = (
    Work(
        "backfill",
        "UPDATE account SET doubled = balance * 2 WHERE doubled IS NULL",
        'op.backfill("account", set="doubled = balance * 2", where="doubled IS NULL")',
        1 / 0.7,
    ),
    Work(
        "create_index",
        "CREATE INDEX CONCURRENTLY ix_email ON account (email)",
        'op.create_index("ix_email", "account", ["email"])',
        1.5,
    ),
)


@dataclass(frozen=True)
class Result:
    """The figures of one work."""

    work: str
    by_hand_s: float
    liftlock_s: float
    ratio: float
    longest_transaction_s: float

    def line(self) -> str:
        """Write the figures as a row of the table."""
        figures = f"{self.by_hand_s:>11.2f}{self.liftlock_s:>12.2f}{self.ratio:>8.2f}"
        return f"{self.work:<16}{figures}{self.longest_transaction_s:>24.2f}"


def fresh(server: Address) -> Address:
    """Make a copy of the seed, checkpointed so that no run pays for another one's writes."""
    address = copy_of_seed(server, "work")
    with connected(server) as session:
        session.execute("CHECKPOINT")
    return address


def by_hand(address: Address, statement: str) -> float:
    """Run a statement and return its seconds."""
    with connected(address) as session:
        started = time.monotonic()
        session.execute(statement.encode())
        return time.monotonic() - started


def by_liftlock(address: Address, folder: Path, operation: str) -> tuple[float, float]:
    """Run an operation by liftlock; return the seconds of step and longest transaction."""
    make_project(folder, address, operation)
    program = Path(sys.executable).parent / "liftlock"
    with longest_transaction(address) as ages:
        done = subprocess.run(
            [program, "upgrade"], cwd=folder, capture_output=True, text=True, check=False
        )
    if done.returncode:
        sys.exit(done.stderr)
    with connected(address) as session:
        ((seconds,),) = session.execute(STEP_SECONDS).fetchall()
    return float(seconds), max(ages, default=0.0)


@contextlib.contextmanager
def longest_transaction(address: Address) -> Iterator[list[float]]:
    """Sample the age of liftlock's oldest transaction every 50 ms while the context lasts."""
    ended = threading.Event()
    ages: list[float] = []

    def sample() -> None:
        with connected(address) as session:
            while not ended.wait(0.05):
                ages.extend(float(age) for (age,) in session.execute(TRANSACTION_AGE))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield ages
    finally:
        ended.set()
        thread.join()


def measure(server: Address, folder: Path, work: Work, rounds: int) -> Result:
    """Run both ways in turn; the medians count, and the longest transaction of all rounds."""
    hands = []
    steps = []
    longest = 0.0
    for number in range(rounds):
        hands.append(by_hand(fresh(server), work.statement))
        project = folder / f"{work.name}{number}"
        seconds, age = by_liftlock(fresh(server), project, work.operation)
        steps.append(seconds)
        longest = max(longest, age)
    hand = statistics.median(hands)
    step = statistics.median(steps)
    return Result(work.name, hand, step, step / hand, longest)


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Number of runs; the median counts.")
def main(rows: int, rounds: int) -> None:
    """Measure; exit 1 if liftlock is slower than it promises."""
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with embedded_server(folder / "data", "bench", settings=SERVER) as server:
            version = seed(server, SEED.format(rows=rows))
            machine = f"{platform.machine()}, {os.cpu_count()} cores"
            click.echo(f"{rows} rows, median of {rounds}, PostgreSQL {version}, {machine}")
            titles = f"{'by hand s':>11}{'liftlock s':>12}{'ratio':>8}"
            click.echo(f"{'work':<16}{titles}{'longest transaction s':>24}")
            for work in WORK:
                results.append(measure(server, folder, work, rounds))
                click.echo(results[-1].line())
    click.echo(json.dumps([asdict(result) for result in results]))
    slow = [
        work.name
        for work, result in zip(WORK, results, strict=True)
        if result.ratio > work.most or result.longest_transaction_s > LONGEST_SECONDS
    ]
    if slow:
        limit = f"with a transaction of more than {LONGEST_SECONDS:g} s"
        sys.exit(f"slower than promised, or {limit}: {', '.join(slow)}")


if __name__ == "__main__":
    main()
