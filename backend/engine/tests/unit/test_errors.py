from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from liftlock.execution.database_errors import is_connection_lost
from liftlock.postgres.advisory_lock import key_for
from liftlock.postgres.probe import diagnose
from liftlock.postgres.queries import LEDGER, QUERIES


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (
            'could not translate host name "ssl-db" to address: Name or service not known',
            "no such host",
        ),
        ("connection refused", "refused"),
        ("FATAL:  the database system is starting up", "starting up"),
        ("FATAL:  sorry, too many clients already", "too many connections"),
        (
            'connection to server at "ssl-db", port 1: FATAL:  password authentication failed for user "ssl"',
            "wrong password",
        ),
        ('FATAL:  database "role " does not exist', "no such database"),
        ('FATAL:  role "database" does not exist', "no such role"),
        (
            'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "u", database "d", no encryption',
            "not admitted",
        ),
        ("server does not support SSL, but SSL was required", "TLS trouble"),
        ("SSL error: certificate verify failed", "TLS trouble"),
        ("connection timeout expired", "no answer"),
        ("unsupported startup parameter: options", "pooler in transaction mode"),
        ("FATAL:  Passwort-Authentifizierung fehlgeschlagen", "unknown"),
    ],
)
def test_troubles_are_told_apart(words: str, kind: str) -> None:
    """By libpq's and the server's words, whatever names stand in quotes."""
    assert diagnose(psycopg.OperationalError(words)).kind == kind


def test_each_version_table_has_its_own_lock() -> None:
    """Two projects in one database don't wait for each other; the key fits a bigint."""
    one, other = key_for("public.alembic_version"), key_for("tenant.alembic_version")
    assert one != other
    assert 0 <= one < 2**63


def test_statements_are_named_and_described() -> None:
    """Each says what it is for, before it says what it does."""
    for name, text in {**QUERIES, **LEDGER}.items():
        assert text.startswith("-- "), name


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (
            "sending query failed: terminating connection due to administrator command\nanother command is already in progress",
            True,
        ),
        ("connection socket closed", True),
        (
            "sending query and params failed: number of parameters must be between 0 and 65535",
            False,
        ),
        (
            'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused',
            False,
        ),
    ],
)
def test_a_connection_that_was_lost_is_known_by_its_words_too(text: str, lost: bool) -> None:
    """While the driver hasn't noticed yet; what was never connected, or is the client's own mistake, is something else."""
    assert is_connection_lost(OperationalError(None, None, psycopg.OperationalError(text))) is lost
