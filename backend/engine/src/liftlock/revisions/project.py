"""A project's files: ``alembic.ini``, the script directory, the revisions, and what is wrong with them."""

from __future__ import annotations

import ast
import traceback
import warnings
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from alembic.util import CommandError

from liftlock.errors import LiftlockError, SettingsError, UnsafeRevision
from liftlock.model.revision import Chain, Revision
from liftlock.settings import Address, from_url


@dataclass(frozen=True, slots=True)
class Project:
    """An Alembic project, loaded.

    Parameters:
        config: Alembic's configuration.
        script: its script directory.
        chain: its revisions.
    """

    config: Config
    script: ScriptDirectory
    chain: Chain

    @property
    def files(self) -> list[Path]:
        """The revision files."""
        return [Path(script.path) for script in self.script.walk_revisions()]

    def head(self, target: str) -> None:
        """Make sure that a target such as ``head`` means one thing.

        Raises:
            UnsafeRevision: it is ``head`` and there are several.
        """
        heads = sorted(self.chain.heads)
        if target == "head" and len(heads) > 1:
            titles = [f"{one} ({self.chain.revisions[one].message})" for one in heads]
            raise UnsafeRevision(
                "LL-AMBIGUOUS-HEAD",
                f"The history has {len(heads)} heads: {', '.join(titles)}.",
                why="`head` could mean any of them, so nothing was run.",
                now=f'Join them: alembic merge -m "merge" {" ".join(heads)}. Or run all branches: liftlock upgrade heads.',
            )


def load(path: str, x_arguments: Sequence[str] = ()) -> Project:
    """Load a project.

    Parameters:
        path: of its ``alembic.ini``.
        x_arguments: what Alembic's ``-x`` passes to ``env.py``.

    Raises:
        SettingsError: there is no such project.
        UnsafeRevision: its revisions can't be loaded; the file and line are named.
    """
    config = configure(path, x_arguments)
    try:
        script = ScriptDirectory.from_config(config)
    except CommandError as error:
        raise SettingsError(
            "LL-SCRIPT-LOCATION",
            f"{path}: {error}",
            now="Check script_location in that file, and run the command in the folder it is relative to.",
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # a missing parent: Alembic warns, then raises
            revisions = [revision_of(one) for one in script.walk_revisions()]
    except LiftlockError:
        raise
    except Exception as error:
        raise explain(error, script) from error
    for duplicate in duplicates(scan(_revision_files(script))):
        raise duplicate
    return Project(config, script, Chain.of(revisions))


def configure(path: str, x_arguments: Sequence[str] = ()) -> Config:
    """Alembic's configuration from a file.

    Raises:
        SettingsError: there is no such file.
    """
    if not Path(path).is_file():
        raise SettingsError(
            "LL-ALEMBIC-INI-MISSING",
            f"There is no {path} in {Path.cwd()}.",
            now="Run the command in the project's folder, or name the file: liftlock -c path/to/alembic.ini …",
        )
    return Config(path, cmd_opts=Namespace(x=list(x_arguments)))


def url_of(config: Config) -> Address | None:
    """The address in ``sqlalchemy.url``; None where there is none, or a placeholder."""
    url = config.get_main_option("sqlalchemy.url")
    if not url or url.startswith("driver://"):
        return None
    try:
        return from_url(url)
    except SettingsError:
        return None


def revision_of(script: Script) -> Revision:
    """A revision from Alembic's own object."""
    return Revision(
        id=script.revision,
        down=tuple(script._versioned_down_revisions),
        depends_on=tuple(script._resolved_dependencies),
        message=(script.doc or "").strip(),
        labels=tuple(sorted(script.branch_labels)),
    )


def revision_files(config_path: str) -> list[Path]:
    """The revision files of a project, without running any of them.

    Raises:
        SettingsError: there is no such project.
    """
    return _revision_files(ScriptDirectory.from_config(configure(config_path)))


@dataclass(frozen=True, slots=True)
class Source:
    """What a revision file says of itself, read without running it."""

    path: Path
    line: int
    id: str
    parents: tuple[str, ...]


def _revision_files(script: ScriptDirectory) -> list[Path]:
    folders = [Path(folder) for folder in script._version_locations]
    recursive = getattr(script, "recursive_version_locations", False)  # since Alembic 1.10
    pattern = "**/*.py" if recursive else "*.py"
    return sorted(
        path for folder in folders for path in folder.glob(pattern) if path.name != "__init__.py"
    )


def scan(files: Iterable[Path]) -> list[Source]:
    """Read the identifiers of revision files from their syntax trees; files that don't parse are left out."""
    sources = []
    for path in files:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError, OSError):
            continue
        said = {}
        for node in tree.body:
            target = (
                node.target
                if isinstance(node, ast.AnnAssign)
                else node.targets[0]
                if isinstance(node, ast.Assign)
                else None
            )
            if isinstance(target, ast.Name) and target.id in {
                "revision",
                "down_revision",
                "depends_on",
            }:
                said[target.id] = (_literal(node), node.lineno)
        if "revision" in said and said["revision"][0]:
            parents = said.get("down_revision", ((), 0))[0] + said.get("depends_on", ((), 0))[0]
            line = said.get("down_revision", said["revision"])[1]
            sources.append(Source(path, line, said["revision"][0][0], parents))
    return sources


def _literal(node: ast.stmt) -> tuple[str, ...]:
    value = getattr(node, "value", None)
    try:
        literal = ast.literal_eval(value) if value is not None else None
    except ValueError:
        return ()
    found = (literal,) if isinstance(literal, str) else literal or ()
    return tuple(one for one in found if isinstance(one, str))


def duplicates(sources: Iterable[Source]) -> list[UnsafeRevision]:
    """Revisions that two files claim; Alembic would take one and only warn."""
    seen: dict[str, Source] = {}
    found = []
    for source in sources:
        first = seen.setdefault(source.id, source)
        if first is not source:
            found.append(
                UnsafeRevision(
                    "LL-DUPLICATE-REVISION",
                    f"Two files are revision {source.id}: {first.path} and {source.path}.",
                    why="Alembic would run one of them and ignore the other.",
                    now="Give one of them a new revision identifier, or delete it.",
                )
            )
    return found


def missing_parents(sources: Sequence[Source]) -> list[UnsafeRevision]:
    """Revisions that follow one that no file has."""
    known = {source.id for source in sources}
    return [
        UnsafeRevision(
            "LL-MISSING-PARENT",
            f"{source.path}:{source.line}: revision {source.id} follows {parent}, which no file has.",
            why="The order of the revisions is unknown, so nothing was run.",
            now=f"Bring back the file of {parent} (is it in the image?), or correct down_revision.",
        )
        for source in sources
        for parent in source.parents
        if not any(one.startswith(parent) for one in known)
    ]


def explain(error: Exception, script: ScriptDirectory) -> UnsafeRevision:
    """Why the revisions can't be loaded, with file and line."""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}:{error.lineno}"
        return UnsafeRevision(
            "LL-SYNTAX-ERROR",
            f"{place}: {error.msg}.",
            why="Nothing was run.",
            now="Correct that line.",
        )
    faults = missing_parents(scan(_revision_files(script)))
    if faults and isinstance(error, KeyError | CommandError):
        return faults[0]
    place = place_in(error, script) or "A revision file"
    return UnsafeRevision(
        "LL-REVISIONS-NOT-LOADED",
        f"{place}: {type(error).__name__}: {error}",
        why="The revisions couldn't be loaded, so nothing was run.",
        now="Correct that file; if a module is missing, install it in this environment or image.",
    )


def place_in(error: BaseException, script: ScriptDirectory) -> str | None:
    """``file:line`` of the innermost frame of an error that is in one of the project's scripts."""
    folders = (script.dir, *(str(Path(folder)) for folder in script._version_locations))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(folders)
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
