"""Where a database stands, seen from this build. Reads only, and creates nothing."""

from __future__ import annotations

from dataclasses import dataclass

from liftlock.errors import SettingsError
from liftlock.model.revision import Chain, SchemaState, schema_state
from liftlock.postgres.ledger import (
    AppliedRevision,
    applied,
    chain_of,
    current_heads,
    describe_applied,
    unfinished,
)
from liftlock.postgres.session import Session, query


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
        state: the verdict.
        current: the rows of the version table.
        required: what this build needs.
        pending: revisions that are still to run, in no order.
        newer: revisions that this build doesn't know, as the ledger tells of them.
        applied: all that the ledger remembers.
        unfinished: what was begun and isn't finished; empty where nothing is.
    """

    state: SchemaState
    current: frozenset[str]
    required: frozenset[str]
    pending: frozenset[str]
    newer: tuple[AppliedRevision, ...]
    applied: tuple[AppliedRevision, ...]
    unfinished: str = ""

    @property
    def satisfied(self) -> bool:
        """Whether the database has what this build needs: a downgrade that isn't finished has taken some of it away."""
        return self.state in {SchemaState.HEAD, SchemaState.NEWER} and not self.downgrade_unfinished

    @property
    def downgrade_unfinished(self) -> bool:
        """Whether a downgrade was begun and isn't finished: its revision still counts as applied."""
        return self.unfinished.startswith("downgrade")

    def as_dict(self) -> dict[str, object]:
        """The status for programs."""
        return {
            "standing": self.state.value,
            "satisfied": self.satisfied,
            "current": sorted(self.current),
            "required": sorted(self.required),
            "unfinished": self.unfinished,
            "pending": sorted(self.pending),
            "newer": [row.as_dict() for row in self.newer],
            "applied": [row.as_dict() for row in self.applied],
        }

    def describe(self) -> str:
        """One or two lines for people."""
        begun = (
            f"\nThe {self.unfinished} was begun and isn't finished: the schema is between two revisions."
            if self.unfinished
            else ""
        )
        return self._standing() + begun

    def _standing(self) -> str:
        have, need = _listed(self.current), _listed(self.required)
        if self.state is SchemaState.NEWER:
            return f"The database is newer than this build: it has {need}, and since then {describe_applied(self.newer)}."
        if self.state is SchemaState.FOREIGN:
            return f"The database is at {have}, which this build doesn't know and the ledger says nothing about; it needs {need}."
        if self.state is SchemaState.BEHIND:
            return f"The database is at {have}; this build needs {need}: {len(self.pending)} revisions are pending."
        return f"The database is at {have}, as this build needs it."


def compare(session: Session, build: Build) -> Status:
    """Compare the database of a session with a build."""
    table = _version_table(session, build)
    have = current_heads(session, table)
    rows = tuple(applied(session, table))
    verdict = schema_state(build.chain, build.required, have, chain_of(rows))
    return Status(
        state=verdict,
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
    own = (
        []
        if expected in found
        else [
            one
            for one in found
            if not build.chain.revisions.keys().isdisjoint(current_heads(session, one))
        ]
    )
    return own[0] if len(own) == 1 else expected


def unknown_revision(heads: frozenset[str], required: frozenset[str]) -> SettingsError:
    """Return the error of a database whose revisions neither this build nor the ledger knows.

    Parameters:
        heads: the revisions of the database.
        required: the revisions that this build needs.
    """
    return SettingsError(
        "LL-UNKNOWN-REVISION",
        f"The database is at {_listed(heads)}, which this build doesn't know and the ledger says"
        f" nothing about; it needs {_listed(required)}.",
        why="Either this build is older than the database and liftlock didn't record how they"
        " relate, or this is the database of another project.",
        now="Start the build that belongs to this database; or, if this is a newer one of the same"
        " project, compare both: liftlock status.",
    )


def _listed(ids: frozenset[str]) -> str:
    return ", ".join(sorted(ids)) or "no revision"
