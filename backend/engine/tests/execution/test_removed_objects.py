from __future__ import annotations

import pytest
from execution.fakes import FakeMonitor, operation

from liftlock.errors import UnsafeRevision
from liftlock.execution.removed_objects import RemovedObjects

DROP_VIEW = operation("DROP VIEW v")
CREATE_VIEW = operation("CREATE VIEW v AS SELECT 1")
CREATE_INDEX = operation("CREATE INDEX ix ON item (n)", kind="create_index", line=12)
NONE_ALLOWED: frozenset[str] = frozenset()


@pytest.fixture
def monitor() -> FakeMonitor:
    """A monitor for which other sessions see every object."""
    return FakeMonitor()


@pytest.fixture
def removed(monitor: FakeMonitor) -> RemovedObjects:
    """A transaction that has removed nothing."""
    return RemovedObjects(monitor)


def test_nothing_is_awaited_at_the_beginning(removed: RemovedObjects, monitor: FakeMonitor) -> None:
    """No query is needed to know that."""
    removed.look_ahead([CREATE_VIEW])
    assert not removed.awaits_restoration
    assert not removed.await_usual_restoration()
    assert monitor.asked == []


def test_a_removed_object_that_is_restored_later_is_awaited(
    removed: RemovedObjects, monitor: FakeMonitor
) -> None:
    """Other operations may be in between."""
    removed.passed(DROP_VIEW, ran=True)
    removed.look_ahead([CREATE_INDEX, CREATE_VIEW])
    assert removed.awaits_restoration
    assert monitor.asked == [("VIEW", "v", "")]


def test_a_removed_object_that_is_never_restored_is_not_awaited(removed: RemovedObjects) -> None:
    """The revision drops it for good."""
    removed.passed(DROP_VIEW, ran=True)
    removed.look_ahead([CREATE_INDEX])
    assert not removed.awaits_restoration


def test_an_object_that_others_never_saw_is_not_awaited() -> None:
    """It was created in the open transaction, by a statement whose effects aren't known."""
    removed = RemovedObjects(FakeMonitor("v"))
    removed.passed(DROP_VIEW, ran=True)
    removed.look_ahead([CREATE_VIEW])
    assert not removed.awaits_restoration
    assert not removed.await_usual_restoration()


def test_an_object_is_awaited_until_it_is_restored(removed: RemovedObjects) -> None:
    """After that the transaction may be committed."""
    removed.passed(DROP_VIEW, ran=True)
    removed.passed(CREATE_VIEW, ran=True)
    removed.look_ahead([CREATE_VIEW])
    assert not removed.awaits_restoration


def test_a_removal_that_is_committed_already_is_not_awaited(removed: RemovedObjects) -> None:
    """An earlier attempt committed it, so others miss the object anyway."""
    removed.passed(DROP_VIEW, ran=False)
    removed.look_ahead([CREATE_VIEW])
    assert not removed.awaits_restoration


def test_looking_ahead_again_replaces_the_answer(removed: RemovedObjects) -> None:
    """The operations that follow are only known in part."""
    removed.passed(DROP_VIEW, ran=True)
    removed.look_ahead([CREATE_VIEW])
    removed.look_ahead([])
    assert not removed.awaits_restoration


@pytest.mark.parametrize(
    ("sql", "usual"),
    [
        ("DROP VIEW v", True),
        ("ALTER TABLE item DISABLE TRIGGER t", True),
        ("ALTER TABLE item ALTER COLUMN n DROP DEFAULT", True),
        ("DROP FUNCTION f()", True),
        ("DROP TABLE item", False),
        ("ALTER TABLE item DROP COLUMN n", False),
        ("DROP INDEX ix", False),
        ("UPDATE item SET n = 1", False),
    ],
)
def test_objects_that_revisions_usually_restore(
    removed: RemovedObjects, sql: str, *, usual: bool
) -> None:
    """They are awaited where the operations that follow aren't known."""
    removed.passed(operation(sql), ran=True)
    assert removed.await_usual_restoration() is usual
    assert removed.awaits_restoration is usual


@pytest.mark.parametrize(
    ("created", "dropped", "restored"),
    [
        (
            "CREATE TABLE item (n integer)",
            "DROP TABLE item",
            "CREATE TABLE item (n text)",
        ),
        (
            "CREATE TABLE item (n integer DEFAULT 1)",
            "ALTER TABLE item ALTER COLUMN n DROP DEFAULT",
            "ALTER TABLE item ALTER COLUMN n SET DEFAULT 2",
        ),
        (
            "ALTER TABLE item ADD COLUMN n integer DEFAULT 1",
            "ALTER TABLE item ALTER COLUMN n DROP DEFAULT",
            "ALTER TABLE item ALTER COLUMN n SET DEFAULT 2",
        ),
        (
            "CREATE TABLE item (n integer)",
            "ALTER TABLE item DISABLE TRIGGER t",
            "ALTER TABLE item ENABLE TRIGGER t",
        ),
    ],
)
def test_objects_of_the_revision_itself_are_not_awaited(
    removed: RemovedObjects, created: str, dropped: str, restored: str
) -> None:
    """The application doesn't use them yet; also if an earlier attempt committed them."""
    removed.passed(operation(created), ran=False)
    removed.passed(operation(dropped), ran=True)
    removed.look_ahead([operation(restored)])
    assert not removed.awaits_restoration


def test_a_table_that_takes_the_place_of_another_is_awaited(
    removed: RemovedObjects,
) -> None:
    """The application uses it by its name."""
    for sql in ("DROP TABLE item", "CREATE TABLE item (n text)", "DROP TABLE item"):
        removed.passed(operation(sql), ran=True)
    removed.look_ahead([operation("CREATE TABLE item (n integer)")])
    assert removed.awaits_restoration


def test_a_commit_before_the_restoration_is_refused(removed: RemovedObjects) -> None:
    """The whole message."""
    removed.passed(DROP_VIEW, ran=True)
    removed.look_ahead([CREATE_VIEW])
    with pytest.raises(UnsafeRevision) as caught:
        removed.refuse_commit_between(CREATE_INDEX, NONE_ALLOWED)
    assert str(caught.value) == (
        "LL-NON-ATOMIC-REPLACE  line 12: this step takes too long for the transaction of\n"
        "  DROP VIEW v\n"
        "  which a later operation of the revision restores:\n"
        "  CREATE INDEX ix ON item (n)\n"
        "  Committing in between would leave the application without the removed object.\n"
        "  Move this step before the removal or after the restoration; or allow it here: with"
        ' liftlock.allow("LL-NON-ATOMIC-REPLACE", because="…"); or for this run:'
        " LIFTLOCK_ALLOW=LL-NON-ATOMIC-REPLACE."
    )
    assert removed.awaits_restoration


def test_a_commit_without_a_default_has_another_remedy(removed: RemovedObjects) -> None:
    """An application that names each column doesn't need it."""
    removed.passed(operation("ALTER TABLE item ALTER COLUMN n DROP DEFAULT"), ran=True)
    removed.look_ahead([operation("ALTER TABLE item ALTER COLUMN n SET DEFAULT 2")])
    with pytest.raises(UnsafeRevision) as caught:
        removed.refuse_commit_between(CREATE_INDEX, NONE_ALLOWED)
    assert caught.value.now.startswith(
        "If each INSERT of the application names the column, its default isn't needed; or allow"
    )


@pytest.mark.parametrize(
    ("in_revision", "in_run"),
    [({"LL-NON-ATOMIC-REPLACE": "unused"}, frozenset()), ({}, {"LL-NON-ATOMIC-REPLACE"})],
)
def test_an_allowance_permits_the_commit(
    removed: RemovedObjects, in_revision: dict[str, str], in_run: frozenset[str]
) -> None:
    """Of the revision, or of the operator. Others miss the object then, so it isn't awaited."""
    removed.passed(DROP_VIEW, ran=True)
    removed.look_ahead([CREATE_VIEW])
    long_step = operation("CREATE INDEX ix ON item (n)", allowed=in_revision)
    removed.refuse_commit_between(long_step, frozenset(in_run))
    assert not removed.awaits_restoration


def test_the_engine_itself_may_commit(removed: RemovedObjects) -> None:
    """Between operations, as at the end of an autocommit block."""
    removed.passed(DROP_VIEW, ran=True)
    removed.look_ahead([CREATE_VIEW])
    removed.refuse_commit_between(None, NONE_ALLOWED)
    assert not removed.awaits_restoration


def test_a_commit_forgets_the_missing_objects(removed: RemovedObjects) -> None:
    """Others miss them already."""
    removed.passed(DROP_VIEW, ran=True)
    removed.refuse_commit_between(CREATE_INDEX, NONE_ALLOWED)
    removed.look_ahead([CREATE_VIEW])
    assert not removed.awaits_restoration
    assert not removed.await_usual_restoration()


def test_the_operation_that_removed_the_awaited_object_is_named(removed: RemovedObjects) -> None:
    """Not another one, whose object isn't restored."""
    removed.passed(operation("DROP VIEW other"), ran=True)
    removed.passed(DROP_VIEW, ran=True)
    removed.look_ahead([CREATE_VIEW])
    with pytest.raises(UnsafeRevision, match=r"transaction of\n  DROP VIEW v\n"):
        removed.refuse_commit_between(CREATE_INDEX, NONE_ALLOWED)
