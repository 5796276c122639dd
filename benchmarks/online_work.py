"""What the long steps cost against the server's own statements: a backfill and one UPDATE, an index and the same by hand.

Nobody else uses the database meanwhile. The time of a step is the ledger's; a process takes half a second more to start.

    python benchmarks/online_work.py [--rows 1000000]
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import click
import psycopg
from alembic import command
from alembic.config import Config

from liftlock.settings import Address
from liftlock.shadow import embedded

SEED = """
CREATE TABLE account (id bigint PRIMARY KEY, email text NOT NULL, balance integer NOT NULL, doubled bigint);
INSERT INTO account SELECT i, i || '@example.com', i % 1000 FROM generate_series(1, {rows}) AS i;
"""
WORK = {
    "backfill": (
        "UPDATE account SET doubled = balance * 2 WHERE doubled IS NULL",
        'op.backfill("account", set="doubled = balance * 2", where="doubled IS NULL")',
    ),
    "create_index": (
        "CREATE INDEX CONCURRENTLY ix_email ON account (email)",
        'op.create_index("ix_email", "account", ["email"])',
    ),
}
LEAST_RATE = 0.7
MOST_TIME = 1.5
LONGEST_SECONDS = 1.0


def fresh(server: Address) -> Address:
    """A copy of the seeded database, checkpointed so that no run pays for another's writes."""
    with psycopg.connect(**server.keywords(), autocommit=True) as session:  # type: ignore[arg-type]
        session.execute("DROP DATABASE IF EXISTS work WITH (FORCE)")
        session.execute("CREATE DATABASE work TEMPLATE seed STRATEGY file_copy")
        session.execute("CHECKPOINT")
    return Address(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname="work",
    )


def by_hand(address: Address, statement: str) -> float:
    """Seconds of one statement."""
    with psycopg.connect(**address.keywords(), autocommit=True) as session:  # type: ignore[arg-type]
        begun = time.monotonic()
        session.execute(statement)  # type: ignore[arg-type]
        return time.monotonic() - begun


def by_liftlock(address: Address, folder: Path, body: str) -> tuple[float, float]:
    """Seconds of the step, and of the longest transaction."""
    with contextlib.redirect_stdout(io.StringIO()):
        command.init(Config(str(folder / "alembic.ini")), str(folder / "migrations"))
    text = f"from alembic import op\nrevision = 'r1'\ndown_revision = None\n\ndef upgrade():\n    {body}\n"
    (folder / "migrations" / "versions" / "r1.py").write_text(text)
    url = f"postgresql+psycopg://{address.user}:{address.password}@{address.host}:{address.port}/{address.dbname}"
    ini = folder / "alembic.ini"
    lines = [
        f"sqlalchemy.url = {url}" if line.startswith("sqlalchemy.url") else line
        for line in ini.read_text().split("\n")
    ]
    ini.write_text("\n".join(lines))
    done, longest = threading.Event(), [0.0]

    def watch() -> None:
        age = """SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)
            FROM pg_stat_activity WHERE application_name LIKE 'liftlock%' AND query NOT LIKE 'CREATE INDEX%'"""
        with psycopg.connect(**address.keywords(), autocommit=True) as session:  # type: ignore[arg-type]
            while not done.wait(0.05):
                longest[0] = max(longest[0], *(float(row[0]) for row in session.execute(age)))

    thread = threading.Thread(target=watch)
    thread.start()
    program = Path(sys.executable).parent / "liftlock"
    ran = subprocess.run(
        [program, "upgrade"], cwd=folder, capture_output=True, text=True, check=False
    )
    done.set()
    thread.join()
    if ran.returncode:
        sys.exit(ran.stderr)
    with psycopg.connect(**address.keywords()) as session:  # type: ignore[arg-type]
        row = session.execute(
            "SELECT extract(epoch FROM sum(finished_at - started_at)) FROM liftlock.steps WHERE pace <> 'brief'"
        )
        return float(row.fetchone()[0]), longest[0]  # type: ignore[index]


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="The median counts.")
def main(rows: int, rounds: int) -> None:
    """Measure; exit 1 when liftlock is slower than it promises."""
    found, missed = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        settings = {"shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "off"}
        with embedded.serve(path / "data", "bench", settings=settings) as server:
            with psycopg.connect(**server.keywords(), autocommit=True) as session:  # type: ignore[arg-type]
                session.execute("CREATE DATABASE seed")
                version = session.info.parameter_status("server_version")
            seed = Address(
                host=server.host,
                port=server.port,
                user=server.user,
                password=server.password,
                dbname="seed",
            )
            with psycopg.connect(**seed.keywords(), autocommit=True) as session:  # type: ignore[arg-type]
                session.execute(SEED.format(rows=rows))  # type: ignore[arg-type]
                session.execute("VACUUM ANALYZE")
            click.echo(
                f"{rows} rows, median of {rounds}, PostgreSQL {version}, {platform.machine()}, {os.cpu_count()} cores"
            )
            click.echo(
                f"{'work':<16}{'by hand s':>11}{'liftlock s':>12}{'ratio':>8}{'longest transaction s':>24}"
            )
            for name, (statement, body) in WORK.items():
                hands, ours, longest = [], [], 0.0
                for number in range(rounds):
                    project = path / f"{name}{number}"
                    project.mkdir()
                    hands.append(by_hand(fresh(server), statement))
                    seconds, age = by_liftlock(fresh(server), project, body)
                    ours.append(seconds)
                    longest = max(longest, age)
                hand, our = sorted(hands)[rounds // 2], sorted(ours)[rounds // 2]
                found.append(
                    {
                        "work": name,
                        "by_hand_s": hand,
                        "liftlock_s": our,
                        "ratio": our / hand,
                        "longest_transaction_s": longest,
                    }
                )
                click.echo(f"{name:<16}{hand:>11.2f}{our:>12.2f}{our / hand:>8.2f}{longest:>24.2f}")
                if (
                    our / hand > (1 / LEAST_RATE if name == "backfill" else MOST_TIME)
                    or longest > LONGEST_SECONDS
                ):
                    missed.append(name)
    click.echo(json.dumps(found))
    if missed:
        sys.exit(
            f"slower than promised, or with a transaction of more than {LONGEST_SECONDS:g} s: {', '.join(missed)}"
        )


if __name__ == "__main__":
    main()
