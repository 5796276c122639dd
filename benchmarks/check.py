"""What `liftlock check` of one new revision costs on a long chain, beside plain Alembic's run of that chain from empty.

Both are whole processes, and take turns; the base state is kept from an earlier call, as it is on a developer's machine or in a CI cache.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from alembic import command
from alembic.config import Config

from liftlock.postgres.session import connect
from liftlock.settings import Address
from liftlock.shadow import embedded

_BIN = Path(sys.executable).parent


def project(folder: Path, revisions: int) -> Path:
    """A chain of tables, columns and indexes; its alembic.ini."""
    ini = folder / "alembic.ini"
    with contextlib.redirect_stdout(io.StringIO()):
        command.init(Config(str(ini)), str(folder / "migrations"))
    for number in range(1, revisions + 1):
        table = f"t{(number - 1) // 4}"
        body = [
            f'op.create_table("{table}", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Text))',
            f'op.add_column("{table}", sa.Column("b", sa.Integer, server_default="0", nullable=False))',
            f'op.create_index("ix_{table}", "{table}", ["b"])',
            f'op.alter_column("{table}", "a", nullable=False)',
        ][(number - 1) % 4]
        text = (
            f'"""Number {number}."""\nimport sqlalchemy as sa\nfrom alembic import op\nrevision = "{number:04}"\n'
            f"down_revision = {f'{number - 1:04}' if number > 1 else None!r}\ndef upgrade():\n    {body}\ndef downgrade():\n    pass\n"
        )
        (folder / "migrations" / "versions" / f"{number:04}.py").write_text(text)
    return ini


def fresh(server: Address, ini: Path) -> None:
    """An empty database, which the project's ini names."""
    with connect(server, "bench") as session:
        session.execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")
        session.execute("CREATE DATABASE bench")
    url = f"postgresql+psycopg://postgres:{server.password}@127.0.0.1:{server.port}/bench"
    lines = [
        f"sqlalchemy.url = {url}" if one.startswith("sqlalchemy.url") else one
        for one in ini.read_text().splitlines()
    ]
    ini.write_text("\n".join(lines))


def timed(arguments: list[str], cache: Path) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed."""
    begun = time.monotonic()
    done = subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    took = time.monotonic() - begun
    if done.returncode not in {0, 1}:
        sys.exit(done.stderr)
    return took, done.stdout


@click.command()
@click.option("--revisions", default=300, show_default=True, help="How long the chain is.")
@click.option(
    "--times", default=5, show_default=True, help="How often each is run; the median is shown."
)
@click.option(
    "--most",
    default=5.0,
    show_default=True,
    help="Seconds that a check may take at most, for exit 0.",
)
def main(revisions: int, times: int, most: float) -> None:
    """Measure, and show the split."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ini, cache = project(folder / "project", revisions), folder / "cache"
        check = [
            str(_BIN / "liftlock"),
            "-c",
            str(ini),
            "--format",
            "json",
            "check",
            f"{revisions:04}",
        ]
        with embedded.serve(
            folder / "server" / "data", "bench", settings=embedded.THROWAWAY
        ) as server:
            checks, plain, parts = [], [], []
            fresh(server, ini)
            cold, _ = timed(check, cache)
            for _ in range(times):
                fresh(server, ini)
                plain.append(
                    timed([str(_BIN / "alembic"), "-c", str(ini), "upgrade", "head"], cache)[0]
                )
                took, told = timed(check, cache)
                checks.append(took)
                parts.append(json.loads(told)["seconds"])
        shutil.rmtree(cache)
    median, whole = statistics.median(checks), statistics.median(plain)
    click.echo(
        f"a check of one new revision on a chain of {revisions}: {median:.2f} s (first call, without a base state: {cold:.2f} s)"
    )
    for part in parts[0]:
        click.echo(f"  {part:<10} {statistics.median(one[part] for one in parts):.2f} s")
    click.echo(
        f"  {'rest':<10} {median - statistics.median(sum(one.values()) for one in parts):.2f} s  (start of Python, imports)"
    )
    click.echo(f"alembic upgrade head from empty: {whole:.2f} s; ratio {median / whole:.2f}")
    sys.exit(median > most)


if __name__ == "__main__":
    main()
