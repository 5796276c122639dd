"""A project's history: its revisions and their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Revision:
    """One Alembic file.

    Parameters:
        id: its identifier.
        down: its ``down_revision``; empty for a base.
        depends_on: the revisions of other branches that must run before it.
        message: its title.
        labels: its branch labels.
    """

    id: str
    down: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    message: str = ""
    labels: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Revision:
        """Return the revision that ``asdict`` wrote, read back from JSON.

        Raises:
            KeyError, TypeError: the row isn't one that ``asdict`` wrote.
        """
        return cls(
            row["id"],
            tuple(row["down"]),
            tuple(row["depends_on"]),
            row["message"],
            tuple(row["labels"]),
        )

    @property
    def parents(self) -> tuple[str, ...]:
        """Return the revisions that must run directly before it."""
        return self.down + self.depends_on


@dataclass(frozen=True, slots=True)
class Chain:
    """A set of revisions, such as those of a build or those in a database's ledger."""

    revisions: dict[str, Revision] = field(default_factory=dict)

    @classmethod
    def of(cls, revisions: Iterable[Revision]) -> Chain:
        """Return the chain of these revisions, given in any order."""
        return cls({revision.id: revision for revision in revisions})

    def __iter__(self) -> Iterator[Revision]:
        """Iterate over the revisions."""
        return iter(self.revisions.values())

    @property
    def heads(self) -> frozenset[str]:
        """Return the revisions that no other revision follows."""
        followed = {parent for revision in self for parent in revision.down}
        return frozenset(self.revisions) - followed

    def ancestors(self, ids: Iterable[str]) -> frozenset[str]:
        """Return these revisions and all their ancestors, without those that the chain lacks."""
        visited: set[str] = set()
        pending = [revision for revision in ids if revision in self.revisions]
        while pending:
            current = pending.pop()
            if current not in visited:
                visited.add(current)
                parents = self.revisions[current].parents
                pending += [parent for parent in parents if parent in self.revisions]
        return frozenset(visited)


class SchemaState(StrEnum):
    """The state of a database's schema, compared with what a build requires."""

    HEAD = "at head"
    BEHIND = "behind"
    NEWER = "newer"
    FOREIGN = "foreign"


def schema_state(
    chain: Chain, required: frozenset[str], current: frozenset[str], applied: Chain
) -> SchemaState:
    """Compare a database with what a build requires.

    Parameters:
        chain: the revisions of the build.
        required: the revisions that it needs, usually its heads.
        current: the rows of the version table.
        applied: the revisions in the ledger, which may be newer than the build.

    Returns:
        ``HEAD`` when the database has the required revisions and the build contains all rows of
        the version table; ``NEWER`` when the database has the required revisions and unknown ones;
        ``FOREIGN`` when it has unknown revisions and the ledger doesn't show that they follow the
        required ones; otherwise ``BEHIND``.
    """
    if current == required:
        return SchemaState.HEAD
    unknown = current - frozenset(chain.revisions)
    known = Chain({**applied.revisions, **chain.revisions})
    has_required = required <= known.ancestors(current)
    if unknown:
        return SchemaState.NEWER if has_required else SchemaState.FOREIGN
    return SchemaState.HEAD if has_required else SchemaState.BEHIND
