"""Which revisions are to be checked: a range that is given, what is new in git, or all."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alembic.script.revision import RevisionError
from alembic.util import CommandError

from liftlock.errors import SettingsError
from liftlock.revisions.project import Project

_MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


@dataclass(frozen=True, slots=True)
class Selection:
    """Revisions to check.

    Parameters:
        revisions: in the order in which they run.
        base: in the order in which they run, those that must have run before.
        chosen: of the revisions, those that are judged; the others stand between them.
        edited: those whose files have changed since they were merged.
        told: how they were chosen, for people.
    """

    revisions: tuple[str, ...]
    base: tuple[str, ...]
    chosen: frozenset[str]
    edited: frozenset[str]
    told: str


def select(
    project: Project, wanted: str, pending: Callable[[], tuple[frozenset[str] | None, str]]
) -> Selection:
    """Choose revisions.

    Parameters:
        project: the project.
        wanted: ``a:b`` (what comes after a, up to b), a single revision, or nothing: what is new against git's main
            branch, else what is pending, else all.
        pending: what is pending on a database, and how that is told; None where it can't be asked.

    Raises:
        SettingsError: there is no such revision.
    """
    if wanted:
        return _range(project, wanted)
    new, edited = _in_git(project)
    if new is None:
        found, told = pending()
        return _of(
            project, set(project.chain.revisions if found is None else found), frozenset(), told
        )
    return _of(project, new | edited, frozenset(edited), "what is new against the main branch")


def _range(project: Project, wanted: str) -> Selection:
    try:
        if ":" in wanted:
            lower, upper = wanted.split(":", 1)
            found = {
                one.revision
                for one in project.script.iterate_revisions(upper or "heads", lower or "base")
            }
        else:
            found = {
                one.revision for one in project.script.get_revisions(wanted) if one is not None
            }
    except (CommandError, RevisionError) as error:
        raise SettingsError(
            "LL-REVISION-NOT-FOUND",
            f"{wanted}: {error}",
            now="`alembic history` lists the revisions.",
        ) from error
    return _of(project, found, frozenset(), wanted)


def _of(project: Project, chosen: set[str], edited: frozenset[str], told: str) -> Selection:
    """The chosen ones, those between two of them, and what must come before."""
    chain = project.chain
    selected = {
        one
        for one in chain.ancestors(chosen)
        if one in chosen or not chosen.isdisjoint(chain.ancestors([one]))
    }
    needed = chain.ancestors(selected) - selected
    ordered = [one.revision for one in project.script.iterate_revisions("heads", "base")][::-1]
    revisions, base = (tuple(one for one in ordered if one in kind) for kind in (selected, needed))
    return Selection(revisions, base, frozenset(chosen), edited, told)


def _in_git(project: Project) -> tuple[set[str] | None, set[str]]:
    """The revisions that git's main branch hasn't, and those that it has otherwise; None where it can't be asked."""
    folder = Path(project.script.dir).resolve()
    if shutil.which("git") is None:
        return None, set()
    base = next(
        (found for name in _MAIN if (found := _git(folder, "merge-base", "HEAD", name))), None
    )
    if base is None:
        return None, set()
    top = Path((_git(folder, "rev-parse", "--show-toplevel") or [""])[0])
    files = {
        Path(script.path).resolve(): script.revision for script in project.script.walk_revisions()
    }
    there = {top / name for name in _git(top, "ls-tree", "-r", "--name-only", base[0]) or []}
    changed = {top / name for name in _git(top, "diff", "--name-only", base[0]) or []}
    new = {revision for path, revision in files.items() if path not in there}
    return new, {revision for path, revision in files.items() if path in there & changed}


def prefix() -> str:
    """What leads from the top of the git repository to the current folder, such as ``backend/``; empty outside of any."""
    return (
        (_git(Path(), "rev-parse", "--show-prefix") or [""])[0]
        if shutil.which("git") is not None
        else ""
    )


def _git(folder: Path, *arguments: str) -> list[str] | None:
    done = subprocess.run(
        ["git", "-C", str(folder), "-c", "core.quotePath=false", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines() if done.returncode == 0 else None
