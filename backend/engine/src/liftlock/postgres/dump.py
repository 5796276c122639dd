"""A schema as text, to compare it with another."""

from __future__ import annotations

import re
import subprocess
from difflib import unified_diff

from liftlock.errors import StepFailed
from liftlock.postgres import embedded
from liftlock.settings import Address

_TABLE = re.compile(r"(?<=^CREATE TABLE )(\S+ \()\n(.*?)\n(?=\);)", re.MULTILINE | re.DOTALL)
_SESSION = ("--", "\\restrict", "\\unrestrict", "SET ", "SELECT ")


def difference(before: str, after: str) -> tuple[str, ...]:
    """The lines that one text has and the other hasn't, as ``diff`` marks them."""
    lines = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return tuple(line for line in lines if not line.startswith(("@@", "--- ", "+++ ")))


def schema_text(address: Address, version_table: str) -> str:
    """The schema as pg_dump writes it, but for owners, privileges, the order of columns, the ledger and the version table.

    Parameters:
        address: the database; it is only read.
        version_table: its name, with its schema where it has one.

    Raises:
        StepFailed: pg_dump can't read it.
    """
    options = ["--schema-only", "--no-owner", "--no-privileges", "--no-comments", "--exclude-schema=liftlock"]
    given = {"PGHOST": address.host, "PGPORT": address.port, "PGUSER": address.user, "PGPASSWORD": address.password or ""}
    if "sslmode" in address.options:
        given["PGSSLMODE"] = address.options["sslmode"]
    done = subprocess.run(  # noqa: S603 - our own arguments
        [embedded.program("pg_dump"), *options, f"--exclude-table={version_table}", address.dbname],
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StepFailed(
            "LL-DUMP",
            f"pg_dump failed: {done.stderr.strip()}",
            why="Without the schema there is nothing to compare.",
            now="Read its words; it is that of the extra [embedded], which reads servers up to its own major.",
        )
    kept = [line for line in done.stdout.splitlines() if line and not line.startswith(_SESSION)]
    return _TABLE.sub(lambda found: "\n".join([found[1], *sorted(line.rstrip(",") for line in found[2].split("\n"))]), "\n".join(kept))
