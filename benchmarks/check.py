"""The time of `liftlock check` for one new revision on a long chain, compared with plain Alembic.

Plain Alembic runs the whole chain on an empty database. Both are whole processes and take turns.
The base state is kept from an earlier call, as on a developer's machine or in a cache of CI.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
from projects import UNSAFE, at, connected, make_project

from liftlock import Address, embedded_server

_BIN = Path(sys.executable).parent


@dataclass
class Times:
    """Seconds of each call."""

    first_check: float = 0.0
    checks: list[float] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)
    alembic: list[float] = field(default_factory=list)

    @property
    def median_check(self) -> float:
        """The median of the checks that had a base state."""
        return statistics.median(self.checks)

    def lines(self, revisions: int) -> list[str]:
        """Describe the medians, in total and of each part."""
        what = f"a check of one new revision on a chain of {revisions}"
        first = f"(first call, without a base state: {self.first_check:.2f} s)"
        lines = [f"{what}: {self.median_check:.2f} s {first}"]
        for name in self.parts[0]:
            median = statistics.median(parts[name] for parts in self.parts)
            lines.append(f"  {name:<10} {median:.2f} s")
        measured = statistics.median(sum(parts.values()) for parts in self.parts)
        rest = self.median_check - measured
        lines.append(f"  {'rest':<10} {rest:.2f} s  (start of Python, imports)")
        alembic = statistics.median(self.alembic)
        ratio = self.median_check / alembic
        lines.append(f"alembic upgrade head from empty: {alembic:.2f} s; ratio {ratio:.2f}")
        return lines


def bodies(revisions: int) -> list[str]:
    """Return the bodies of a chain of tables, columns and indexes."""
    return [_body(number) for number in range(revisions)]


def _body(number: int) -> str:
    table = f"t{number // 4}"
    key = 'sa.Column("id", sa.Integer, primary_key=True)'
    counted = 'sa.Column("b", sa.Integer, server_default="0", nullable=False)'
    return (
        f'op.create_table("{table}", {key}, sa.Column("a", sa.Text))',
        f'op.add_column("{table}", {counted})',
        f'op.create_index("ix_{table}", "{table}", ["b"])',
        f'op.alter_column("{table}", "a", nullable=False)',
    )[number % 4]


def empty(server: Address) -> None:
    """Replace the database `bench` by an empty one."""
    with connected(server) as session:
        session.execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")
        session.execute("CREATE DATABASE bench")


def timed(arguments: list[str], cache: Path) -> tuple[float, str]:
    """Run a process; return its seconds and its output."""
    variables = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    started = time.monotonic()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=variables)
    seconds = time.monotonic() - started
    if done.returncode not in {0, 1}:  # 1: the check has findings
        sys.exit(done.stderr)
    return seconds, done.stdout


def measure(folder: Path, revisions: int, times: int) -> Times:
    """Run both commands in turn."""
    cache = folder / "cache"
    result = Times()
    with embedded_server(folder / "server" / "data", "bench", settings=UNSAFE) as server:
        ini = str(make_project(folder / "project", at(server, "bench"), *bodies(revisions)))
        liftlock = [str(_BIN / "liftlock"), "-c", ini, "--format", "json"]
        check = [*liftlock, "check", f"{revisions:04}"]
        upgrade = [str(_BIN / "alembic"), "-c", ini, "upgrade", "head"]
        empty(server)
        result.first_check, _ = timed(check, cache)
        for _ in range(times):
            empty(server)
            result.alembic.append(timed(upgrade, cache)[0])
            seconds, output = timed(check, cache)
            result.checks.append(seconds)
            result.parts.append(json.loads(output)["seconds"])
    return result


@click.command()
@click.option("--revisions", default=300, show_default=True, help="Length of the chain.")
@click.option("--times", default=5, show_default=True, help="Number of runs; the median counts.")
@click.option("--most", default=5.0, show_default=True, help="Exit 1 above this number of seconds.")
def main(revisions: int, times: int, most: float) -> None:
    """Measure, and print the total and its parts."""
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), revisions, times)
    click.echo("\n".join(result.lines(revisions)))
    sys.exit(result.median_check > most)


if __name__ == "__main__":
    main()
