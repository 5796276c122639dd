"""Shadows of a project: throwaway databases in the state after some of its revisions."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from liftlock.events import Event, Notify
from liftlock.revisions.project import Project
from liftlock.revisions.project_config import project_config
from liftlock.settings import Address
from liftlock.shadow import embedded
from liftlock.shadow.database import Shadow, embedded_shadow, server_shadow
from liftlock.shadow.runner import ShadowRunner
from liftlock.version import __version__


def shadow_at(
    trials: ShadowRunner,
    revisions: Sequence[str],
    notify: Notify,
    server: Address | None = None,
    ports: Sequence[int] = (),
) -> AbstractContextManager[Shadow]:
    """A shadow in the state after some revisions, for as long as the context lasts.

    Parameters:
        trials: run the revisions of a project.
        revisions: these, in the order in which they run, with all that come before them.
        notify: is told when the state must be built.
        server: where; the embedded server by default, which keeps the state from one call to the next.
        ports: where that may listen; anywhere by default.

    Raises:
        LiftlockError: there is no server, or the revisions don't run.
    """
    project = trials.project

    def build(address: Address, done: int) -> None:
        notify(
            Event(
                "base.built", f"building the base state: {len(revisions) - max(done, 0)} revisions"
            )
        )
        followed = {parent for one in revisions for parent in project.chain.revisions[one].parents}
        for one in revisions:
            if one not in followed:
                trials.build(address, one)

    if server is not None:
        return server_shadow(server, _texts(project), build)
    return embedded_shadow(
        Path(trials.settings.cache) / "shadows",
        _keys(project, revisions),
        project_config(project).roles,
        build,
        ports,
    )


@contextlib.contextmanager
def empty_at(project: Project, server: Address | None = None) -> Iterator[Address]:
    """An empty database for the revisions of a project, for as long as the context lasts.

    Parameters:
        project: its revisions will be run there.
        server: where; an embedded server of its own by default.

    Raises:
        LiftlockError: there is no server.
    """
    if server is None:
        with embedded.throwaway(project_config(project).roles) as address:
            yield address
    else:
        with server_shadow(server, _texts(project), lambda _address, _done: None) as shadow:
            yield shadow.base


def _texts(project: Project) -> list[str]:
    return [one.read_text(encoding="utf-8") for one in project.files]


def _keys(project: Project, revisions: Sequence[str]) -> list[str]:
    """A name for the state after each of the revisions, from all that it depends on; the first is that of an empty database."""
    script, config = project.script, project.config
    ini = Path(str(config.config_file_name))
    given = [__version__, embedded.version(), repr(getattr(config.cmd_opts, "x", None))]
    digest = hashlib.sha256("\n".join(given).encode())
    read = (_imported(ini.resolve().parent) | _beside(Path(script.dir).resolve())) - {
        one.resolve() for one in project.files
    }
    for path in [ini, *sorted(read)]:
        digest.update(path.read_bytes() if path.exists() else b"")
    keys = [digest.hexdigest()[:24]]
    for one in revisions:
        found = script.get_revision(one)
        assert found is not None
        digest.update(Path(found.path).read_bytes())
        keys.append(digest.hexdigest()[:24])
    return keys


def _beside(folder: Path) -> set[Path]:
    """What lies in the script directory, such as SQL that revisions read."""
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def _imported(folder: Path) -> set[Path]:
    """The project's own modules that its revisions have imported."""
    paths = {
        Path(found).resolve()
        for module in list(sys.modules.values())
        if (found := getattr(module, "__file__", None))
    }
    mine = {
        path
        for path in paths
        if path.is_relative_to(folder)
        and path.suffix == ".py"
        and "site-packages" not in path.parts
    }
    return {path for path in mine if not path.is_relative_to(Path(__file__).resolve().parents[1])}
