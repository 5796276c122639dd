"""Shadows of a project: throwaway databases in the state after some of its revisions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from liftlock import __version__
from liftlock.events import Event, Notify
from liftlock.postgres.shadow import Shadow, embedded_shadow, server_shadow
from liftlock.revisions.history import Project
from liftlock.revisions.trial import Trials
from liftlock.settings import Address


def shadow_at(trials: Trials, revisions: Sequence[str], notify: Notify, server: Address | None = None) -> AbstractContextManager[Shadow]:
    """A shadow in the state after some revisions, for as long as the context lasts.

    Parameters:
        trials: run the revisions of a project.
        revisions: these, in the order in which they run, with all that come before them.
        notify: is told when the state must be built.
        server: where; the embedded server by default, which keeps the state from one call to the next.

    Raises:
        LiftlockError: there is no server, or the revisions don't run.
    """
    project = trials.project

    def build(address: Address, done: int) -> None:
        notify(
            Event(
                "base.built",
                f"building the base state: {len(revisions) - max(done, 0)} revisions",
            )
        )
        followed = {parent for one in revisions for parent in project.chain.revisions[one].parents}
        for one in revisions:
            if one not in followed:
                trials.build(address, one)

    if server is not None:
        return server_shadow(server, build)
    return embedded_shadow(Path(trials.settings.cache) / "shadows", _keys(project, revisions), build)


def _keys(project: Project, revisions: Sequence[str]) -> list[str]:
    """A name for the state after each of the revisions; the first is that of an empty database."""
    script = project.script
    env = Path(script.dir) / "env.py"
    digest = hashlib.sha256(f"{__version__} 1 {env.read_bytes() if env.exists() else b''!r}".encode())
    keys = [digest.hexdigest()[:24]]
    for one in revisions:
        found = script.get_revision(one)
        assert found is not None  # noqa: S101 - it was listed
        digest.update(Path(found.path).read_bytes())
        keys.append(digest.hexdigest()[:24])
    return keys
