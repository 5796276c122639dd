from __future__ import annotations

import pytest
from execution.fakes import FakeConnection

from liftlock import sql
from liftlock.execution.session_settings import SessionSettings


class LostError(Exception):
    """The connection is lost."""


def settings_after(connection: FakeConnection, *statements: str) -> SessionSettings:
    """Return settings after the revision has sent these statements."""
    settings = SessionSettings(connection)
    for statement in statements:
        settings.note(sql.parse(statement))
    return settings


def test_transaction_settings_are_repeated_in_order() -> None:
    """A later one may change what an earlier one set."""
    connection = FakeConnection()
    settings = settings_after(
        connection,
        "SET LOCAL search_path TO a",
        "SET CONSTRAINTS ALL DEFERRED",
        "SELECT set_config('app.tenant', '1', true)",
        "SET LOCAL search_path TO b",
    )
    settings.repeat_local()
    assert connection.sent == [
        "SET LOCAL search_path TO a",
        "SET CONSTRAINTS ALL DEFERRED",
        "SELECT set_config('app.tenant', '1', true)",
        "SET LOCAL search_path TO b",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "SET search_path TO a",
        "SET SESSION work_mem = '1MB'",
        "RESET work_mem",
        "SELECT set_config('app.tenant', '1', false)",
    ],
)
def test_session_settings_are_not_repeated(statement: str) -> None:
    """They outlive a commit."""
    connection = FakeConnection()
    settings_after(connection, statement).repeat_local()
    assert connection.sent == []


def test_parameters_are_repeated_as_the_driver_got_them() -> None:
    """A statement of the connection may have some; one of op.execute has none."""
    connection = FakeConnection()
    settings = SessionSettings(connection)
    statement = sql.parse("SELECT set_config('app.tenant', %(tenant)s, true)")
    settings.note(statement, {"tenant": "1"})
    settings.repeat_local()
    assert connection.sent == [(statement.text, {"tenant": "1"})]


def test_settings_of_a_transaction_that_the_revision_ended_are_forgotten() -> None:
    """After COMMIT they don't hold with plain Alembic either."""
    connection = FakeConnection()
    settings = settings_after(connection, "SET LOCAL search_path TO a")
    settings.forget_local()
    settings.repeat_local()
    assert connection.sent == []


def test_transaction_settings_hold_for_the_session_in_autocommit() -> None:
    """They are restored in reverse order."""
    connection = FakeConnection({"search_path": "public", "TimeZone": "UTC"})
    settings = settings_after(
        connection, "SET LOCAL search_path TO a", "SET LOCAL TIME ZONE 'Asia/Tokyo'"
    )
    with settings.local_as_session():
        assert connection.sent == [
            "SET SESSION search_path TO a",
            "SET SESSION TIME ZONE 'Asia/Tokyo'",
        ]
    assert connection.sent[2:] == [
        ("set", "TimeZone", "UTC", "session"),
        ("set", "search_path", "public", "session"),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "SET LOCAL lock_timeout = '5s'",
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL idle_in_transaction_session_timeout TO '1min'",
        "SET CONSTRAINTS ALL DEFERRED",
    ],
)
def test_timeouts_and_constraints_are_not_set_for_the_session(statement: str) -> None:
    """The engine sets its own timeouts; constraints belong to a transaction."""
    connection = FakeConnection()
    with settings_after(connection, statement).local_as_session():
        pass
    assert connection.sent == []


def test_settings_of_the_session_are_restored_after_an_error() -> None:
    """The statement in autocommit may fail."""
    connection = FakeConnection({"search_path": "public"})
    settings = settings_after(connection, "SET LOCAL search_path TO a")
    with pytest.raises(LostError), settings.local_as_session():
        raise LostError
    assert connection.sent[-1] == ("set", "search_path", "public", "session")


def test_the_ledger_is_written_in_the_present_role_while_it_is_unchanged() -> None:
    """Without SET ROLE, no query of the role is needed."""
    connection = FakeConnection()
    assert settings_after(connection).ledger_rows("INSERT", {"a": 1}) == [{"found": True}]
    assert connection.sent == [("INSERT", {"a": 1})]


@pytest.mark.parametrize(("autocommit", "scope"), [(False, "local"), (True, "session")])
def test_the_ledger_is_written_in_the_role_of_env(*, autocommit: bool, scope: str) -> None:
    """The role that the revision took is restored; in autocommit the session has to have it."""
    connection = FakeConnection({"role": "none"}, autocommit=autocommit)
    settings = settings_after(connection, "SET ROLE owner")
    connection.settings["role"] = "owner"
    assert settings.ledger_rows("INSERT") == [{"found": True}]
    assert connection.sent == [
        ("set", "role", "none", scope),
        "INSERT",
        ("set", "role", "owner", scope),
    ]


def test_the_role_of_env_is_the_one_before_the_first_change() -> None:
    """A second SET ROLE of the revision doesn't replace it."""
    connection = FakeConnection({"role": "migrator"})
    settings = settings_after(connection, "SET ROLE owner")
    connection.settings["role"] = "owner"
    settings.note(sql.parse("SET LOCAL ROLE other"))
    connection.settings["role"] = "other"
    settings.ledger_rows("INSERT")
    assert connection.sent[0] == ("set", "role", "migrator", "local")


def test_a_role_that_the_revision_gave_up_again_needs_no_change() -> None:
    """RESET ROLE."""
    connection = FakeConnection({"role": "none"})
    settings = settings_after(connection, "SET ROLE owner", "RESET ROLE")
    settings.ledger_rows("INSERT")
    assert connection.sent == ["INSERT"]
