"""A project's files: ``alembic.ini``, the script directory, the revisions, and their faults."""

from __future__ import annotations

import ast
import traceback
import warnings
from argparse import Namespace  # noqa: TID251 - Alembic's type for the arguments of -x
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from alembic.util import CommandError
from alembic.util.pyfiles import pyc_file_from_path

from liftlock.errors import LiftlockError, SettingsError, UnsafeRevision
from liftlock.model.revision import Chain, Revision
from liftlock.revisions.patches import dependencies_of, parents_of, version_folders
from liftlock.settings import Address, from_url

_IDENTIFIERS = frozenset({"revision", "down_revision", "depends_on"})
"""Names of the module variables by which Alembic orders the revisions."""


@dataclass(frozen=True, slots=True)
class Project:
    """An Alembic project whose revisions are loaded.

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
        """Require that a target such as ``head`` means one revision.

        Raises:
            UnsafeRevision: the target is ``head``, and there are several heads.
        """
        heads = sorted(self.chain.heads)
        if target != "head" or len(heads) <= 1:
            return
        titles = [f"{head} ({self.chain.revisions[head].message})" for head in heads]
        raise UnsafeRevision(
            "LL-AMBIGUOUS-HEAD",
            f"The project has {len(heads)} heads: {', '.join(titles)}.",
            why="`head` could mean any of them, so nothing was run.",
            now="Create a revision that merges them:\n"
            f'  alembic merge -m "merge" {" ".join(heads)}\n'
            "Or run all branches:\n"
            "  liftlock upgrade heads",
        )


def load(path: str, x_arguments: Sequence[str] = ()) -> Project:
    """Load a project and its revisions.

    Parameters:
        path: its ``alembic.ini``.
        x_arguments: the values of Alembic's ``-x``, for ``env.py``.

    Raises:
        SettingsError: there is no such project.
        UnsafeRevision: its revisions can't be loaded; the message has the file and the line.
    """
    config = configure(path, x_arguments)
    script = _scripts_of(config)
    _require_env(script)
    try:
        with warnings.catch_warnings():
            # Alembic warns of a missing parent, and then raises an error
            warnings.simplefilter("ignore", UserWarning)
            revisions = [revision_of(revision) for revision in script.walk_revisions()]
    except LiftlockError:
        raise
    except Exception as error:
        raise explain(error, script) from error
    for duplicate in duplicates(scan(_files_of(script))):
        raise duplicate
    return Project(config, script, Chain.of(revisions))


def _require_env(script: ScriptDirectory) -> None:
    env = Path(script.dir) / "env.py"
    if env.exists() or pyc_file_from_path(str(env)) is not None:
        return
    raise SettingsError(
        "LL-ENV-MISSING",
        f"There is no file {env}.",
        why="Alembic's env.py opens the connection and runs the revisions.",
        now="Add it to this image or checkout, or correct script_location in alembic.ini. A new"
        " project gets one by:\n  alembic init migrations",
    )


def configure(path: str, x_arguments: Sequence[str] = ()) -> Config:
    """Return Alembic's configuration from a file.

    Raises:
        SettingsError: there is no such file.
    """
    if not Path(path).is_file():
        raise SettingsError(
            "LL-ALEMBIC-INI-MISSING",
            f"There is no file {path} in {Path.cwd()}.",
            why="It names the folder of the revisions.",
            now="Run the command in the project's folder, or name the file:\n"
            "  liftlock -c path/to/alembic.ini upgrade",
        )
    return Config(path, cmd_opts=Namespace(x=list(x_arguments)))


def url_of(config: Config) -> Address | None:
    """Return the address in ``sqlalchemy.url``; None if there is none, or only a placeholder."""
    url = config.get_main_option("sqlalchemy.url")
    if not url or url.startswith("driver://"):
        return None
    try:
        return from_url(url)
    except SettingsError:
        return None


def revision_of(script: Script) -> Revision:
    """Return a revision of Alembic as a value."""
    return Revision(
        id=script.revision,
        down=parents_of(script),
        depends_on=dependencies_of(script),
        message=(script.doc or "").strip(),
        labels=tuple(sorted(script.branch_labels)),
    )


def revision_files(config_path: str) -> list[Path]:
    """Return the revision files of a project, without running any of them.

    Raises:
        SettingsError: there is no such project.
    """
    return _files_of(_scripts_of(configure(config_path)))


def _scripts_of(config: Config) -> ScriptDirectory:
    try:
        return ScriptDirectory.from_config(config)
    except CommandError as error:
        raise SettingsError(
            "LL-SCRIPT-LOCATION",
            f"{config.config_file_name}: {error}",
            why="Without the script directory, the revisions can't be found.",
            now="Name the folder that has env.py. Without %(here)s, it is relative to the folder in"
            " which the command is run:\n"
            "  [alembic]\n"
            "  script_location = %(here)s/migrations",
        ) from error


def _files_of(script: ScriptDirectory) -> list[Path]:
    is_recursive = getattr(script, "recursive_version_locations", False)  # since Alembic 1.10
    pattern = "**/*.py" if is_recursive else "*.py"
    files = [path for folder in version_folders(script) for path in folder.glob(pattern)]
    return sorted(path for path in files if path.name != "__init__.py")


# Revision files, read without running them.


@dataclass(frozen=True, slots=True)
class Source:
    """The identifiers that a revision file assigns.

    Parameters:
        path: the file.
        line: the line of ``down_revision``.
        id: the revision's identifier.
        parents: the identifiers in ``down_revision`` and ``depends_on``.
    """

    path: Path
    line: int
    id: str
    parents: tuple[str, ...]


class _Assignment(NamedTuple):
    """The strings that a file assigns to a variable, and the line that does it."""

    values: tuple[str, ...]
    line: int


def scan(files: Iterable[Path]) -> list[Source]:
    """Read the identifiers of revision files from their syntax trees.

    Files that can't be parsed, and files without an identifier, are left out.
    """
    sources = (_source_in(path) for path in files)
    return [source for source in sources if source is not None]


def _source_in(path: Path) -> Source | None:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError):
        return None
    assignments = _assignments(tree)
    revision = assignments.get("revision")
    if revision is None or not revision.values:
        return None
    nothing = _Assignment((), revision.line)
    down_revision = assignments.get("down_revision", nothing)
    depends_on = assignments.get("depends_on", nothing)
    return Source(
        path,
        down_revision.line,
        id=revision.values[0],
        parents=down_revision.values + depends_on.values,
    )


def _assignments(tree: ast.Module) -> dict[str, _Assignment]:
    """Return what a module assigns to the variables by which Alembic orders the revisions."""
    assignments = {}
    for statement in tree.body:
        if isinstance(statement, ast.AnnAssign):
            target: ast.expr = statement.target
        elif isinstance(statement, ast.Assign):
            target = statement.targets[0]
        else:
            continue
        if isinstance(target, ast.Name) and target.id in _IDENTIFIERS:
            assignments[target.id] = _Assignment(_strings(statement.value), statement.lineno)
    return assignments


def _strings(value: ast.expr | None) -> tuple[str, ...]:
    """Return the strings of a literal: one, or those of a tuple or a list."""
    if value is None:
        return ()
    try:
        literal = ast.literal_eval(value)
    except ValueError:
        return ()
    if isinstance(literal, str):
        return (literal,)
    items = literal if isinstance(literal, Iterable) else ()
    return tuple(item for item in items if isinstance(item, str))


# Faults of the files.


def duplicates(sources: Iterable[Source]) -> list[UnsafeRevision]:
    """Return an error for each identifier that a second file has too; Alembic only warns."""
    first_files: dict[str, Source] = {}
    errors = []
    for source in sources:
        first = first_files.setdefault(source.id, source)
        if first is not source:
            errors.append(_duplicate(source.id, first.path, source.path))
    return errors


def _duplicate(revision: str, first: Path, second: Path) -> UnsafeRevision:
    return UnsafeRevision(
        "LL-DUPLICATE-REVISION",
        f"Two files have the revision identifier {revision}:\n  {first}\n  {second}",
        why="Alembic would run one of them and ignore the other.",
        now="Delete one of the files. Or give it a new identifier, where it follows the other:\n"
        f'  revision = "{revision}_2"\n'
        f'  down_revision = "{revision}"',
    )


def missing_parents(sources: Sequence[Source]) -> list[UnsafeRevision]:
    """Return an error for each revision that follows a revision without a file."""
    known = {source.id for source in sources}

    def is_known(parent: str) -> bool:
        return any(revision.startswith(parent) for revision in known)

    return [
        _missing_parent(source, parent)
        for source in sources
        for parent in source.parents
        if not is_known(parent)
    ]


def _missing_parent(source: Source, parent: str) -> UnsafeRevision:
    return UnsafeRevision(
        "LL-MISSING-PARENT",
        f"{source.path}:{source.line}: revision {source.id} follows {parent}, and no file has this"
        " identifier.",
        why="The order of the revisions is unknown, so nothing was run.",
        now=f"Restore the file of {parent}, or add it to the image. This finds it in the history of"
        " git:\n"
        f"  git log --all --oneline -S{parent} -- '*.py'\n"
        f"Or correct down_revision in {source.path.name}.",
    )


def explain(error: Exception, script: ScriptDirectory) -> UnsafeRevision:
    """Return the error of revisions that can't be loaded, with the file and the line.

    Parameters:
        error: the error that loading them raised.
        script: the project's scripts.
    """
    if isinstance(error, SyntaxError):
        return _syntax_error(error)
    if isinstance(error, KeyError | CommandError):
        missing = missing_parents(scan(_files_of(script)))
        if missing:
            return missing[0]
    place = place_in(error, script) or "A revision file"
    return UnsafeRevision(
        "LL-REVISIONS-NOT-LOADED",
        f"{place}: {type(error).__name__}: {error}",
        why="The revisions couldn't be loaded, so nothing was run.",
        now="Correct that file; if a module is missing, install it in this environment or image."
        " This loads the revisions again:\n"
        "  alembic history",
    )


def place_in(error: BaseException, script: ScriptDirectory) -> str | None:
    """Return ``file:line`` of the innermost frame of an error in one of the project's scripts."""
    folders = (script.dir, *(str(folder) for folder in version_folders(script)))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(folders)
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def _syntax_error(error: SyntaxError) -> UnsafeRevision:
    return UnsafeRevision(
        "LL-SYNTAX-ERROR",
        f"{error.filename}:{error.lineno}: {error.msg}.",
        why="Python can't read the file, so nothing was run.",
        now=f"Correct that line. This checks the file:\n  python -m py_compile {error.filename}",
    )
