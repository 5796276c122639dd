"""A project's history: its revisions and how they follow each other."""

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
        down: the revisions it follows; none for a base.
        depends_on: revisions of other branches that must come first.
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
        """One that was written down by ``asdict``, as JSON gives it back.

        Raises:
            KeyError, TypeError: it wasn't.
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
        """All that must be applied before it."""
        return self.down + self.depends_on


@dataclass(frozen=True, slots=True)
class Chain:
    """All revisions that a build knows."""

    revisions: dict[str, Revision] = field(default_factory=dict)

    @classmethod
    def of(cls, revisions: Iterable[Revision]) -> Chain:
        """A chain from its revisions, in any order."""
        return cls({revision.id: revision for revision in revisions})

    def __iter__(self) -> Iterator[Revision]:
        """The revisions."""
        return iter(self.revisions.values())

    @property
    def heads(self) -> frozenset[str]:
        """Revisions that nothing follows."""
        followed = {parent for revision in self for parent in revision.down}
        return frozenset(self.revisions) - followed

    def ancestors(self, ids: Iterable[str]) -> frozenset[str]:
        """These revisions and all that must be applied before them; unknown ones are left out."""
        found: set[str] = set()
        ahead = [one for one in ids if one in self.revisions]
        while ahead:
            one = ahead.pop()
            if one not in found:
                found.add(one)
                ahead += [
                    parent for parent in self.revisions[one].parents if parent in self.revisions
                ]
        return frozenset(found)


class SchemaState(StrEnum):
    """Where a database stands, seen from a build."""

    HEAD = "at head"
    BEHIND = "behind"
    NEWER = "newer"
    FOREIGN = "foreign"


def schema_state(
    chain: Chain, required: frozenset[str], current: frozenset[str], applied: Chain
) -> SchemaState:
    """Judge a database against what a build requires.

    Parameters:
        chain: what the build knows.
        required: the revisions it needs, usually its heads.
        current: the rows of the version table.
        applied: the revisions that the ledger remembers, which may be newer than the build.

    Returns:
        ``HEAD`` when the database has the required revisions and no other; ``NEWER`` when it has them
        and revisions unknown to the build; ``FOREIGN`` when it has unknown revisions and nothing tells
        that they follow the build's; otherwise ``BEHIND``.
    """
    if current == required:
        return SchemaState.HEAD
    unknown = current - frozenset(chain.revisions)
    everything = Chain({**applied.revisions, **chain.revisions})
    present = everything.ancestors(current)
    if unknown:
        return SchemaState.NEWER if required <= present else SchemaState.FOREIGN
    return SchemaState.HEAD if required <= present else SchemaState.BEHIND
