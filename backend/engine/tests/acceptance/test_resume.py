"""Revisions that were begun and not finished: refusals until they are, and their resumption."""

from __future__ import annotations

import os
import py_compile
from pathlib import Path

import pytest
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    assert_failed,
    assert_refused,
    assert_succeeded,
    connected,
    rows,
)

pytestmark = pytest.mark.every_major
FAILS_AFTER_INDEX = (
    "op.create_index('ix_a', 't', ['a'])\n"
    "op.execute('SELECT 1 / (SELECT count(*) FROM t WHERE a < 0)')"
)


@pytest.fixture
def unfinished(project: Project) -> Project:
    """Make a project whose revision r2 has failed after its index was built."""
    project.revision(
        "r1",
        None,
        "op.create_table('t', sa.Column('a', sa.Integer))\nop.execute('INSERT INTO t VALUES (1)')",
    )
    assert_succeeded(project.run("upgrade"))
    project.revision("r2", "r1", FAILS_AFTER_INDEX)
    assert_failed(
        project.run("upgrade", **ALL_TABLES_LARGE),
        "LL-STEP-FAILED",
        5,
        mentions="the next run",
    )
    return project


def test_status_names_the_unfinished_revision(unfinished: Project) -> None:
    """`status` names the unfinished revision until the next run has finished it."""
    assert "upgrade of r2" in unfinished.run("status").stdout
    with connected(unfinished.database) as session:
        session.execute("INSERT INTO t VALUES (-1)")
    assert_succeeded(unfinished.run("upgrade", **ALL_TABLES_LARGE))
    assert "upgrade of r2" not in unfinished.run("status").stdout


def test_corrected_file_of_an_unfinished_revision_is_resumed(unfinished: Project) -> None:
    """The statement that failed never began, so it may be corrected as its message says."""
    unfinished.revision("r2", "r1", FAILS_AFTER_INDEX.replace("a < 0", "a > 0"))
    assert_succeeded(unfinished.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(unfinished.database, "SELECT version_num FROM alembic_version") == ["r2"]


@pytest.mark.parametrize(
    "changed",
    [
        "op.execute('CREATE TABLE early (a integer)')\n" + FAILS_AFTER_INDEX,
        FAILS_AFTER_INDEX.replace("['a']", "['a', sa.text('(a + 1)')]"),
        "op.get_bind().execute(sa.text('INSERT INTO t VALUES (7)'))\n" + FAILS_AFTER_INDEX,
        "op.create_check_constraint('c', 't', 'a > 0')",
    ],
    ids=["statement before", "committed statement", "write before", "statement removed"],
)
def test_file_that_differs_in_what_is_committed_is_refused(
    unfinished: Project, changed: str
) -> None:
    """Before anything is run. The committed statements are named."""
    unfinished.revision("r2", "r1", changed)
    done = unfinished.run("upgrade", **ALL_TABLES_LARGE)
    assert_refused(done, "LL-FILE-CHANGED", mentions="CREATE INDEX")
    assert rows(unfinished.database, "SELECT to_regclass('early')::text, max(a) FROM t") == [
        (None, 1)
    ]
    unfinished.revision("r2", "r1", FAILS_AFTER_INDEX.replace("a < 0", "a > 0"))
    assert_succeeded(unfinished.run("upgrade", **ALL_TABLES_LARGE))


@pytest.mark.parametrize(
    "body",
    [
        "op.create_index('i', 't', ['typo'])",
        "op.create_index('i', 't', ['typo'], unique=True)",
        "op.create_unique_constraint('u', 't', ['typo'])",
        "op.create_check_constraint('c', 't', 'typo > 0')",
        "op.alter_column('t', 'typo', type_=sa.BigInteger())",
        "op.alter_column('t', 'typo', nullable=False)",
        "op.backfill('t', set='typo = 1', where='typo IS NULL')",
        (
            "with op.get_context().autocommit_block():\n"
            "    op.execute('CREATE INDEX CONCURRENTLY i ON t (typo)')"
        ),
    ],
)
def test_typo_can_be_corrected(project: Project, body: str) -> None:
    """A statement that failed by itself leaves nothing in the ledger."""
    insert = "op.execute('INSERT INTO t VALUES (1)')"
    project.revision("r1", None, f"op.create_table('t', sa.Column('a', sa.Integer))\n{insert}")
    assert_succeeded(project.run("upgrade"))
    project.revision("r2", "r1", body)
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_failed(done, "LL-STEP-FAILED", 5, mentions="typo")
    project.revision("r2", "r1", body.replace("typo", "a"))
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))


def test_downgrade_is_refused_while_an_upgrade_is_unfinished(unfinished: Project) -> None:
    """The schema is between two revisions: only the unfinished revision may run."""
    assert_refused(
        unfinished.run("downgrade", "base", **ALL_TABLES_LARGE),
        "LL-OTHER-REVISION-UNFINISHED",
        mentions="liftlock upgrade r2",
    )


def test_sourceless_revision_is_resumed_after_recompilation(project: Project) -> None:
    """A revision that is only bytecode counts as the same revision after it is compiled again."""
    ini = Path(project.ini)
    ini.write_text(ini.read_text().replace("[alembic]", "[alembic]\nsourceless = true"))
    body = "op.execute('CREATE TABLE t (a int)')\nwith op.get_context().autocommit_block():\n"
    body += "    op.execute('SELECT 1/(SELECT count(*) FROM t)')"
    path = project.revision("r1", None, body)
    for code in (5, 0):
        py_compile.compile(str(path), cfile=str(path.with_suffix(".pyc")), doraise=True)
        hidden = path.rename(project.folder / "hidden")
        assert project.run("upgrade").returncode == code
        path = hidden.rename(path)
        os.utime(path, (0, 0))
        with connected(project.database) as session:
            session.execute("INSERT INTO t VALUES (1)")


def test_stamped_revision_counts_as_finished(project: Project) -> None:
    """After `alembic stamp` the ledger's unfinished revision counts as finished by hand."""
    project.revision(
        "r1",
        None,
        (
            "op.execute('CREATE TABLE t (a int)')\n"
            "with op.get_context().autocommit_block(): op.execute('SELECT 1/0')"
        ),
    )
    assert_failed(project.run("upgrade"), "LL-STEP-FAILED", 5)
    assert_succeeded(project.run("stamp", "r1", program="alembic"))
    project.revision("r2", "r1", "op.execute('CREATE TABLE u (a int)')")
    done = project.run("upgrade")
    assert_succeeded(done)
    assert "finished by hand" in done.stderr
    assert rows(
        project.database, "SELECT count(*) FROM liftlock.executions WHERE finished_at IS NULL"
    ) == [0]


def test_new_column_whose_default_fails_at_first_is_finished_later(project: Project) -> None:
    """The column exists by then, so the steps before the backfill stay recorded."""
    insert = "op.execute('INSERT INTO t VALUES (1)')"
    project.revision("r1", None, f"op.create_table('t', sa.Column('a', sa.Integer))\n{insert}")
    assert_succeeded(project.run("upgrade"))
    create = "CREATE OR REPLACE FUNCTION token() RETURNS integer LANGUAGE plpgsql VOLATILE AS "
    with connected(project.database) as session:
        session.execute(f"{create} 'BEGIN RAISE EXCEPTION ''not yet''; END'")
    column = "sa.Column('token', sa.Integer, server_default=sa.text('token()'))"
    project.revision("r2", "r1", f"op.add_column('t', {column})")
    done = project.run("upgrade", **ALL_TABLES_LARGE)
    assert_failed(done, "(?:LL-STEP-FAILED|LL-ROW-NOT-UPDATABLE)", 5, mentions="not yet")
    with connected(project.database) as session:
        session.execute(f"{create} 'BEGIN RETURN 7; END'")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(project.database, "SELECT token FROM t") == [7]


def test_corrected_file_with_other_values_of_a_committed_write_is_refused(
    project: Project,
) -> None:
    """The rows have the old values."""
    write = "op.get_bind().execute(sa.text('INSERT INTO t VALUES ({})'))\n"
    project.revision("r1", None, "op.create_table('t', sa.Column('a', sa.Integer))")
    assert_succeeded(project.run("upgrade"))
    project.revision("r2", "r1", write.format(5) + FAILS_AFTER_INDEX)
    assert_failed(project.run("upgrade", **ALL_TABLES_LARGE), "LL-STEP-FAILED", 5)
    corrected = FAILS_AFTER_INDEX.replace("a < 0", "a > 0")
    project.revision("r2", "r1", write.format(6) + corrected)
    assert_refused(project.run("upgrade", **ALL_TABLES_LARGE), "LL-FILE-CHANGED")
    project.revision("r2", "r1", write.format(5) + corrected)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(project.database, "SELECT a FROM t") == [5]
