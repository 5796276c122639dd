"""Run the API tests of the last release on the schema of this checkout.

While a new release is rolled out, containers of the last one work with the new schema.

    backend/.venv/bin/python .ci/last_release.py origin/main
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from liftlock import Address, embedded_server

ROOT = Path(__file__).parents[1]


def main(release: str) -> int:
    """Run the tests of a git revision.

    Returns:
        The exit code of pytest, or 1 if the tests used another database.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with (
            embedded_server(folder / "data", secrets.token_urlsafe(16)) as server,
            _worktree(folder / "release", release) as tree,
        ):
            address = _new_database(server)
            _migrate(address)
            return _run_tests(tree, address)


@contextlib.contextmanager
def _worktree(tree: Path, release: str) -> Iterator[Path]:
    add = ["git", "worktree", "add", "--quiet", "--detach", tree, release]
    subprocess.run(add, cwd=ROOT, check=True)
    try:
        yield tree
    finally:
        remove = ["git", "worktree", "remove", "--force", tree]
        subprocess.run(remove, cwd=ROOT, check=False)


def _connected(address: Address) -> psycopg.Connection[Any]:
    return psycopg.connect(make_conninfo(**address.keywords()), autocommit=True)


def _new_database(server: Address) -> Address:
    with _connected(server) as session:
        session.execute("CREATE DATABASE released")
    return Address(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname="released",
    )


def _migrate(address: Address) -> None:
    """Migrate the database by the revisions of this checkout."""
    variables = {**os.environ, **address.environ()}
    subprocess.run([ROOT / "backend" / "run-migrations.sh"], env=variables, check=True)


def _run_tests(tree: Path, address: Address) -> int:
    subprocess.run(["make", "--silent", "--directory", tree, "backend/.venv/.done"], check=True)
    backend = tree / "backend"
    pytest = [backend / ".venv" / "bin" / "python", "-m", "pytest", "-q"]
    variables = {**os.environ, **address.environ(), "RECALLER_TEST_ON_GIVEN": "1"}
    code = subprocess.run(
        [*pytest, "tests/service/test_api.py"], cwd=backend, env=variables, check=False
    ).returncode
    with _connected(address) as session:
        ((accounts,),) = session.execute("SELECT count(*) FROM accounts").fetchall()
    if code == 0 and accounts == 0:
        sys.stderr.write(
            "The tests of that release used a database of their own:"
            " its conftest.py doesn't read RECALLER_TEST_ON_GIVEN.\n"
        )
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
