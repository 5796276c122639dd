"""Where a database stands, seen from this build. Reads only, and creates nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from liftlock.errors import SettingsError
from liftlock.model.manifest import Manifest
from liftlock.model.revision import Chain, Standing, standing
from liftlock.postgres.ledger import Applied, applied, chain_of, current, told, unfinished
from liftlock.postgres.session import Session, connect, query
from liftlock.settings import Address, Settings

_DEFAULT_TABLE = "alembic_version"


@dataclass(frozen=True, slots=True)
class Build:
    """What this build knows and needs: from its manifest, or from the files themselves."""

    version_table: str
    chain: Chain
    required: frozenset[str]


@dataclass(frozen=True, slots=True)
class Status:
    """Where a database stands.

    Parameters:
        standing: the verdict.
        current: the rows of the version table.
        required: what this build needs.
        pending: revisions that are still to run, in no order.
        newer: revisions that this build doesn't know, as the ledger tells of them.
        applied: all that the ledger remembers.
        unfinished: what was begun and isn't finished; empty where nothing is.
    """

    standing: Standing
    current: frozenset[str]
    required: frozenset[str]
    pending: frozenset[str]
    newer: tuple[Applied, ...]
    applied: tuple[Applied, ...]
    unfinished: str = ""

    @property
    def satisfied(self) -> bool:
        """Whether the database has what this build needs: a downgrade that isn't finished has taken some of it away."""
        return self.standing in {Standing.HEAD, Standing.NEWER} and not self.taken_back

    @property
    def taken_back(self) -> bool:
        """Whether a downgrade was begun and isn't finished: its revision still counts as applied."""
        return self.unfinished.startswith("downgrade")

    def as_dict(self) -> dict[str, object]:
        """The status for programs."""
        return {
            "standing": self.standing.value,
            "satisfied": self.satisfied,
            "current": sorted(self.current),
            "required": sorted(self.required),
            "unfinished": self.unfinished,
            "pending": sorted(self.pending),
            "newer": [row.as_dict() for row in self.newer],
            "applied": [row.as_dict() for row in self.applied],
        }

    def explained(self) -> str:
        """One or two lines for people."""
        begun = f"\nThe {self.unfinished} was begun and isn't finished: the schema is between two revisions." if self.unfinished else ""
        return self._standing() + begun

    def _standing(self) -> str:
        have, need = _listed(self.current), _listed(self.required)
        if self.standing is Standing.NEWER:
            return f"The database is newer than this build: it has {need}, and since then {told(self.newer)}."
        if self.standing is Standing.FOREIGN:
            return f"The database is at {have}, which this build doesn't know and the ledger says nothing about; it needs {need}."
        if self.standing is Standing.BEHIND:
            return f"The database is at {have}; this build needs {need}: {len(self.pending)} revisions are pending."
        return f"The database is at {have}, as this build needs it."


def build_of(settings: Settings) -> Build:
    """What this build needs: from the manifest when there is one that fits the files, else from the files.

    Raises:
        LiftlockError: neither can be read.
    """
    manifest = read_manifest(settings)
    if manifest is not None:
        return Build(manifest.version_table, manifest.chain, manifest.required)
    from liftlock.revisions.history import load  # noqa: PLC0415 - Alembic takes 300 ms to import; a manifest saves it

    project = load(settings.config)
    project.head("head")
    return Build(_DEFAULT_TABLE, project.chain, project.chain.heads)


def read_manifest(settings: Settings) -> Manifest | None:
    """The manifest; None where there is none, or its files are no longer the ones at hand.

    Raises:
        SettingsError: it is there and can't be read.
    """
    path = Path(settings.manifest)
    try:
        manifest = Manifest.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise SettingsError("LL-MANIFEST", f"The manifest {path} can't be used: {error}.", now="Make it again: liftlock bake.") from error
    return manifest if _fits(manifest.files, path.parent) else None


def _fits(files: Mapping[str, int], folder: Path) -> bool:
    with contextlib.suppress(OSError):
        present = {str(path.relative_to(folder)) for name in files for path in (folder / name).parent.glob("*.py")}
        return present - {name for name in present if name.endswith("__init__.py")} == set(files) and all(
            (folder / name).stat().st_size == size for name, size in files.items()
        )
    return False


def status(settings: Settings, address: Address) -> Status:
    """Compare a database with this build.

    Raises:
        psycopg.OperationalError: the database can't be reached.
        LiftlockError: the build can't be read.
    """
    build = build_of(settings)
    with contextlib.closing(connect(address, "status")) as session:
        return compare(session, build)


def compare(session: Session, build: Build) -> Status:
    """Compare the database of a session with a build."""
    table = _version_table(session, build)
    have = current(session, table)
    rows = tuple(applied(session, table))
    verdict = standing(build.chain, build.required, have, chain_of(rows))
    return Status(
        standing=verdict,
        current=have,
        required=build.required,
        pending=build.chain.ancestors(build.required) - build.chain.ancestors(have),
        newer=tuple(row for row in rows if row.revision.id not in build.chain.revisions),
        applied=rows,
        unfinished=unfinished(session, table),
    )


def _version_table(session: Session, build: Build) -> str:
    """Where this database keeps its revisions: env.py and the role's settings say it, and the build needn't know."""
    expected = build.version_table
    if "." not in expected:
        schema = query(session, "server_facts")[0]["schema"] or "public"
        expected = f"{schema}.{expected}"
    found = [row["name"] for row in query(session, "version_tables")]
    own = [] if expected in found else [one for one in found if not build.chain.revisions.keys().isdisjoint(current(session, one))]
    return own[0] if len(own) == 1 else expected


def _listed(ids: frozenset[str]) -> str:
    return ", ".join(sorted(ids)) or "no revision"
