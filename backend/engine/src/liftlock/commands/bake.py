"""Bake: prove the chain on a throwaway server at build time, and write a manifest."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from liftlock.errors import UnsafeRevision
from liftlock.events import Event, Notify
from liftlock.model.manifest import Manifest
from liftlock.postgres.applied import applied
from liftlock.postgres.queries import LEDGER
from liftlock.postgres.session import connect, query
from liftlock.postgres.signals import Signals
from liftlock.revisions.guard import Guard
from liftlock.revisions.project import Project, load
from liftlock.revisions.repetition import RunReport
from liftlock.revisions.run import prepare
from liftlock.revisions.upgrade import run_upgrade
from liftlock.settings import Address, Settings
from liftlock.shadow.base_state import empty_at
from liftlock.shadow.dump import dumped

_ID_LENGTH = 32
"""Length of Alembic's column ``version_num``."""


@dataclass(frozen=True, slots=True)
class BakeOptions:
    """Options of a bake.

    Parameters:
        snapshot: path of the SQL script to write, which creates the migrated database.
        server: server of the throwaway database; an embedded server by default.
        x_arguments: values of Alembic's ``-x``, which ``env.py`` can read.
    """

    snapshot: Path
    server: Address | None = None
    x_arguments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Baked:
    """Result of a bake.

    Parameters:
        manifest: path of the manifest.
        snapshot: path of the SQL script.
        revisions: number of revisions that ran.
        postgres: version of the server.
    """

    manifest: Path
    snapshot: Path
    revisions: int
    postgres: str

    def as_dict(self) -> dict[str, object]:
        """Return the result for programs."""
        return {
            "manifest": str(self.manifest),
            "snapshot": str(self.snapshot),
            "revisions": self.revisions,
            "postgres": self.postgres,
        }


def bake(settings: Settings, options: BakeOptions, *, interrupts: Signals, notify: Notify) -> Baked:
    """Run all revisions on an empty throwaway database; write the manifest and the snapshot.

    No other database is touched, even if the project's ``env.py`` names one.

    Parameters:
        settings: the settings; ``manifest`` is the path of the manifest.
        options: further options.
        interrupts: signals that stop it.
        notify: is called with each event.

    Raises:
        LiftlockError: a revision fails, or no server can be started.
    """
    project = load(settings.config, options.x_arguments)
    project.head("head")
    refuse_long_identifiers(project.chain.revisions)
    count = len(project.chain.revisions)
    notify(Event("bake.started", f"proving {count} revisions on a throwaway PostgreSQL"))
    with empty_at(project, options.server) as address:
        proven = prepare(settings, options.x_arguments, interrupts, notify, address)
        guard = Guard(settings, "upgrade", interrupts, notify, redirect=address)
        (report,) = run_upgrade(guard, proven)
        manifest = _manifest(Path(settings.manifest), project, report, address)
        # It includes the version table, the ledger, and the rows that revisions insert.
        script = dumped(address, "--no-owner", "--no-privileges")
    Path(settings.manifest).write_text(manifest.dumps(), encoding="utf-8")
    options.snapshot.write_text(script, encoding="utf-8")
    written = f"{settings.manifest} and {options.snapshot} written"
    notify(Event("bake.finished", f"proven on PostgreSQL {manifest.postgres}: {written}"))
    revisions = len(manifest.phases)
    return Baked(Path(settings.manifest), options.snapshot, revisions, manifest.postgres)


def _manifest(path: Path, project: Project, report: RunReport, address: Address) -> Manifest:
    """Return the manifest of a project whose revisions have all run on a database."""
    with contextlib.closing(connect(address, "bake")) as session:
        rows = applied(session, report.version_table)
        postgres = str(query(session, "server_facts")[0]["version"])
        table = report.version_table
        fingerprints = query(session, "fingerprints", LEDGER, version_table=table)
    folder = path.parent.resolve()
    return Manifest(
        version_table=report.version_table,
        chain=project.chain,
        required=report.after,
        files={os.path.relpath(file, folder): file.stat().st_size for file in project.files},
        phases={row.revision.id: row.phase.value for row in rows},
        fingerprints={row["revision"]: _digest(row["fingerprints"]) for row in fingerprints},
        postgres=postgres,
    )


def _digest(fingerprints: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(fingerprints).encode()).hexdigest()[:16]


def refuse_long_identifiers(revisions: Iterable[str]) -> None:
    """Refuse a revision whose identifier Alembic's version table can't hold.

    Raises:
        UnsafeRevision: there is one.
    """
    for revision in revisions:
        if len(revision) > _ID_LENGTH:
            length = f"{len(revision)} characters; Alembic's version table holds {_ID_LENGTH}"
            raise UnsafeRevision(
                "LL-REVISION-ID-TOO-LONG",
                f"The identifier {revision} has {length}.",
                why="The revision would run, and then fail to be recorded as applied.",
                now="Give it a shorter identifier.",
            )
