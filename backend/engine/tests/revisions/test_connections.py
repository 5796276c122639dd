"""Addresses in the parameters of drivers, and connections that are redirected."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from liftlock.errors import SettingsError
from liftlock.revisions.connections import (
    Connections,
    address_from,
    no_engine_connects,
    redirect,
    url_of,
)
from liftlock.settings import Address

SQLALCHEMY_1 = sqlalchemy.__version__.startswith("1.")
SCHEME = "postgresql+psycopg2" if SQLALCHEMY_1 else "postgresql+psycopg"
SECRET = "s3cret"
TARGET = Address(host="shadow", port="5433", user="tester", password=SECRET, dbname="empty")
SEVERAL = Address(
    host="first,second",
    port="5433,5434",
    user="app",
    password=None,
    dbname="shop",
    options={"target_session_attrs": "read-write"},
)


class Cursor:
    """A driver's cursor that keeps the statements."""

    def __init__(self, calls: list[str]) -> None:
        self._calls = calls

    def execute(self, statement: str) -> None:
        """Keep a statement."""
        self._calls.append(statement)

    def close(self) -> None:
        """Note the call."""
        self._calls.append("close")


class Driver:
    """A driver's connection that keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def cursor(self) -> Cursor:
        """Return a cursor."""
        return Cursor(self.calls)

    def commit(self) -> None:
        """Note the call."""
        self.calls.append("commit")


class Entry:
    """A pool's record of a connection."""

    def __init__(self, *, is_lost: bool = False) -> None:
        self.is_valid = True
        self._is_lost = is_lost

    def invalidate(self) -> None:
        """Mark the connection as unusable."""
        if self._is_lost:
            raise OSError
        self.is_valid = False


@pytest.mark.parametrize(
    ("parameters", "address", "options"),
    [
        pytest.param(
            {
                "host": "db",
                "port": 5433,
                "user": "app",
                "password": SECRET,
                "dbname": "shop",
                "sslmode": "verify-full",
                "sslrootcert": "/ca.pem",
                "connect_timeout": 5,
                "application_name": "web",
                "options": "-c search_path=app",
            },
            "app@db:5433/shop",
            {"sslmode": "verify-full", "sslrootcert": "/ca.pem"},
            id="psycopg",
        ),
        pytest.param(
            {"host": "first,second", "port": "5433,5434", "user": "app", "dbname": "shop"},
            "app@first,second:5433,5434/shop",
            {},
            id="psycopg with two hosts",
        ),
        pytest.param(
            {"host": "db", "user": "app", "database": "shop", "ssl": "verify-ca"},
            "app@db:5432/shop",
            {"sslmode": "verify-ca"},
            id="asyncpg",
        ),
        pytest.param(
            {"host": ["first", "second"], "port": [5433, 5434], "user": "app", "database": "shop"},
            "app@first,second:5433,5434/shop",
            {},
            id="asyncpg with two hosts",
        ),
        pytest.param(
            {
                "host": "db",
                "port": 5432,
                "user": "app",
                "database": "shop",
                "ssl_context": ssl.create_default_context(),
                "timeout": 3,
            },
            "app@db:5432/shop",
            {"sslmode": "require"},
            id="pg8000",
        ),
        pytest.param(
            {"host": "db", "username": "app", "database": "shop"},
            "app@db:5432/shop",
            {},
            id="parts of a URL",
        ),
        pytest.param({}, "@:5432/", {}, id="nothing"),
        pytest.param(
            {"dbname": "shop", "sslmode": None}, "@:5432/shop", {}, id="parameter without a value"
        ),
    ],
)
def test_address_in_parameters_of_a_driver(
    parameters: dict[str, Any], address: str, options: dict[str, str]
) -> None:
    """The address and its encryption are kept; settings of the session aren't."""
    found = address_from(parameters)
    assert repr(found) == address
    assert found.options == options
    assert found.password == parameters.get("password")


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "psycopg_async"])
def test_redirect_of_a_libpq_driver(driver: str) -> None:
    """Certificates and the password of the first server don't go to the second."""
    parameters: dict[str, object] = {
        "host": "db",
        "port": 5432,
        "user": "app",
        "password": "other",
        "dbname": "shop",
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
        "passfile": "/pgpass",
        "target_session_attrs": "read-write",
        "connect_timeout": 5,
        "application_name": "web",
        "options": "-c search_path=app",
        "prepare_threshold": None,
    }
    redirect(driver, parameters, TARGET)
    assert parameters == {
        "host": "shadow",
        "port": "5433",
        "user": "tester",
        "password": SECRET,
        "dbname": "empty",
        "sslmode": "prefer",
        "connect_timeout": 5,
        "application_name": "web",
        "options": "-c search_path=app",
        "prepare_threshold": None,
    }


@pytest.mark.parametrize("driver", ["asyncpg", "pg8000"])
def test_redirect_of_another_driver(driver: str) -> None:
    """Both take the port as a number, and encryption by other parameters."""
    parameters: dict[str, object] = {
        "host": "db",
        "database": "shop",
        "ssl": "require",
        "ssl_context": ssl.create_default_context(),
        "direct_tls": True,
        "timeout": 3,
    }
    redirect(driver, parameters, TARGET)
    assert parameters == {
        "host": "shadow",
        "port": 5433,
        "user": "tester",
        "password": SECRET,
        "database": "empty",
        "timeout": 3,
    }


def test_redirect_to_several_hosts() -> None:
    """Drivers of libpq get the lists as they are; other drivers get the first host and its port."""
    parameters: dict[str, object] = {}
    redirect("psycopg", parameters, SEVERAL)
    assert parameters["host"] == "first,second"
    assert parameters["port"] == "5433,5434"
    parameters = {}
    redirect("asyncpg", parameters, SEVERAL)
    assert parameters["host"] == "first"
    assert parameters["port"] == 5433


def test_redirect_keeps_the_sslmode_of_its_target() -> None:
    """The target may need encryption."""
    target = Address(
        host="db",
        port="5432",
        user="app",
        password=None,
        dbname="x",
        options={"sslmode": "require"},
    )
    parameters: dict[str, object] = {"sslmode": "disable"}
    redirect("psycopg2", parameters, target)
    assert parameters["sslmode"] == "require"


@pytest.mark.parametrize(
    ("options", "is_kept"),
    [("-c search_path=app", True), ("--search_path=app", True), ("endpoint=ep-1", False)],
)
def test_redirect_drops_options_for_a_proxy(options: str, *, is_kept: bool) -> None:
    """Some hosting providers name the database by ``options=endpoint=…``."""
    parameters: dict[str, object] = {"options": options}
    redirect("psycopg", parameters, TARGET)
    assert ("options" in parameters) is is_kept


@pytest.mark.skipif(SQLALCHEMY_1, reason="SQLAlchemy 1.4 has no dialect for psycopg")
@pytest.mark.parametrize("address", [TARGET, SEVERAL], ids=["one host", "two hosts"])
def test_url_of_an_address(address: Address) -> None:
    """The driver gets the address as libpq writes it."""
    url = url_of(address)
    _, parameters = url.get_dialect()().create_connect_args(url)
    assert repr(address_from(parameters)) == repr(address)
    assert address_from(parameters).options == address.options
    assert parameters.get("password") == address.password
    assert SECRET not in str(url)


def test_address_of_an_engine_that_opened_no_connection_yet() -> None:
    """The URL of the engine has it, if the driver's parameters weren't seen."""
    engine = create_engine(f"{SCHEME}://app@db:5433/shop", poolclass=NullPool)
    connection = _Connection(engine.url, engine.dialect)
    assert repr(Connections("test").address_of(connection)) == "app@db:5433/shop"  # type: ignore[arg-type]


def test_address_of_a_connection_by_a_function_is_hidden() -> None:
    """``create_engine(f"{SCHEME}://", creator=…)`` tells no address."""
    engine = create_engine(f"{SCHEME}://", creator=Driver, poolclass=NullPool)
    connection = _Connection(engine.url, engine.dialect)
    with pytest.raises(SettingsError) as raised:
        Connections("test").address_of(connection)  # type: ignore[arg-type]
    assert raised.value.code == "LL-ENV-ADDRESS-HIDDEN"
    assert "creator=" in raised.value.what


class _Connection:
    """The parts of a SQLAlchemy connection that have its address."""

    def __init__(self, url: Any, dialect: Any) -> None:
        self.url = url
        self.engine = self
        self.dialect = dialect


def test_engines_are_redirected_while_installed() -> None:
    """The parameters that reach the driver are those of the other address."""
    seen: list[dict[str, object]] = []
    engine = create_engine(f"{SCHEME}://app@db/shop", poolclass=NullPool)

    class Refused(Exception):
        pass

    def connect(*_: object, **parameters: object) -> None:
        seen.append(parameters)
        raise Refused

    engine.dialect.connect = connect  # type: ignore[method-assign, assignment]
    connections = Connections("test", TARGET)
    with connections.installed(), pytest.raises(Refused):
        engine.connect()
    assert seen[0]["host"] == "shadow"
    assert seen[0]["dbname"] == "empty"
    assert repr(connections.address_of(_Connection(engine.url, engine.dialect))) == repr(TARGET)  # type: ignore[arg-type]
    with pytest.raises(Refused):
        engine.connect()
    assert seen[1]["host"] == "db"


def test_new_session_gets_its_settings_before_anything_else() -> None:
    """The statement has no parameters, and no percent sign that a driver could take for one."""
    driver = Driver()
    pool = NullPool(Driver)
    connections = Connections("test", None, {"my.setting": "100% o'clock"})
    with connections.installed():
        pool.dispatch.connect(driver, Entry())  # the event of a new connection
    statement, *others = driver.calls
    assert others == ["close", "commit"]
    assert "'100_ o''clock'" in statement
    assert "'lock_timeout'" in statement
    assert "%" not in statement
    assert ":names" not in statement


def test_redirected_connections_leave_the_pools_afterwards() -> None:
    """The project would otherwise continue on the other database; a lost one doesn't matter."""
    pool = NullPool(Driver)
    lost, entry = Entry(is_lost=True), Entry()
    with Connections("test", TARGET).installed():
        pool.dispatch.connect(Driver(), lost)
        pool.dispatch.connect(Driver(), entry)
        assert entry.is_valid
    assert not entry.is_valid


def test_no_engine_connects_while_files_are_loaded() -> None:
    """The error names the remedy; afterwards engines connect again."""
    engine = create_engine("sqlite://", poolclass=NullPool)
    with no_engine_connects(), pytest.raises(RuntimeError, match=r"op\.get_bind\(\)"):
        engine.connect()
    engine.connect().close()
