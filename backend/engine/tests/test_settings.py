from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from liftlock import SettingsError
from liftlock.settings import from_url, read

FULL = {"POSTGRES_SERVER": "db", "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p", "POSTGRES_DB": "d"}


def test_the_port_is_5432_unless_set() -> None:
    """The guide's one default."""
    address = read(FULL).address
    assert address is not None
    assert repr(address) == "u@db:5432/d"


def test_an_empty_variable_is_an_unset_one() -> None:
    """Compose passes POSTGRES_PORT= where nothing is set."""
    address = read(FULL | {"POSTGRES_PORT": "", "DATABASE_URL": ""}).address
    assert address is not None
    assert address.port == "5432"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_a_password_may_hold_any_character(password: str) -> None:
    """By variable as it is, by URL percent-encoded."""
    by_name = read(FULL | {"POSTGRES_PASSWORD": password}).address
    url = URL.create("postgresql+asyncpg", "u", password, "db", 5432, "d").render_as_string(
        hide_password=False
    )
    by_url = from_url(url)
    assert by_name is not None
    assert by_name.keywords() == by_url.keywords()
    assert by_name.password == password


def test_a_password_never_shows() -> None:
    """Not in the repr, not in the settings' sources."""
    settings = read(FULL | {"POSTGRES_PASSWORD": "s3cret"})
    assert "s3cret" not in repr(settings.address) + repr(settings.sources)


def test_a_password_file_loses_one_trailing_newline(tmp_path: Path) -> None:
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


def test_all_mistakes_are_told_at_once() -> None:
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


def test_two_addresses_must_agree() -> None:
    """DATABASE_URL is an alternative, not an addition."""
    assert read(FULL | {"DATABASE_URL": "postgresql://u:p@db/d"}).address is not None
    with pytest.raises(SettingsError, match="keep one"):
        read(FULL | {"DATABASE_URL": "postgresql://u:p@elsewhere/d"})


def test_without_a_server_the_family_is_incomplete() -> None:
    """POSTGRES_DB alone is a mistake; nothing at all means that the project knows."""
    assert read({}).address is None
    with pytest.raises(SettingsError, match="POSTGRES_SERVER"):
        read({"POSTGRES_DB": "d"})


@pytest.mark.parametrize("url", ["mysql://u@h/d", "nonsense", "postgresql://h:port/d"])
def test_a_url_of_something_else_is_refused(url: str) -> None:
    """And the message says how to write one."""
    with pytest.raises(SettingsError, match="PostgreSQL"):
        from_url(url)


def test_a_socket_folder_and_options_come_through() -> None:
    """Libpq's own way to name a socket and TLS."""
    address = from_url("postgresql:///d?host=/run/postgresql&sslmode=require&user=u")
    assert address.keywords() == {
        "host": "/run/postgresql",
        "port": "5432",
        "user": "u",
        "dbname": "d",
        "sslmode": "require",
    }
