"""Run the last release's tests of the API on this checkout's schema: what its containers meet while a new release rolls out.

backend/.venv/bin/python .ci/last_release.py origin/main
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import psycopg

from liftlock.settings import Address
from liftlock.shadow import embedded

ROOT = Path(__file__).parents[1]


def main(release: str) -> int:
    """Run them; the exit code is pytest's, or 1 when they used another database."""
    with (
        embedded.temporary_folder() as folder,
        embedded.serve(folder / "data", secrets.token_urlsafe(16)) as server,
    ):
        tree = folder / "release"
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", tree, release], cwd=ROOT, check=True
        )
        try:
            return _tested(tree, server)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=False)


def _tested(tree: Path, server: Address) -> int:
    address = Address(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname="released",
    )
    with psycopg.connect(**server.keywords(), autocommit=True) as session:  # type: ignore[arg-type]
        session.execute("CREATE DATABASE released")
    subprocess.run(["make", "--silent", "--directory", tree, "backend/.venv/.done"], check=True)
    subprocess.run(
        [ROOT / "backend" / "run-migrations.sh"],
        env={**os.environ, **address.environ()},
        check=True,
    )
    tests = [
        tree / "backend" / ".venv" / "bin" / "python",
        "-m",
        "pytest",
        "-q",
        "tests/service/test_api.py",
    ]
    given = {**os.environ, **address.environ(), "RECALLER_TEST_ON_GIVEN": "1"}
    code = subprocess.run(tests, cwd=tree / "backend", env=given, check=False).returncode
    with psycopg.connect(**address.keywords()) as session:  # type: ignore[arg-type]
        rows = session.execute("SELECT count(*) FROM accounts").fetchone()
    if not code and not (rows and rows[0]):
        sys.stderr.write(
            "The tests of that release used a database of their own: it doesn't know RECALLER_TEST_ON_GIVEN yet.\n"
        )
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
