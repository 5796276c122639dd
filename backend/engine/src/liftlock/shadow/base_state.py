"""Shadows of a project: throwaway databases in the state after some of its revisions."""

from __future__ import annotations

import ast
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
from liftlock.shadow.database import BaseState, Shadow, embedded_shadow, server_shadow
from liftlock.shadow.runner import ShadowRunner
from liftlock.version import __version__

_LIFTLOCK = Path(__file__).resolve().parents[1]
_KEY_LENGTH = 24


def shadow_at(
    trials: ShadowRunner,
    revisions: Sequence[str],
    notify: Notify,
    server: Address | None = None,
    ports: Sequence[int] = (),
) -> AbstractContextManager[Shadow]:
    """Make a shadow in the state after some revisions, until the end of the context.

    Parameters:
        trials: runs the revisions of the project.
        revisions: the revisions with all their ancestors, in the order in which they run.
        notify: receives an event if the state must be built.
        server: the address of another server; by default an embedded server, whose state is kept
            from one call to the next.
        ports: the ports that the embedded server may listen on; free ones by default.

    Raises:
        LiftlockError: there is no server, or a revision fails.
    """
    project = trials.project

    def build(address: Address, done: int) -> None:
        count = len(revisions) - max(done, 0)
        notify(Event("base.built", f"building the base state: {count} revisions"))
        for revision in _heads(project, revisions):
            trials.build(address, revision)

    if server is not None:
        return server_shadow(server, _texts(project), build)
    state = BaseState(_keys(project, revisions), project_config(project).roles, build)
    return embedded_shadow(Path(trials.settings.cache) / "shadows", state, ports)


@contextlib.contextmanager
def empty_at(project: Project, server: Address | None = None) -> Iterator[Address]:
    """Make an empty database for the revisions of a project, until the end of the context.

    Parameters:
        project: the project.
        server: the address of another server; an embedded server by default.

    Raises:
        LiftlockError: there is no server.
    """
    if server is None:
        with embedded.throwaway(project_config(project).roles) as address:
            yield address
    else:
        with server_shadow(server, _texts(project), lambda _address, _done: None) as shadow:
            yield shadow.base


def _heads(project: Project, revisions: Sequence[str]) -> list[str]:
    """Return the revisions that no other of them follows or depends on."""
    followed = {
        parent for revision in revisions for parent in project.chain.revisions[revision].parents
    }
    return [revision for revision in revisions if revision not in followed]


def _texts(project: Project) -> list[str]:
    """Return the string constants of the revisions, among them their SQL."""
    trees = [ast.parse(path.read_bytes()) for path in project.files if path.suffix == ".py"]
    return [
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _keys(project: Project, revisions: Sequence[str]) -> list[str]:
    """Return the keys of the states before the first and after each of the revisions.

    A key is a digest of all files and settings that a state depends on: the versions of liftlock
    and PostgreSQL, the arguments ``-x``, ``alembic.ini``, the modules and files that revisions may
    read, and the revisions up to that state.
    """
    digest = hashlib.sha256(_versions(project).encode())
    for path in _shared_files(project):
        digest.update(path.read_bytes() if path.exists() else b"")
    keys = [digest.hexdigest()[:_KEY_LENGTH]]
    paths = {script.revision: script.path for script in project.script.walk_revisions()}
    for revision in revisions:
        digest.update(Path(paths[revision]).read_bytes())
        keys.append(digest.hexdigest()[:_KEY_LENGTH])
    return keys


def _versions(project: Project) -> str:
    arguments = getattr(project.config.cmd_opts, "x", None)
    return "\n".join([__version__, embedded.version(), repr(arguments)])


def _shared_files(project: Project) -> list[Path]:
    """Return the files that all revisions may depend on, ``alembic.ini`` first."""
    ini = Path(str(project.config.config_file_name))
    folder = Path(project.script.dir).resolve()
    shared = _imported_from(ini.resolve().parent) | _files_in(folder)
    return [ini, *sorted(shared - {path.resolve() for path in project.files})]


def _files_in(folder: Path) -> set[Path]:
    """Return the files of a folder, such as SQL that revisions read."""
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def _imported_from(folder: Path) -> set[Path]:
    """Return the project's own modules that its revisions have imported."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    paths = {Path(file).resolve() for file in files if file}
    return {path for path in paths if _belongs_to(path, folder)}


def _belongs_to(module: Path, folder: Path) -> bool:
    """Return whether a module is the project's: not a dependency, and not liftlock itself."""
    return (
        module.is_relative_to(folder)
        and module.suffix == ".py"
        and "site-packages" not in module.parts
        and not module.is_relative_to(_LIFTLOCK)
    )
