"""The state of a database compared with a build. It only reads, and creates nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from liftlock.errors import SettingsError
from liftlock.model.revision import Chain, SchemaState, schema_state
from liftlock.postgres.applied import (
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
    """The revisions of a build, from its manifest or its revision files.

    Parameters:
        version_table: the version table, with its schema if that is known.
        chain: the revisions that the build contains.
        required: the revisions that the application requires, usually the heads.
    """

    version_table: str
    chain: Chain
    required: frozenset[str]


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a database compared with a build.

    Parameters:
        state: the result of the comparison.
        current: the revisions in the version table.
        required: the revisions that the build requires.
        pending: revisions that are still to be applied, in no order.
        newer: revisions in the ledger that the build doesn't contain.
        applied: all revisions in the ledger.
        unfinished: an upgrade or downgrade that was begun and not finished, such as
            ``upgrade of a1b2``; empty if there is none.
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
        """True if the database has what the build requires.

        It hasn't after an unfinished downgrade, which has removed some of it already.
        """
        return self.state in {SchemaState.HEAD, SchemaState.NEWER} and not self.downgrade_unfinished

    @property
    def downgrade_unfinished(self) -> bool:
        """True if a downgrade was begun and not finished; its revision still counts as applied."""
        return self.unfinished.startswith("downgrade")

    def as_dict(self) -> dict[str, object]:
        """Return the status for programs."""
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
        """Return one or two lines for people."""
        text = self._describe_state()
        if self.unfinished:
            text += (
                f"\nThe {self.unfinished} was begun and isn't finished:"
                " the schema is between two revisions."
            )
        return text

    def _describe_state(self) -> str:
        current = _listed(self.current)
        required = _listed(self.required)
        if self.state is SchemaState.NEWER:
            return (
                f"The database is newer than this build: it has {required},"
                f" and since then {describe_applied(self.newer)}."
            )
        if self.state is SchemaState.FOREIGN:
            return _describe_unknown(self.current, self.required)
        if self.state is SchemaState.BEHIND:
            pending = (
                "1 revision is" if len(self.pending) == 1 else f"{len(self.pending)} revisions are"
            )
            return f"The database is at {current}; this build needs {required}: {pending} pending."
        return f"The database is at {current}, as this build needs it."


def unknown_revision(heads: Iterable[str], required: Iterable[str]) -> SettingsError:
    """Return the error for a database at a revision that the build doesn't contain.

    Parameters:
        heads: the revisions in the version table, or those of them that are unknown.
        required: the revisions that the build requires.
    """
    heads = sorted(heads)
    return SettingsError(
        "LL-UNKNOWN-REVISION",
        _describe_unknown(heads, required),
        why="Either this build is older than the database, and the ledger has no record of how they"
        " are related; or this is the database of another project.",
        now=f"Use the build that contains {_listed(heads)}. `liftlock status` shows what the ledger"
        " has recorded. If it is the wrong database, correct its address.",
    )


def compare(session: Session, build: Build) -> Status:
    """Compare the database of a session with a build."""
    version_table = _version_table(session, build)
    current = current_heads(session, version_table)
    rows = tuple(applied(session, version_table))
    chain = build.chain
    return Status(
        state=schema_state(chain, build.required, current, chain_of(rows)),
        current=current,
        required=build.required,
        pending=chain.ancestors(build.required) - chain.ancestors(current),
        newer=tuple(row for row in rows if row.revision.id not in chain.revisions),
        applied=rows,
        unfinished=unfinished(session, version_table),
    )


def _version_table(session: Session, build: Build) -> str:
    """Return the version table of this database, with its schema.

    The build may not know it: ``env.py`` and the search path of the role determine the schema. If
    there is no version table where it is expected, but exactly one that holds a revision of the
    build, it is that one.
    """
    expected = build.version_table
    if "." not in expected:
        schema = query(session, "server_facts")[0]["schema"] or "public"
        expected = f"{schema}.{expected}"
    tables = [row["name"] for row in query(session, "version_tables")]
    if expected in tables:
        return expected
    own_tables = [
        table
        for table in tables
        if not current_heads(session, table).isdisjoint(build.chain.revisions)
    ]
    return own_tables[0] if len(own_tables) == 1 else expected


def _describe_unknown(heads: Iterable[str], required: Iterable[str]) -> str:
    return (
        f"The database is at {_listed(heads)}, which this build doesn't contain, and the ledger has"
        f" no record of how that follows {_listed(required)}, which this build needs."
    )


def _listed(revisions: Iterable[str]) -> str:
    return ", ".join(sorted(revisions)) or "no revision"
