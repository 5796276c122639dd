"""At build time: prove the whole chain on a throwaway server, and keep what was proven."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liftlock.commands.upgrade import upgrade
from liftlock.errors import LiftlockError, UnsafeRevision
from liftlock.events import Event, Notify
from liftlock.model.manifest import Manifest
from liftlock.postgres.ledger import applied
from liftlock.postgres.queries import LEDGER
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.revisions.project import load
from liftlock.settings import Address, Settings
from liftlock.shadow.base_state import empty_at
from liftlock.shadow.dump import dumped

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


def bake(
    settings: Settings,
    snapshot: Path,
    *,
    server: Address | None = None,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
) -> Baked:
    """Run all revisions on an empty throwaway database; write the manifest and the schema snapshot.

    Nothing else is touched, wherever the project's ``env.py`` wants to connect.

    Parameters:
        settings: the environment's; ``manifest`` says where the manifest goes.
        snapshot: where the SQL script goes.
        server: where the database is made; an embedded server of its own by default.
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
    notify(
        Event(
            "bake.started",
            f"proving {len(project.chain.revisions)} revisions on a throwaway PostgreSQL",
        )
    )
    with empty_at(project, server) as address:
        (report,) = upgrade(
            settings,
            interrupts=interrupts,
            notify=notify,
            x_arguments=x_arguments,
            redirect=address,
        )
        with contextlib.closing(connect(address, "bake")) as session:
            rows = applied(session, report.version_table)
            postgres = str(query(session, "server_facts")[0]["version"])
            prints = query(session, "fingerprints", LEDGER, version_table=report.version_table)
        script = dumped(
            address, "--no-owner", "--no-privileges"
        )  # with the version table, the ledger, and the rows that revisions insert
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
    notify(
        Event(
            "bake.finished",
            f"proven on PostgreSQL {postgres}: {manifest_path} and {snapshot} written",
        )
    )
    return Baked(manifest_path, snapshot, len(rows), postgres)


def _digest(fingerprints: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(fingerprints).encode()).hexdigest()[:16]


def _too_long(revision: str) -> LiftlockError:
    return UnsafeRevision(
        "LL-REVISION-ID-TOO-LONG",
        f"The identifier {revision} has {len(revision)} characters; Alembic's version table holds {_ID_LENGTH}.",
        why="The revision would run, and then fail to be marked as applied.",
        now="Give it a shorter identifier.",
    )
