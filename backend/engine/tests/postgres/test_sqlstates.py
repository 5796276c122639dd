from __future__ import annotations

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
import pytest
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError

from liftlock.errors import NotNow
from liftlock.postgres.sqlstates import (
    ALREADY_DONE,
    ASSIGNS_GENERATED,
    COMMITS,
    DATA_BREAKS,
    INSUFFICIENT_PRIVILEGE,
    LOCK_NOT_AVAILABLE,
    NEEDS_COMMIT,
    QUERY_CANCELED,
    REFUSES_TRANSACTION,
    RetryDifferently,
    cause_of,
    is_connection_lost,
    is_row_error,
    is_session_lost,
    is_statement_error,
    is_transient,
    remedy,
    server_message,
    sqlstate,
    state_after_failure,
)

MESSAGE = "canceling statement due to lock timeout"
RECONNECT = "Can't reconnect until invalid transaction is rolled back."


def of_psycopg(state: str) -> Exception:
    """Return an error as psycopg 3 raises it; its class has the SQLSTATE."""
    return psycopg.errors.lookup(state)(MESSAGE)


def of_psycopg2(state: str) -> Exception:
    """Return an error as psycopg2 raises it; only its C code can set ``pgcode`` otherwise."""
    error = psycopg2.OperationalError(MESSAGE)
    error.__setstate__({"pgcode": state})
    return error


def of_asyncpg(state: str) -> Exception:
    """Return an error of asyncpg as SQLAlchemy's adapter passes it on."""
    original = asyncpg.PostgresError.new({"C": state, "M": MESSAGE})
    dbapi = AsyncAdapt_asyncpg_dbapi(asyncpg)
    error = dbapi.Error(MESSAGE, original)
    if not hasattr(error, "sqlstate"):  # older adapters set the attributes on the error themselves
        error = dbapi.Error(MESSAGE)
        error.pgcode = error.sqlstate = state
    assert error.sqlstate == state
    return error


def of_pg8000(state: str) -> Exception:
    """Return an error as pg8000 raises it: its argument is the server's message, by fields."""
    return pg8000.dbapi.DatabaseError({"S": "ERROR", "C": state, "M": MESSAGE})


def wrapped(error: Exception, *, invalidated: bool = False) -> DBAPIError:
    """Return an error as SQLAlchemy wraps it."""
    return OperationalError("LOCK TABLE item", {}, error, connection_invalidated=invalidated)


DRIVERS = [of_psycopg, of_psycopg2, of_asyncpg, of_pg8000]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("state", [LOCK_NOT_AVAILABLE, "23505"])
def test_sqlstate_of_each_driver(driver: type[Exception], state: str) -> None:
    """Raised by the driver itself, as at a commit, or wrapped by SQLAlchemy."""
    assert sqlstate(driver(state)) == state
    assert sqlstate(wrapped(driver(state))) == state


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        ValueError(),
        ValueError({"D": "x"}),
        ValueError({"C": 5}),
        psycopg.OperationalError("connection refused"),
        psycopg2.OperationalError("connection refused"),
        wrapped(psycopg2.InterfaceError("connection already closed")),
        pg8000.dbapi.InterfaceError("network error"),
        KeyboardInterrupt(),
    ],
)
def test_an_error_without_sqlstate(error: BaseException) -> None:
    """Errors of the client, and errors that aren't a database's."""
    assert sqlstate(error) is None


@pytest.mark.parametrize(
    ("state", "transient"),
    [
        (LOCK_NOT_AVAILABLE, True),
        ("40P01", True),
        ("40001", True),
        (QUERY_CANCELED, False),
        ("23505", False),
        ("08006", False),
    ],
)
def test_transient_errors(state: str, *, transient: bool) -> None:
    """Another attempt may succeed after a refused lock, a deadlock or a serialization failure."""
    assert is_transient(of_psycopg(state)) is transient


def test_a_statement_that_is_run_differently_is_transient() -> None:
    """The next attempt does so."""
    assert is_transient(RetryDifferently())
    assert not is_transient(ValueError())


@pytest.mark.parametrize(
    ("state", "of_a_row"),
    [
        ("23502", True),
        ("23503", True),
        ("23505", True),
        ("23514", True),
        ("23P01", True),
        ("22001", True),
        ("22P02", True),
        ("23000", False),
        ("42601", False),
        (LOCK_NOT_AVAILABLE, False),
    ],
)
def test_errors_of_a_row(state: str, *, of_a_row: bool) -> None:
    """Data exceptions (class 22) and violated constraints."""
    assert is_row_error(of_pg8000(state)) is of_a_row


def test_an_error_without_sqlstate_is_not_of_a_row() -> None:
    """As a failure of the network."""
    assert not is_row_error(ValueError())


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        # by SQLSTATE: connection exceptions, and a server that stops
        (of_psycopg("08006"), True),
        (of_psycopg("57P01"), True),
        (of_psycopg("57P03"), True),
        (wrapped(of_psycopg2("57P01")), True),
        (wrapped(of_asyncpg("57P01")), True),
        (wrapped(of_pg8000("57P01")), True),
        (of_psycopg(QUERY_CANCELED), False),
        (wrapped(of_psycopg(LOCK_NOT_AVAILABLE)), False),
        # by SQLAlchemy, which invalidated the connection
        (wrapped(of_psycopg("25P03"), invalidated=True), True),
        (wrapped(ValueError("x"), invalidated=True), True),
        # by the message of a driver that hasn't noticed the end of the session
        (wrapped(psycopg2.OperationalError("server closed the connection unexpectedly")), True),
        (wrapped(psycopg2.OperationalError("connection socket closed")), True),
        (wrapped(psycopg.OperationalError("the connection is lost")), True),
        (wrapped(psycopg.OperationalError("the connection is closed")), True),
        (
            wrapped(
                psycopg.OperationalError(
                    "sending query failed: terminating connection due to administrator command\n"
                    "another command is already in progress"
                )
            ),
            True,
        ),
        # errors of the client, and connections that never were
        (
            wrapped(
                psycopg.OperationalError(
                    "sending query and params failed: number of parameters must be between 0 and"
                    " 65535"
                )
            ),
            False,
        ),
        (
            wrapped(
                psycopg.OperationalError(
                    'connection to server at "127.0.0.1", port 1 failed: Connection refused'
                )
            ),
            False,
        ),
        (InterfaceError("SELECT", {}, ValueError("x")), False),
        # the engine's own sessions aren't SQLAlchemy's
        (psycopg.OperationalError("the connection is lost"), True),
        (psycopg.ProgrammingError("the connection is lost"), False),
        (PendingRollbackError(RECONNECT), True),
        (PendingRollbackError("the Session's transaction was rolled back"), False),
        # errors that aren't a database's
        (ValueError("server closed the connection"), False),
    ],
)
def test_lost_connections(error: Exception, *, lost: bool) -> None:
    """The run ends without saying that the revision is wrong."""
    assert is_connection_lost(error) is lost


@pytest.mark.parametrize(
    ("state", "own"),
    [
        ("42703", True),  # undefined_column
        ("22P02", True),  # invalid_text_representation
        ("42501", True),  # insufficient_privilege
        (LOCK_NOT_AVAILABLE, False),
        ("40001", False),  # serialization_failure
        ("57014", False),  # query_canceled
        ("57P01", False),  # admin_shutdown
        ("25P03", False),  # idle_in_transaction_session_timeout
        ("25P02", False),  # in_failed_sql_transaction
        ("25006", False),  # read_only_sql_transaction
        ("53100", False),  # disk_full
        ("08006", False),  # connection_failure
    ],
)
def test_errors_that_the_statement_causes_itself(state: str, *, own: bool) -> None:
    """The author of the revision is asked to correct only these."""
    assert is_statement_error(wrapped(DRIVERS[0](state))) is own


def test_an_error_without_sqlstate_is_not_the_statements() -> None:
    """The driver raised it, or Python."""
    assert not is_statement_error(ValueError("no SQLSTATE"))


def test_the_cause_of_an_error_is_the_lost_session_or_the_refused_lock() -> None:
    """An error in the handling of it would hide it."""
    refused = wrapped(DRIVERS[0](LOCK_NOT_AVAILABLE))
    hidden: Exception | None = None
    try:
        try:
            raise refused
        except DBAPIError:
            raise ValueError("cleanup failed")  # noqa: B904 - as in a handler that fails
    except ValueError as error:
        hidden = error
    assert hidden is not None
    assert cause_of(hidden) is refused
    other = ValueError("another one")
    assert cause_of(other) is other


def test_the_cause_of_an_error_is_found_in_any_chain() -> None:
    """A chain may be a circle; and an error of liftlock has said already what is wrong."""
    circle = ValueError("its own cause")
    circle.__cause__ = circle
    assert cause_of(circle) is circle
    lost = NotNow("LL-SINGLE-FLIGHT-LOST", "lost", now="again")
    lost.__cause__ = wrapped(DRIVERS[0]("57P01"))
    assert cause_of(lost) is lost


def test_a_foreign_server_that_refuses_a_connection_ends_no_session() -> None:
    """postgres_fdw and dblink pass its SQLSTATE on."""
    assert not is_session_lost(wrapped(DRIVERS[0]("08001")))
    assert is_session_lost(wrapped(DRIVERS[0]("08006"), invalidated=True))
    assert not is_session_lost(wrapped(DRIVERS[0]("57P01"), invalidated=True))


@pytest.mark.parametrize("driver", DRIVERS)
def test_server_message_of_each_driver(driver: type[Exception]) -> None:
    """Without the statement and the link that SQLAlchemy adds."""
    assert server_message(driver(LOCK_NOT_AVAILABLE)) == MESSAGE
    assert server_message(wrapped(driver(LOCK_NOT_AVAILABLE))) == MESSAGE


def test_server_message_without_white_space_around_it() -> None:
    """psycopg2 ends each message with a line feed."""
    assert server_message(psycopg2.OperationalError("lock timeout\n")) == "lock timeout"


def test_server_message_without_parameters() -> None:
    """They may be secrets."""
    error = OperationalError("INSERT", {"password": "secret"}, ValueError("duplicate key"))
    assert server_message(error) == "duplicate key"


def test_remedy_for_a_missing_role() -> None:
    """The whole text."""
    assert remedy(psycopg.errors.UndefinedObject('role "app reader" does not exist')) == (
        'Create the role: CREATE ROLE "app reader"; or, for a throwaway server, name it in'
        " alembic.ini, in the section [liftlock]: roles = app reader"
    )


def test_remedy_for_errors_that_the_revision_does_not_cause() -> None:
    """Its author isn't asked to correct it."""
    assert "Free space" in remedy(wrapped(DRIVERS[0]("53100")))
    assert "temp_file_limit" in remedy(wrapped(DRIVERS[1]("53400")))
    assert "writable" in remedy(wrapped(DRIVERS[2]("25006")))
    assert "Grant the right" in remedy(wrapped(DRIVERS[3]("42501")))


def test_remedy_for_a_missing_extension() -> None:
    """The whole text."""
    error = psycopg.errors.FeatureNotSupported('extension "vector" is not available')
    assert remedy(wrapped(error)) == (
        "Install the extension on that server; check, drift, bake and the pytest fixtures use a"
        " server that has it when LIFTLOCK_SHADOW_URL is set."
    )


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.UndefinedObject('type "mood" does not exist'),
        psycopg.errors.InvalidAuthorizationSpecification('role "reader" does not exist'),
        psycopg.errors.NotNullViolation("null value in column"),
    ],
)
def test_remedy_for_other_errors(error: Exception) -> None:
    """The whole text; a role that can't log in isn't a missing one."""
    assert remedy(error) == "Correct the revision, or the data that it fails on, and run again."


def test_state_after_failure_of_a_half_done_revision() -> None:
    """The whole text."""
    assert state_after_failure(half_done=True) == (
        "The finished steps are committed and in the ledger. The revision isn't marked as applied;"
        " the next run resumes it after those steps."
    )


def test_state_after_failure_of_a_revision_that_is_rolled_back() -> None:
    """The whole text."""
    assert state_after_failure(half_done=False) == (
        "The revision is rolled back: the database is as before it, and earlier revisions stay"
        " applied."
    )


@pytest.mark.parametrize(
    ("states", "names"),
    [
        ({LOCK_NOT_AVAILABLE}, {"LockNotAvailable"}),
        ({QUERY_CANCELED}, {"QueryCanceled"}),
        ({INSUFFICIENT_PRIVILEGE}, {"InsufficientPrivilege"}),
        ({COMMITS}, {"InvalidTransactionTermination"}),
        (REFUSES_TRANSACTION, {"ActiveSqlTransaction", "InvalidTransactionTermination"}),
        (
            NEEDS_COMMIT,
            {"ActiveSqlTransaction", "InvalidTransactionTermination", "UnsafeNewEnumValueUsage"},
        ),
        (ASSIGNS_GENERATED, {"GeneratedAlways", "SyntaxError"}),
        (
            ALREADY_DONE,
            {
                "DuplicateDatabase",
                "DuplicateObject",
                "DuplicateTable",
                "InvalidCatalogName",
                "UndefinedObject",
                "UndefinedTable",
            },
        ),
        (
            DATA_BREAKS,
            {
                "CheckViolation",
                "ExclusionViolation",
                "ForeignKeyViolation",
                "NotNullViolation",
                "UniqueViolation",
            },
        ),
    ],
)
def test_sqlstates_by_their_condition_names(states: set[str], names: set[str]) -> None:
    """As PostgreSQL's list of error codes names them, and psycopg after it."""
    assert {psycopg.errors.lookup(state).__name__ for state in states} == names
