"""Revisions and projects that cannot run: the message, the exit code and the unchanged database."""

from __future__ import annotations

import subprocess

import pytest
from acceptance.support.databases import sessions_of_liftlock
from helpers import (
    Project,
    assert_failed,
    assert_refused,
    assert_succeeded,
    dump,
    rows,
)

GOOD = "op.create_table('good', sa.Column('a', sa.Integer))"


@pytest.mark.parametrize(
    ("body", "exit_code", "code", "line"),
    [
        (
            "op.create_table('t', sa.Column('a', sa.Integer))\nraise ValueError('half-way')",
            3,
            "LL-REVISION-RAISED",
            9,
        ),
        (
            "op.create_table('t', sa.Column('a', sa.Integer))\n\nop.execute('SELECT nonsense')",
            5,
            "LL-STEP-FAILED",
            10,
        ),
        (
            (
                "op.create_table('t', sa.Column('a', sa.Integer))\n"
                "op.get_bind().execute(sa.text('SELECT nonsense'))"
            ),
            5,
            "LL-STEP-FAILED",
            9,
        ),
        ("import nowhere", 3, "LL-REVISION-RAISED", 8),
    ],
)
def test_failing_revision_is_rolled_back_and_its_line_is_named(
    project: Project, body: str, exit_code: int, code: str, line: int
) -> None:
    """The error names file and line; the revision is rolled back, earlier ones are kept."""
    project.revision("good", None, GOOD)
    path = project.revision("bad", "good", body)
    done = project.run("upgrade")
    assert_failed(done, code, exit_code, mentions=(f"{path}:{line}", "rolled back"))
    assert rows(project.database, "SELECT version_num FROM alembic_version") == ["good"]
    assert rows(project.database, "SELECT revision FROM liftlock.revisions") == ["good"]
    assert rows(project.database, "SELECT to_regclass('t')::text") == [None]
    assert sessions_of_liftlock(project.database) == 0


def test_syntax_error_is_reported_before_the_database_is_changed(project: Project) -> None:
    """A syntax error is reported with file and line, and the database is not changed."""
    project.revision("good", None, GOOD)
    path = project.revision("bad", "good", "op.execute('x'")
    before = dump(project.database)
    assert_refused(project.run("upgrade"), "LL-SYNTAX-ERROR", mentions=f"{path}:8")
    assert dump(project.database) == before


def test_missing_parent_is_named_with_its_line(project: Project) -> None:
    """The error names file and line and the missing identifier."""
    project.revision("good", None, GOOD)
    path = project.revision("bad", "gone", "pass")
    assert_refused(
        project.run("upgrade"), "LL-MISSING-PARENT", mentions=f"{path}:6: revision bad follows gone"
    )


def test_duplicate_revision_identifier_is_refused(project: Project) -> None:
    """Two files with one identifier are an error; Alembic only warns."""
    project.revision("good", None, GOOD)
    (project.versions / "copy.py").write_text((project.versions / "good.py").read_text())
    assert_refused(project.run("upgrade"), "LL-DUPLICATE-REVISION")


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(["upgrade", "nowhere"], 3), (["downgrade", "nowhere"], 3), (["nonsense"], 2)],
)
def test_unknown_target_has_no_traceback(
    project: Project, arguments: list[str], exit_code: int
) -> None:
    """Unknown revisions and commands exit without a traceback."""
    project.revision("good", None, GOOD)
    assert project.run(*arguments).returncode == exit_code


def test_missing_alembic_ini_is_named(project: Project) -> None:
    """Without alembic.ini the message names the file."""
    done = subprocess.run(
        ["liftlock", "upgrade"],
        cwd=project.versions,
        env=project.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert_failed(done, "LL-ALEMBIC-INI-MISSING", 2, mentions="alembic.ini")


def test_missing_extension_has_a_remedy(project: Project) -> None:
    """If the server lacks an extension, each command tells how to use another server."""
    project.revision("r2", None, "op.execute('CREATE EXTENSION postgis')")
    for command in (["bake"], ["upgrade"], ["check", "r2"]):
        done = project.run(*command)
        assert (
            "Install the extension on that server; check, drift, bake" in done.stdout + done.stderr
        )


@pytest.mark.parametrize("command", [["upgrade"], ["plan"], ["downgrade", "base"], ["drift"]])
def test_project_without_env_py(project: Project, command: list[str]) -> None:
    """As where an image lacks a part of the folder."""
    (project.folder / "migrations" / "env.py").unlink()
    assert_failed(project.run(*command), "LL-ENV-MISSING", 2, mentions="env.py")


def test_revision_without_downgrade_is_named_before_anything_is_reverted(project: Project) -> None:
    """Alembic would call the function that isn't there."""
    first = project.revision("r1", None, "op.execute('CREATE TABLE t (a int)')")
    project.revision("r2", "r1", "op.execute('CREATE TABLE u (a int)')", "op.drop_table('u')")
    assert_succeeded(project.run("upgrade"))
    text = first.read_text()
    first.write_text(text[: text.index("def downgrade")])
    done = project.run("downgrade", "base")
    assert_refused(done, "LL-FUNCTION-MISSING", mentions=["revision r1", "def downgrade()"])
    assert rows(project.database, "SELECT to_regclass('u')::text") == ["u"]
