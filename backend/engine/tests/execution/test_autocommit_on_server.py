"""Autocommit, and the settings of a revision, on a real server."""

from __future__ import annotations

import pytest
from execution.server_run import COMMITTED_STEPS, ServerAttempt, ServerRun, each_driver
from helpers import connected, rows

from liftlock import sql
from liftlock.errors import NotNow, UnsafeRevision
from liftlock.execution.attempt import Attempt
from liftlock.execution.connection import driver_of, is_in_autocommit
from liftlock.execution.fact_collector import FactCollector
from liftlock.execution.transaction_mode import Mode
from liftlock.postgres.signals import Signals

CREATE_ITEM = "CREATE TABLE item (id integer PRIMARY KEY, n integer)"
ANSWERS = "SELECT shape, occurrence, body FROM liftlock.answers"


class FailureError(Exception):
    """An error of a statement in autocommit."""


def note(run: ServerRun, *statements: str) -> None:
    """Send settings as a revision does by op.execute."""
    for statement in statements:
        run.settings.note(sql.parse(statement))
        run.connection.send(statement)


def facts(run: ServerRun) -> FactCollector:
    """Return the facts of the database."""
    return FactCollector(run.connection, 0, frozenset())


# Outside of a transaction.


@each_driver
def test_statements_outside_of_a_transaction_are_committed(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """Also those that refuse a transaction, and those that are followed by an error."""
    attempt.send(CREATE_ITEM)
    attempt.transaction.commit()
    with attempt.transaction.outside_transaction():
        attempt.send("CREATE INDEX CONCURRENTLY ix ON item (n)", "INSERT INTO item VALUES (1, 1)")
        with pytest.raises(Exception, match="missing"):
            attempt.send("SELECT missing")
    assert rows(run.database, "SELECT n FROM item") == [1]
    assert run.others_see("ix")
    attempt.send("INSERT INTO item VALUES (2, 2)")
    assert rows(run.database, "SELECT n FROM item") == [1]


@each_driver
@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_the_isolation_level_is_restored(run: ServerRun, level: str) -> None:
    """It is the one of the project's connection."""
    connection = run.connection.connection
    connection.dialect.set_isolation_level(driver_of(connection), level)
    transaction = run.attempt().transaction
    with transaction.outside_transaction():
        assert is_in_autocommit(driver_of(connection))
    assert not is_in_autocommit(driver_of(connection))
    assert run.setting("transaction_isolation") == level.lower()


@each_driver
def test_the_lock_timeout_is_restored(run: ServerRun, attempt: ServerAttempt) -> None:
    """Outside of a transaction there is none: such statements wait for other transactions."""
    attempt.send("SET lock_timeout = '70ms'")
    attempt.transaction.commit()
    with attempt.transaction.outside_transaction():
        assert run.setting("lock_timeout") == "0"
    assert run.setting("lock_timeout") == "70ms"
    with pytest.raises(FailureError), attempt.transaction.outside_transaction():
        raise FailureError
    assert run.setting("lock_timeout") == "70ms"


def test_a_lost_connection_keeps_its_error(run: ServerRun, attempt: ServerAttempt) -> None:
    """Its settings can't be restored, and needn't be."""
    pid = run.pid()
    attempt.transaction.commit()
    with attempt.transaction.outside_transaction():
        rows(run.database, f"SELECT pg_terminate_backend({pid}, 5000)")
        with pytest.raises(Exception, match=r"terminat|closed|lost"):
            attempt.send(CREATE_ITEM)
    run.connection.connection.invalidate()
    assert not run.others_see("item")


# Settings of the revision's transaction.


@each_driver
def test_transaction_settings_hold_after_a_commit(run: ServerRun, attempt: ServerAttempt) -> None:
    """And after a rollback, and outside of a transaction, and after that."""
    note(run, "SET LOCAL search_path TO one, two", "SET LOCAL work_mem = '1MB'")
    attempt.transaction.commit()
    assert run.setting("search_path") == "one, two"
    attempt.transaction.rollback()
    assert run.setting("work_mem") == "1MB"
    attempt.transaction.commit()
    with attempt.transaction.outside_transaction():
        assert run.setting("search_path") == "one, two"
    assert run.setting("search_path") == "one, two"


def test_transaction_settings_end_with_the_revision(run: ServerRun, attempt: ServerAttempt) -> None:
    """The session has its own values again, also after a statement outside of a transaction."""
    before = run.setting("search_path")
    note(run, "SET LOCAL search_path TO one, two")
    attempt.transaction.commit()
    with attempt.transaction.outside_transaction():
        pass
    run.settings.forget_local()
    attempt.transaction.commit()
    assert run.setting("search_path") == before


def test_another_attempt_begins_without_transaction_settings(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """The revision sends them again."""
    note(run, "SET LOCAL search_path TO one, two")
    attempt.transaction.rollback()
    assert run.setting("search_path") == "one, two"
    another = run.attempt()
    another.transaction.rollback()
    assert run.setting("search_path") != "one, two"


@each_driver
def test_parameters_of_a_setting_are_repeated(run: ServerRun, attempt: ServerAttempt) -> None:
    """They went to the driver in its own form."""
    style = run.connection.connection.dialect.paramstyle
    marks = {"pyformat": ("%(value)s", {"value": "acme"}), "format": ("%s", ("acme",))}
    mark, parameters = marks[style]
    text = f"SELECT set_config('app.tenant', {mark}, true)"
    run.settings.note(sql.parse(text), parameters)
    run.connection.send_with(text, parameters)
    attempt.transaction.commit()
    assert run.setting("app.tenant") == "acme"


def test_deferred_constraints_stay_deferred(run: ServerRun, attempt: ServerAttempt) -> None:
    """SET CONSTRAINTS is a setting of the transaction too."""
    attempt.send(
        CREATE_ITEM,
        "CREATE TABLE part (item_id integer REFERENCES item DEFERRABLE INITIALLY IMMEDIATE)",
    )
    note(run, "SET CONSTRAINTS ALL DEFERRED")
    attempt.transaction.commit()
    attempt.send("INSERT INTO part VALUES (1)", "INSERT INTO item VALUES (1, 1)")
    attempt.transaction.commit()
    assert rows(run.database, "SELECT item_id FROM part") == [1]


@each_driver
@pytest.mark.parametrize("statement", ["SET ROLE limited", "SET LOCAL ROLE limited"])
def test_the_ledger_is_written_in_the_role_of_env(
    run: ServerRun, attempt: ServerAttempt, statement: str
) -> None:
    """The role that the revision takes has no rights on the schema liftlock."""
    role = f"limited_{run.database.dbname}"
    statement = statement.replace("limited", role)
    with connected(run.database) as session:
        session.execute(f"CREATE ROLE {role}")
        session.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    try:
        note(run, statement)
        attempt.send(CREATE_ITEM)
        attempt.record("create")
        attempt.transaction.commit()
        assert run.setting("role") == role
        assert run.committed_steps() == ["create"]
        owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'item'"
        assert rows(run.database, owner) == [role]
        with attempt.transaction.outside_transaction():
            attempt.record("outside")
            attempt.journal.write()
            assert run.setting("role") == role
        assert run.committed_steps() == ["create", "outside"]
    finally:
        run.connection.connection.rollback()
        with connected(run.database) as session:
            session.execute(f"DROP OWNED BY {role} CASCADE")
            session.execute(f"DROP ROLE {role}")


# Autocommit of the revision.


def test_entering_autocommit_commits(run: ServerRun, attempt: ServerAttempt) -> None:
    """From then on each statement may be committed, up to the end of the block."""
    note(run, "SET LOCAL search_path TO public")
    attempt.send(CREATE_ITEM)
    attempt.record("create")
    attempt.transaction.enter_autocommit()
    assert attempt.transaction.mode is Mode.AUTOCOMMIT
    assert run.committed_steps() == ["create"]
    assert run.setting("search_path") != "public"
    attempt.send("INSERT INTO item VALUES (1, 1)")
    attempt.record("insert")
    attempt.transaction.commit()
    assert run.committed_steps() == ["create", "insert"]
    attempt.transaction.leave_autocommit()
    assert attempt.transaction.mode is Mode.STEPWISE
    assert not attempt.transaction.keeps_unrecorded_writes


def test_entering_autocommit_ends_an_atomic_transaction(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """The revision asks for the commit, as it does with plain Alembic."""
    attempt.send(CREATE_ITEM)
    attempt.transaction.require_atomic()
    attempt.transaction.enter_autocommit()
    assert run.others_see("item")
    assert attempt.transaction.mode is Mode.AUTOCOMMIT


def test_unrecorded_writes_are_not_committed_for_autocommit(
    run: ServerRun, attempt: ServerAttempt
) -> None:
    """A later attempt would repeat them, so the rest of the revision is one transaction."""
    attempt.send(CREATE_ITEM, "INSERT INTO item VALUES (1, 1)")
    attempt.transaction.require_atomic()
    attempt.transaction.note_unrecorded_write()
    attempt.transaction.enter_autocommit()
    assert attempt.transaction.mode is Mode.ATOMIC_BLOCK
    assert attempt.transaction.keeps_unrecorded_writes
    attempt.transaction.commit()
    attempt.transaction.leave_autocommit()
    assert attempt.transaction.mode is Mode.ATOMIC
    attempt.transaction.commit()
    assert not run.others_see("item")


def test_unrecorded_writes_are_committed_for_a_statement_that_refuses_a_transaction(
    run: ServerRun,
) -> None:
    """The ledger then has a mark, and a further attempt is refused."""
    run.memory.allow_unrecorded_commit("a1")
    attempt = run.attempt()
    attempt.send(CREATE_ITEM, "INSERT INTO item VALUES (1, 1)")
    attempt.transaction.require_atomic()
    attempt.transaction.note_unrecorded_write()
    attempt.transaction.enter_autocommit()
    assert attempt.transaction.mode is Mode.AUTOCOMMIT
    assert not attempt.transaction.keeps_unrecorded_writes
    assert rows(run.database, "SELECT n FROM item") == [1]
    assert rows(run.database, ANSWERS) == [("unnoted", 0, {})]

    again = run.attempt()
    with pytest.raises(UnsafeRevision) as caught:
        Attempt(again.transaction, again.journal, facts(run))
    assert caught.value.code == "LL-COMMITTED-UNRECORDED"


def test_unrecorded_writes_are_committed_once(run: ServerRun) -> None:
    """Writes after the commit are recorded again, so the next block has none."""
    run.memory.allow_unrecorded_commit("a1")
    attempt = run.attempt()
    attempt.transaction.note_unrecorded_write()
    attempt.transaction.enter_autocommit()
    attempt.transaction.leave_autocommit()
    attempt.transaction.enter_autocommit()
    assert rows(run.database, ANSWERS) == [("unnoted", 0, {})]


def test_an_external_transaction_refuses_autocommit(run: ServerRun) -> None:
    """It is the project's to commit."""
    attempt = run.attempt(external=True)
    attempt.send(CREATE_ITEM)
    attempt.transaction.enter_autocommit()
    assert attempt.transaction.mode is Mode.ATOMIC_BLOCK
    attempt.transaction.commit()
    attempt.transaction.leave_autocommit()
    assert attempt.transaction.mode is Mode.ATOMIC
    assert not run.others_see("item")


def test_a_signal_prevents_autocommit(run: ServerRun) -> None:
    """Nothing is committed after it."""
    signals = Signals()
    signals.stopped = "SIGINT"
    attempt = run.attempt(signals=signals)
    attempt.send(CREATE_ITEM)
    with pytest.raises(NotNow):
        attempt.transaction.enter_autocommit()
    assert attempt.transaction.mode is Mode.STEPWISE
    run.connection.connection.rollback()
    assert not run.others_see("item")
    assert rows(run.database, COMMITTED_STEPS) == []
