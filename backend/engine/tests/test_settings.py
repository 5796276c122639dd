"""Settings: environment variables and URLs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock import SettingsError
from liftlock.settings import from_url, read

FULL = {"POSTGRES_SERVER": "db", "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p", "POSTGRES_DB": "d"}


def test_the_port_is_5432_unless_set() -> None:
    """The only default among the variables of the address."""
    address = read(FULL).address
    assert address is not None
    assert repr(address) == "u@db:5432/d"


def test_empty_variable_counts_as_unset() -> None:
    """Compose passes POSTGRES_PORT= where nothing is set."""
    address = read(FULL | {"POSTGRES_PORT": "", "DATABASE_URL": ""}).address
    assert address is not None
    assert address.port == "5432"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_password_may_have_any_character(password: str) -> None:
    """By variable as it is, by URL percent-encoded."""
    by_name = read(FULL | {"POSTGRES_PASSWORD": password}).address
    # SQLAlchemy 2 renders URLs like this; SQLAlchemy 1.4 leaves the percent sign as it is.
    by_url = from_url(f"postgresql+asyncpg://u:{quote(password, safe='')}@db:5432/d")
    assert by_name is not None
    assert by_name.keywords() == by_url.keywords()
    assert by_name.password == password


def test_password_is_not_in_repr_and_sources() -> None:
    """Not in the repr, not in the settings' sources."""
    settings = read(FULL | {"POSTGRES_PASSWORD": "s3cret"})
    assert "s3cret" not in repr(settings.address) + repr(settings.sources)


def test_one_trailing_newline_of_a_password_file_is_removed(tmp_path: Path) -> None:
    """Editors add one; a second one belongs to the password."""
    secret = tmp_path / "secret"
    secret.write_text("p\n\n")
    given_ = {key: value for key, value in FULL.items() if key != "POSTGRES_PASSWORD"} | {
        "POSTGRES_PASSWORD_FILE": str(secret)
    }
    settings = read(given_)
    assert settings.address is not None
    assert settings.address.password == "p\n"
    assert settings.sources["POSTGRES_PASSWORD"] == f"the file {secret}"


def test_all_mistakes_are_reported_at_once() -> None:
    """A deployer shouldn't have to start four times to find four mistakes."""
    wrong = {
        "POSTGRES_SERVER": "db",
        "POSTGRES_PORT": "x",
        "POSTGRES_PASSWORD_FILE": "/nowhere",
        "LIFTLOCK_WAIT": "-1",
    }
    with pytest.raises(SettingsError) as caught:
        read(wrong)
    for name in ("POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PORT", "/nowhere", "LIFTLOCK_WAIT"):
        assert name in str(caught.value)
    assert caught.value.exit_code == 2


def test_url_and_variables_must_mean_the_same_address() -> None:
    """DATABASE_URL is an alternative, not an addition."""
    assert read(FULL | {"DATABASE_URL": "postgresql://u:p@db/d"}).address is not None
    with pytest.raises(SettingsError, match="keep one"):
        read(FULL | {"DATABASE_URL": "postgresql://u:p@elsewhere/d"})


def test_variables_without_postgres_server_are_a_mistake() -> None:
    """POSTGRES_DB alone is a mistake; nothing at all means that the project knows."""
    assert read({}).address is None
    with pytest.raises(SettingsError, match="POSTGRES_SERVER"):
        read({"POSTGRES_DB": "d"})


@pytest.mark.parametrize(
    ("url", "keywords"),
    [
        ("postgresql://u@db/d", {"host": "db", "port": "5432", "user": "u", "dbname": "d"}),
        ("postgres://u@db/d", {"host": "db", "port": "5432", "user": "u", "dbname": "d"}),
        (
            "postgresql+asyncpg://u@db:6432/d",
            {"host": "db", "port": "6432", "user": "u", "dbname": "d"},
        ),
        (
            "postgresql://u@h1:5432,h2:5433/d?target_session_attrs=read-write",
            {
                "host": "h1,h2",
                "port": "5432,5433",
                "user": "u",
                "dbname": "d",
                "target_session_attrs": "read-write",
            },
        ),
        (
            "postgresql:///d?host=/run/postgresql&sslmode=require&user=u",
            {
                "host": "/run/postgresql",
                "port": "5432",
                "user": "u",
                "dbname": "d",
                "sslmode": "require",
            },
        ),
        (
            "postgresql://u@db/d?sslrootcert=/a+b.pem",
            {"host": "db", "port": "5432", "user": "u", "dbname": "d", "sslrootcert": "/a+b.pem"},
        ),
        (
            "postgresql://u@db/d?application_name=",
            {"host": "db", "port": "5432", "user": "u", "dbname": "d", "application_name": ""},
        ),
        ("postgresql://u@[::1]:1/d", {"host": "::1", "port": "1", "user": "u", "dbname": "d"}),
        ("postgresql://", {"host": "localhost", "port": "5432", "user": "postgres"}),
        ("postgresql://u@db", {"host": "db", "port": "5432", "user": "u", "dbname": "u"}),
    ],
)
def test_url_is_parsed_as_libpq_does(url: str, keywords: dict[str, str]) -> None:
    """Several hosts, a plus sign and empty values keep their meaning."""
    keywords = {"dbname": keywords["user"], **keywords}
    assert from_url(url).keywords() == keywords


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u@h/d",
        "nonsense",
        "postgresql://u:s3cret@h:port/d",
        "postgresql://u:s3cret%zz@h/d",
        "postgresql://u:s3/cret@h/d",
        "postgresql://u:s3cret@h/d?sslmode=bogus%zz",
        "postgresql://u:s3cret@h/d\0",
    ],
)
def test_url_that_is_none_of_postgresql_is_refused_without_its_password(url: str) -> None:
    """Libpq's own message could quote parts of the password."""
    with pytest.raises(SettingsError, match=r"PostgreSQL|libpq") as caught:
        from_url(url)
    assert "LL-DATABASE-URL" in str(caught.value)
    for part in ("s3", "cret"):
        assert part not in str(caught.value)


def test_unknown_option_of_a_url_is_named() -> None:
    """It is refused when the settings are read, not at the first connection."""
    with pytest.raises(SettingsError, match='"ssl"'):
        from_url("postgresql://u:s3cret@db/d?ssl=require")


def test_url_is_parsed_by_psycopg_where_ctypes_finds_no_libpq(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the same results."""

    def no_libpq(_url: str) -> dict[str, str]:
        raise OSError

    monkeypatch.setattr("liftlock.libpq.parse_url", no_libpq)
    assert from_url("postgresql://u@h1:1,h2:2/d").keywords()["port"] == "1,2"
    with pytest.raises(SettingsError, match='"ssl"'):
        from_url("postgresql://u@db/d?ssl=require")


@pytest.mark.parametrize(
    ("name", "value", "permitted"),
    [
        ("LIFTLOCK_WAIT", "0", False),
        ("LIFTLOCK_WAIT", "0.5", True),
        ("LIFTLOCK_WAIT", "inf", False),
        ("LIFTLOCK_WAIT", "nan", False),
        ("LIFTLOCK_WAIT", "soon", False),
        ("LIFTLOCK_SMALL_TABLE", "0", True),
        ("LIFTLOCK_BACKFILL_SHARE", "1", True),
        ("LIFTLOCK_BACKFILL_SHARE", "1.1", False),
        ("LIFTLOCK_BACKFILL_WORKERS", "0", False),
        ("LIFTLOCK_BACKFILL_WORKERS", "64", True),
        ("LIFTLOCK_BACKFILL_WORKERS", "65", False),
        ("LIFTLOCK_REQUIRE", "true", True),
        ("LIFTLOCK_REQUIRE", "yes", False),
        ("POSTGRES_PORT", "65535", True),
        ("POSTGRES_PORT", "65536", False),
        ("POSTGRES_PORT", "0", False),
    ],
)
def test_limits_of_a_variable(name: str, value: str, *, permitted: bool) -> None:
    """A value beyond them is a mistake that names the variable."""
    environ = FULL | {name: value}
    if permitted:
        read(environ)
        return
    with pytest.raises(SettingsError, match=name):
        read(environ)


def test_lists_are_separated_by_commas_or_spaces() -> None:
    """Both are common in compose files."""
    settings = read({"LIFTLOCK_ALLOW": "LL-A,LL-B  LL-C", "LIFTLOCK_STANDBYS": "a:1, b"})
    assert settings.allow == {"LL-A", "LL-B", "LL-C"}
    assert settings.standbys == ("a:1", "b")


def test_default_manifest_is_beside_alembic_ini() -> None:
    """A service is started from another folder."""
    assert read({"ALEMBIC_CONFIG": "app/alembic.ini"}).manifest == "app/liftlock.json"


def test_environ_of_an_address_means_the_address() -> None:
    """Child processes are given it this way."""
    address = from_url("postgresql://u:p@h:1/d?sslmode=require")
    again = read(address.environ()).address
    assert again is not None
    assert again.keywords() == address.keywords()
