"""Selection of the revisions to check: a given range, what is new in git, or all."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from alembic.script.revision import RevisionError
from alembic.util import CommandError

from liftlock.errors import SettingsError
from liftlock.revisions.project import Project

_MAIN_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")

Pending = Callable[[], tuple[frozenset[str] | None, str]]
"""Returns the pending revisions of a database (None where it can't be asked), and a text."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Revisions to check.

    Parameters:
        revisions: the revisions to run, in their order.
        base: the revisions that must have run before, in their order.
        chosen: the revisions to judge; the other ones lie between two of these.
        edited: revisions whose files have changed since they were merged.
        text: how the revisions were selected, for people.
    """

    revisions: tuple[str, ...]
    base: tuple[str, ...]
    chosen: frozenset[str]
    edited: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class _GitState:
    """Revisions that the main branch doesn't have, and those that it has with another text."""

    new: frozenset[str]
    edited: frozenset[str]


def select(project: Project, wanted: str, pending: Pending) -> Selection:
    """Select the revisions to check.

    Parameters:
        project: the project.
        wanted: ``a:b`` (after a, up to b), one revision, or nothing: then the revisions that are
            new compared with git's main branch, else the pending ones, else all.
        pending: is called where git knows no main branch.

    Raises:
        SettingsError: there is no such revision.
    """
    if wanted:
        return _selection(project, _range(project, wanted), frozenset(), wanted)
    git = _git_state(project)
    if git is not None:
        text = "what is new against the main branch"
        return _selection(project, git.new | git.edited, git.edited, text)
    ids, text = pending()
    chosen = frozenset(project.chain.revisions) if ids is None else ids
    return _selection(project, chosen, frozenset(), text)


def _range(project: Project, wanted: str) -> frozenset[str]:
    lower, colon, upper = wanted.partition(":")
    script = project.script
    try:
        if colon:
            scripts = list(script.iterate_revisions(upper or "heads", lower or "base"))
        else:
            scripts = [found for found in script.get_revisions(wanted) if found is not None]
    except (CommandError, RevisionError) as error:
        raise SettingsError(
            "LL-REVISION-NOT-FOUND",
            f"{wanted}: {error}",
            now="`alembic history` lists the revisions.",
        ) from error
    return frozenset(found.revision for found in scripts)


def _selection(
    project: Project, chosen: AbstractSet[str], edited: frozenset[str], text: str
) -> Selection:
    """Add the revisions that lie between chosen ones, and those that must have run before."""
    chain = project.chain
    selected = {
        revision
        for revision in chain.ancestors(chosen)
        if revision in chosen or not chosen.isdisjoint(chain.ancestors([revision]))
    }
    needed = chain.ancestors(selected) - selected
    newest_first = [found.revision for found in project.script.iterate_revisions("heads", "base")]
    ordered = newest_first[::-1]
    return Selection(
        revisions=tuple(revision for revision in ordered if revision in selected),
        base=tuple(revision for revision in ordered if revision in needed),
        chosen=frozenset(chosen),
        edited=edited,
        text=text,
    )


def _git_state(project: Project) -> _GitState | None:
    """Return the state of the revision files; None where git knows no main branch."""
    folder = Path(project.script.dir).resolve()
    base = _merge_base(folder)
    if base is None:
        return None
    top = Path((_git(folder, "rev-parse", "--show-toplevel") or [""])[0])
    merged = {top / name for name in _git(top, "ls-tree", "-r", "--name-only", base) or []}
    changed = {top / name for name in _git(top, "diff", "--name-only", base) or []}
    files = {
        Path(script.path).resolve(): script.revision for script in project.script.walk_revisions()
    }
    new = {revision for path, revision in files.items() if path not in merged}
    edited = {revision for path, revision in files.items() if path in merged & changed}
    return _GitState(frozenset(new), frozenset(edited))


def _merge_base(folder: Path) -> str | None:
    """Return the last common commit with the main branch."""
    for name in _MAIN_BRANCHES:
        lines = _git(folder, "merge-base", "HEAD", name)
        if lines:
            return lines[0]
    return None


def prefix() -> str:
    """Return the path from the top of the git repository to the working folder.

    It ends with a slash, such as ``backend/``; it is empty at the top and outside of git.
    """
    return (_git(Path(), "rev-parse", "--show-prefix") or [""])[0]


def _git(folder: Path, *arguments: str) -> list[str] | None:
    """Return the lines that git writes; None where it fails or isn't installed."""
    program = shutil.which("git")
    if program is None:
        return None
    command = [program, "-C", str(folder), "-c", "core.quotePath=false", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else None
