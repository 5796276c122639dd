"""What `liftlock exec` costs a container that is at head, against what one would write instead.

    make bench

Both ways are run in turn, on one machine, on the same project (Recaller) and the same database: first
`pg_isready && alembic upgrade head && exec true` with Alembic alone, then `liftlock exec -- true`. The time is
that of the whole process, from start to the service's own start; the median of the rounds counts.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from liftlock.shadow import embedded

ROUNDS = 25
WARM_UP = 3
LIMIT = 0.25
BACKEND = Path(__file__).parents[1] / "backend"
PLAIN_ENV = """
import os
from alembic import context
from sqlalchemy import URL, create_engine, pool
from recaller.models import Base

url = URL.create("postgresql+psycopg", os.environ["POSTGRES_USER"], os.environ["POSTGRES_PASSWORD"],
                 os.environ["POSTGRES_SERVER"], int(os.environ["POSTGRES_PORT"]), os.environ["POSTGRES_DB"])
with create_engine(url, poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
"""


def main() -> int:
    """Measure, print, and compare with the limit; 0 when it holds."""
    with tempfile.TemporaryDirectory() as folder, embedded.throwaway() as address:
        ours, plain = Path(folder) / "ours", Path(folder) / "plain"
        for project in (ours, plain):
            shutil.copytree(
                BACKEND / "migrations",
                project / "migrations",
                ignore=shutil.ignore_patterns("__pycache__"),
            )
            shutil.copy(BACKEND / "alembic.ini", project)
        (plain / "migrations" / "env.py").write_text(PLAIN_ENV)
        programs = f"{Path(sys.executable).parent}:{Path(embedded.program('pg_isready')).parent}"
        variables = {
            key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"
        }
        variables |= address.environ() | {"PATH": f"{programs}:{os.environ['PATH']}"}
        for command in (["liftlock", "bake"], ["liftlock", "upgrade"]):
            subprocess.run(command, cwd=ours, env=variables, check=True, capture_output=True)
        isready = 'pg_isready -q -h "$POSTGRES_SERVER" -p "$POSTGRES_PORT"'
        ways = {
            "python -c pass": (ours, ["python", "-c", "pass"]),
            "pg_isready + alembic upgrade head": (
                plain,
                ["sh", "-c", f"{isready} && alembic upgrade head && exec true"],
            ),
            "liftlock exec": (ours, ["liftlock", "exec", "--", "true"]),
            "liftlock exec, no manifest": (plain, ["liftlock", "exec", "--", "true"]),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for round_ in range(WARM_UP + ROUNDS):
            for name, (project, command) in ways.items():
                started = time.perf_counter()
                subprocess.run(command, cwd=project, env=variables, check=True, capture_output=True)
                if round_ >= WARM_UP:
                    seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(taken) * 1000 for name, taken in seconds.items()}
    ratio = medians["liftlock exec"] / medians["pg_isready + alembic upgrade head"]
    print(
        f"start-up at head, median of {ROUNDS} rounds ({platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()})"
    )
    for name, median in medians.items():
        print(f"  {name:<36} {median:7.1f} ms")
    print(f"  ratio of liftlock exec to plain      {ratio:7.3f}  (at most {LIMIT})")
    print(
        json.dumps(
            {
                "ratio": round(ratio, 4),
                "medians_ms": {name: round(median, 1) for name, median in medians.items()},
            }
        )
    )
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
