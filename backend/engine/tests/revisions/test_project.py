"""A project's files, and the errors for files that can't be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from liftlock.errors import LiftlockError, SettingsError, UnsafeRevision
from liftlock.revisions.connections import no_engine_connects
from liftlock.revisions.project import (
    Source,
    configure,
    duplicates,
    explain,
    load,
    missing_parents,
    place_in,
    revision_files,
    scan,
    url_of,
)

Write = Callable[..., Path]


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """An ``alembic.ini`` with an empty folder of revisions."""
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    (tmp_path / "migrations" / "env.py").write_text("")
    path = tmp_path / "alembic.ini"
    path.write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    return path


@pytest.fixture
def write(ini: Path) -> Write:
    """Writes a revision file."""

    def write_revision(identifier: str, down: str | None = None, body: str = "") -> Path:
        path = ini.parent / "migrations" / "versions" / f"{identifier}.py"
        path.write_text(
            f'"""Change {identifier}."""\n'
            f"revision = {identifier!r}\n"
            f"down_revision = {down!r}\n"
            f"{body}\n"
        )
        return path

    return write_revision


def scripts(ini: Path) -> ScriptDirectory:
    """Return the script directory of a project."""
    return ScriptDirectory.from_config(Config(str(ini)))


@pytest.mark.parametrize(
    ("text", "line", "identifier", "parents"),
    [
        ('revision = "b"\ndown_revision = "a"', 2, "b", ("a",)),
        ("revision = 'b'\ndown_revision = None", 2, "b", ()),
        ('revision: str = "b"\ndown_revision: str | None = "a"', 2, "b", ("a",)),
        ('revision = "c"\ndown_revision = ("a", "b")', 2, "c", ("a", "b")),
        ('revision = "c"\ndown_revision = ["a", "b"]', 2, "c", ("a", "b")),
        ('revision = "b"\n\ndown_revision = "a"\ndepends_on = ("x",)', 3, "b", ("a", "x")),
        ('# no parent\nrevision = "b"', 2, "b", ()),
        ('revision = "b"\ndown_revision = parent()', 2, "b", ()),
        ('revision = "b"\ndown_revision = 7', 2, "b", ()),
        ('revision = "b"\ndown_revision: str', 2, "b", ()),
        ('import nowhere\nraise SystemExit\nrevision = "b"', 3, "b", ()),
    ],
)
def test_scan_reads_identifiers(
    tmp_path: Path, text: str, line: int, identifier: str, parents: tuple[str, ...]
) -> None:
    """The file isn't run; the line is the one of ``down_revision``, if there is one."""
    path = tmp_path / "revision.py"
    path.write_text(text)
    assert scan([path]) == [Source(path, line, identifier, parents)]


@pytest.mark.parametrize(
    "content", [b"revision = 'a", b"import os", b"revision = None", b"revision = '\xff'"]
)
def test_scan_leaves_out_files_without_identifier(tmp_path: Path, content: bytes) -> None:
    """Neither a syntax error nor a wrong encoding ends the scan."""
    path = tmp_path / "revision.py"
    path.write_bytes(content)
    assert scan([path, tmp_path / "missing.py"]) == []


def test_duplicates_name_both_files() -> None:
    """Each further file is an error of its own."""
    first, second, third = (Source(Path(name), 1, "a", ()) for name in ("1.py", "2.py", "3.py"))
    errors = duplicates([first, second, Source(Path("b.py"), 1, "b", ()), third])
    assert [error.code for error in errors] == ["LL-DUPLICATE-REVISION"] * 2
    assert "1.py" in errors[0].what
    assert "2.py" in errors[0].what
    assert "3.py" in errors[1].what
    assert 'down_revision = "a"' in errors[0].now
    assert duplicates([first]) == []


def test_missing_parents_have_file_and_line() -> None:
    """The remedy is a command that finds the file in git."""
    sources = [
        Source(Path("a.py"), 4, "a", ()),
        Source(Path("b.py"), 5, "b", ("a",)),
        Source(Path("c.py"), 6, "c", ("a", "gone")),
    ]
    (error,) = missing_parents(sources)
    assert error.code == "LL-MISSING-PARENT"
    assert error.what.startswith("c.py:6: revision c follows gone,")
    assert "git log --all --oneline -Sgone" in error.now
    assert missing_parents(sources[:2]) == []


def test_load_reads_the_revisions(ini: Path, write: Write) -> None:
    """The title is the docstring's first line."""
    write("a")
    write("b", "a", 'depends_on = None\nbranch_labels = ("shop",)')
    project = load(str(ini))
    assert project.chain.heads == {"b"}
    revision = project.chain.revisions["b"]
    assert revision.down == ("a",)
    assert revision.message == "Change b."
    assert revision.labels == ("shop",)
    assert sorted(path.name for path in project.files) == ["a.py", "b.py"]
    project.head("head")


def test_load_passes_x_arguments(ini: Path) -> None:
    """``env.py`` reads them by ``context.get_x_argument()``."""
    assert load(str(ini), ["tenant=a"]).config.cmd_opts.x == ["tenant=a"]


def test_several_heads_are_ambiguous(ini: Path, write: Write) -> None:
    """The command that merges them is in the message; ``heads`` stays possible."""
    write("a")
    write("c", "a")
    write("b", "a")
    project = load(str(ini))
    with pytest.raises(UnsafeRevision) as raised:
        project.head("head")
    assert raised.value.code == "LL-AMBIGUOUS-HEAD"
    assert "b (Change b.), c (Change c.)" in raised.value.what
    assert '\n  alembic merge -m "merge" b c\n' in raised.value.now
    project.head("heads")
    project.head("b")


def test_alembic_ini_is_missing(tmp_path: Path) -> None:
    """The message has the folder in which it was looked for."""
    with pytest.raises(SettingsError) as raised:
        configure(str(tmp_path / "alembic.ini"))
    assert raised.value.code == "LL-ALEMBIC-INI-MISSING"
    assert str(Path.cwd()) in raised.value.what


@pytest.mark.parametrize("read", [load, revision_files])
def test_script_location_is_wrong(tmp_path: Path, read: Callable[[str], object]) -> None:
    """Alembic's own text and the file that is to be corrected are in the message."""
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/nowhere\n")
    with pytest.raises(SettingsError) as raised:
        read(str(ini))
    assert raised.value.code == "LL-SCRIPT-LOCATION"
    assert raised.value.what.startswith(f"{ini}: ")
    assert "script_location = %(here)s/migrations" in raised.value.now


def test_load_refuses_duplicates(ini: Path, write: Write) -> None:
    """Alembic would only warn, and run one of the two files."""
    path = write("a")
    (path.parent / "copy.py").write_text(path.read_text())
    with pytest.raises(UnsafeRevision, match="Two files") as raised:
        load(str(ini))
    assert raised.value.code == "LL-DUPLICATE-REVISION"


@pytest.mark.parametrize(
    ("down", "body", "code", "what"),
    [
        ("a", "def upgrade(:", "LL-SYNTAX-ERROR", "b.py:4: "),
        ("gone", "", "LL-MISSING-PARENT", "b.py:3: revision b follows gone"),
        ("a", "import nowhere_at_all", "LL-REVISIONS-NOT-LOADED", "b.py:4: ModuleNotFoundError"),
        ("a", "\n1 / 0", "LL-REVISIONS-NOT-LOADED", "b.py:5: ZeroDivisionError"),
        (
            "a",
            "import sqlalchemy\nsqlalchemy.create_engine('sqlite://').connect()",
            "LL-REVISIONS-NOT-LOADED",
            "b.py:5: RuntimeError: it connects to a database while it is loaded",
        ),
    ],
)
def test_load_explains_with_file_and_line(
    write: Write, down: str, body: str, code: str, what: str
) -> None:
    """Each error says that nothing was run, and has a command to try again."""
    write("a")
    folder = write("b", down, body).parents[2]
    with no_engine_connects(), pytest.raises(UnsafeRevision) as raised:
        load(str(folder / "alembic.ini"))
    assert raised.value.code == code
    assert what in raised.value.what
    assert "nothing was run" in raised.value.why
    assert "\n  " in raised.value.now


def test_explain_an_error_outside_of_the_files(ini: Path) -> None:
    """Without a place, Alembic's own message stays."""
    error = explain(CommandError("no such thing"), scripts(ini))
    assert error.code == "LL-REVISIONS-NOT-LOADED"
    assert error.what == "A revision file: CommandError: no such thing"


def test_place_is_the_innermost_frame_in_a_script(ini: Path, write: Write) -> None:
    """Frames of libraries that the script calls don't count."""
    path = write("a", None, "def upgrade():\n    int('x')\n")
    space: dict[str, Callable[[], None]] = {}
    exec(compile(path.read_text(), str(path), "exec"), space)  # noqa: S102 - as Alembic loads it
    with pytest.raises(ValueError, match="invalid literal") as raised:
        space["upgrade"]()
    assert place_in(raised.value, scripts(ini)) == f"{path}:5"
    assert place_in(ValueError(), scripts(ini)) is None


def test_revision_files_are_found_without_running_them(ini: Path, write: Write) -> None:
    """``__init__.py`` and folders below aren't revisions, unless alembic.ini says so."""
    path = write("a", None, "raise SystemExit")
    (path.parent / "__init__.py").touch()
    (path.parent / "2024").mkdir()
    (path.parent / "2024" / "b.py").touch()
    assert revision_files(str(ini)) == [path]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("", None),
        ("driver://user:pass@localhost/dbname", None),
        ("sqlite:///file.db", None),
        ("postgresql+asyncpg://app@db:5433/shop", "app@db:5433/shop"),
    ],
)
def test_url_of_alembic_ini(url: str, address: str | None) -> None:
    """Alembic's template has a placeholder."""
    config = Config()
    config.set_main_option("sqlalchemy.url", url)
    found = url_of(config)
    assert (repr(found) if found else None) == address


def test_all_errors_have_three_parts(ini: Path) -> None:
    """The fact, why it matters, and the remedy."""
    source = Source(Path("b.py"), 3, "b", ("a",))
    syntax_error = SyntaxError("invalid syntax", ("b.py", 4, 1, "", 4, 1))
    errors: list[LiftlockError] = [
        *duplicates([source, Source(Path("c.py"), 3, "b", ())]),
        *missing_parents([source]),
        explain(syntax_error, scripts(ini)),
        explain(ImportError("no module"), scripts(ini)),
    ]
    assert all(error.what and error.why and error.now for error in errors)
    assert errors[2].what == "b.py:4: invalid syntax."
