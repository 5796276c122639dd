"""At build time: prove the whole chain on a throwaway server, and keep what was proven."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liftlock.commands.upgrade import upgrade
from liftlock.errors import LiftlockError, StepFailed, UnsafeRevision
from liftlock.events import Event, Notify
from liftlock.model.manifest import Manifest
from liftlock.postgres import embedded
from liftlock.postgres.interrupts import Interrupts
from liftlock.postgres.ledger import applied
from liftlock.postgres.session import connect, query
from liftlock.postgres.sql import LEDGER
from liftlock.revisions.configured import configured_in
from liftlock.revisions.history import load
from liftlock.settings import Address, Settings

_ID_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Baked:
    """What was written.

    Parameters:
        manifest: path of the manifest.
        snapshot: path of the SQL script that makes the migrated database anew.
        revisions: how many were proven.
        postgres: on which server.
    """

    manifest: Path
    snapshot: Path
    revisions: int
    postgres: str

    def as_dict(self) -> dict[str, object]:
        """The result for programs."""
        return {
            "manifest": str(self.manifest),
            "snapshot": str(self.snapshot),
            "revisions": self.revisions,
            "postgres": self.postgres,
        }


def bake(settings: Settings, snapshot: Path, *, interrupts: Interrupts, notify: Notify, x_arguments: Sequence[str] = ()) -> Baked:
    """Run all revisions on an empty throwaway server; write the manifest and the schema snapshot.

    Nothing but the throwaway server is touched, wherever the project's ``env.py`` wants to connect.

    Parameters:
        settings: the environment's; ``manifest`` says where the manifest goes.
        snapshot: where the SQL script goes.
        interrupts: stops it.
        notify: is told what happens.
        x_arguments: what Alembic's ``-x`` passes to ``env.py``.

    Raises:
        LiftlockError: the chain doesn't run, or no server can be started.
    """
    project = load(settings.config, x_arguments)
    project.head("head")
    long_ids = [one for one in project.chain.revisions if len(one) > _ID_LENGTH]
    if long_ids:
        raise _too_long(long_ids[0])
    notify(Event("bake.started", f"proving {len(project.chain.revisions)} revisions on a throwaway PostgreSQL"))
    with embedded.throwaway(configured_in(project).roles) as address:
        (report,) = upgrade(settings, interrupts=interrupts, notify=notify, x_arguments=x_arguments, redirect=address)
        with contextlib.closing(connect(address, "bake")) as session:
            rows = applied(session, report.version_table)
            postgres = str(query(session, "server_facts")[0]["version"])
            prints = query(session, "fingerprints", LEDGER, version_table=report.version_table)
        script = _dump(address)
    manifest_path = Path(settings.manifest)
    folder = manifest_path.parent.resolve()
    manifest = Manifest(
        version_table=report.version_table,
        chain=project.chain,
        required=report.after,
        files={os.path.relpath(path, folder): path.stat().st_size for path in project.files},
        phases={row.revision.id: row.phase.value for row in rows},
        fingerprints={row["revision"]: _digest(row["fingerprints"]) for row in prints},
        postgres=postgres,
    )
    manifest_path.write_text(manifest.dumps(), encoding="utf-8")
    snapshot.write_text(script, encoding="utf-8")
    notify(Event("bake.finished", f"proven on PostgreSQL {postgres}: {manifest_path} and {snapshot} written"))
    return Baked(manifest_path, snapshot, len(rows), postgres)


def _dump(address: Address) -> str:
    """The database as a script: schema, version table, ledger, and the rows that revisions insert."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        [embedded.program("pg_dump"), "--no-owner", "--no-privileges"],
        env={
            "PGHOST": address.host,
            "PGPORT": address.port,
            "PGUSER": address.user,
            "PGPASSWORD": address.password or "",
            "PGDATABASE": address.dbname,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StepFailed("LL-DUMP", f"pg_dump failed: {done.stderr.strip()}", now="Read its words; nothing was written.")
    return done.stdout


def _digest(fingerprints: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(fingerprints).encode()).hexdigest()[:16]


def _too_long(revision: str) -> LiftlockError:
    return UnsafeRevision(
        "LL-ID-LENGTH",
        f"The identifier {revision} has {len(revision)} characters; Alembic's version table holds {_ID_LENGTH}.",
        why="The revision would run, and then fail to be marked as applied.",
        now="Give it a shorter identifier.",
    )
