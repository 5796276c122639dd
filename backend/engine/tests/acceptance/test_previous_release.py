"""State of the previous release: unfinished revisions are resumed, manifests are read.

`data/previous_release` has ledgers that liftlock wrote at 0f0fe0f when it was killed or failed, and
the manifest that `bake` wrote. The revisions are in `projects/previous_release`: the ledger knows
fingerprints of their files and statements.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance.support.databases import assert_nothing_is_left
from helpers import (
    ALL_TABLES_LARGE,
    Project,
    assert_failed,
    assert_succeeded,
    connected,
    make_project,
    rows,
)

from liftlock.settings import Address

pytestmark = pytest.mark.every_major
DATA = Path(__file__).parent / "data" / "previous_release"
ITEM_TABLE = """
CREATE TABLE item (id integer PRIMARY KEY, size integer NOT NULL, half integer);
INSERT INTO item SELECT i, i FROM generate_series(1, 5000) AS i;
"""


def unfinished_project(folder: Path, database: Address, name: str) -> Project:
    """Make a project whose revision r1 the previous release has left half-way."""
    project = make_project(folder, database, revisions=f"previous_release/{name}")
    with connected(database) as session:
        session.execute(ITEM_TABLE)
        session.execute((DATA / "ledger.sql").read_text())
        session.execute((DATA / f"{name}.sql").read_text())
    assert "upgrade of r1" in project.run("status").stdout
    return project


def test_interrupted_index_build_is_resumed(tmp_path: Path, database: Address) -> None:
    """The intent to build is in the ledger: the invalid index is dropped and built again."""
    project = unfinished_project(tmp_path, database, "interrupted_index")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_size'::regclass"
    assert rows(database, valid) == [True]
    assert rows(database, "SELECT version_num FROM alembic_version") == ["r1"]
    assert_nothing_is_left(database)


def test_backfill_is_resumed_at_its_cursor(tmp_path: Path, database: Address) -> None:
    """The first 1000 rows are done: without a condition they would be updated twice."""
    project = unfinished_project(tmp_path, database, "unfinished_backfill")
    assert rows(database, "SELECT count(half) FROM item") == [1000]
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(database, "SELECT count(*) FROM item WHERE half = size") == [5000]
    assert_nothing_is_left(database)


def test_queries_get_their_recorded_results(tmp_path: Path, database: Address) -> None:
    """The revision has counted 5000 rows and inserted one: now there are 5001."""
    project = unfinished_project(tmp_path, database, "recorded_results")
    assert_failed(project.run("upgrade", **ALL_TABLES_LARGE), "LL-STEP-FAILED", 5)
    with connected(database) as session:
        session.execute("INSERT INTO item VALUES (0, -1)")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    assert rows(database, "SELECT id FROM item WHERE id < 0") == [-5000]
    assert_nothing_is_left(database)


def test_constraint_is_validated_after_resumption(tmp_path: Path, database: Address) -> None:
    """The recipe is read from the ledger: the constraint is there, and only validated."""
    project = unfinished_project(tmp_path, database, "unvalidated_constraint")
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    validated = "SELECT convalidated FROM pg_constraint WHERE conname = 'positive'"
    assert rows(database, validated) == [True]
    steps = "SELECT does FROM liftlock.steps WHERE execution = 2 ORDER BY position, part"
    assert rows(database, steps) == ["look", "add", "validate"]
    assert_nothing_is_left(database)


def test_manifest_of_the_previous_release_is_trusted(tmp_path: Path, database: Address) -> None:
    """`exec` starts at head without reading the revision files, as `bake` promised."""
    project = make_project(tmp_path, database, revisions="previous_release/interrupted_index")
    shutil.copy(DATA / "liftlock.json", project.folder)
    assert_succeeded(project.run("upgrade"))
    program = Path(sys.executable).with_name("liftlock")
    arguments = [sys.executable, "-X", "importtime", str(program), "exec", "--", "echo", "served"]
    done = subprocess.run(
        arguments,
        cwd=project.folder,
        env=project.variables(**database.environ()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert_succeeded(done)
    assert done.stdout == "served\n"
    assert "alembic" not in done.stderr, "the manifest is stale"


def test_ledger_of_version_1_is_upgraded(backfill_project: Project) -> None:
    """A ledger of format version 1 is upgraded, and keeps its rows."""
    project = backfill_project
    backfill = 'op.backfill("item", set="half = size / 2", where="half IS NULL")'
    project.revision("r0", None, "pass")
    project.revision("r1", "r0", backfill)
    assert_succeeded(project.run("upgrade", "r0"))
    with connected(project.database) as session:
        session.execute("ALTER TABLE liftlock.executions DROP COLUMN wish")
        session.execute("UPDATE liftlock.ledger SET version = 1")
    assert_failed(project.run("backfill"), "LL-LEDGER-OLDER", 2)
    assert_succeeded(project.run("upgrade", **ALL_TABLES_LARGE))
    applied = "SELECT revision FROM liftlock.revisions ORDER BY 1"
    assert rows(project.database, applied) == ["r0", "r1"]
    assert rows(project.database, "SELECT max(version) FROM liftlock.ledger") == [2]
