from __future__ import annotations

import socket

import pytest

from liftlock.postgres.session import application, migration_settings, psycopg_style


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT :a, :b_2", "SELECT %(a)s, %(b_2)s"),
        ("SELECT CAST(:a AS text)", "SELECT CAST(%(a)s AS text)"),
        ("SELECT a::text, :a::text", "SELECT a::text, %(a)s::text"),
        (r"SELECT '12\:30'", "SELECT '12:30'"),
        (r"SELECT a\:\:text", "SELECT a::text"),
        ("SELECT 'x:y', array[1:2]", "SELECT 'x:y', array[1:2]"),
        ("SELECT 5 % 2, 'a%'", "SELECT 5 %% 2, 'a%%'"),
    ],
)
def test_named_parameters_are_rewritten_for_psycopg(statement: str, expected: str) -> None:
    """Casts, escaped colons and colons within words are no parameters."""
    assert psycopg_style(statement) == expected


def test_the_application_name_fits_into_postgresqls_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PostgreSQL would truncate it with a notice."""
    monkeypatch.setattr(socket, "gethostname", lambda: "h" * 100)
    assert application("upgrade") == "liftlock upgrade@" + "h" * 46


def test_only_the_lock_timeout_limits_a_session_that_changes_the_schema() -> None:
    """Timeouts that the role or the database sets for the application are off."""
    settings = migration_settings(lock_timeout=500)
    assert settings.pop("lock_timeout") == "500ms"
    assert settings.pop("tcp_user_timeout") == "10000"
    timeouts = {name: value for name, value in settings.items() if name.endswith("_timeout")}
    assert timeouts == {
        "statement_timeout": "0",
        "transaction_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
    }
