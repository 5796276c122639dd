"""Libpq by ctypes: URLs, and errors without a server."""

from __future__ import annotations

import sys

import pytest
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from liftlock import libpq

URLS = (
    "postgresql://",
    "postgresql://u:p@h:1/d",
    "postgres://h1,h2:2/d?target_session_attrs=any",
    "postgresql://u:p%40ss%2Fword@[::1]:5432/d?sslmode=require&application_name=",
    "postgresql://u:s3?cret@h/d",
    "postgresql:///d?host=/run/postgresql&sslrootcert=/a+b.pem",
    "postgresql://u:é@h/d",
)


@pytest.mark.parametrize("url", URLS)
def test_url_is_parsed_as_psycopg_does(url: str) -> None:
    """Both call libpq."""
    assert libpq.parse_url(url) == conninfo_to_dict(url)


@pytest.mark.parametrize(
    "url",
    ["postgresql://u@h/d?ssl=require", "postgresql://u:p%zz@h/d", "postgresql://[::1/d"],
)
def test_url_that_libpq_refuses(url: str) -> None:
    """The message is libpq's, as psycopg has it."""
    with pytest.raises(ValueError, match=r"URI|token|address") as caught:
        libpq.parse_url(url)
    with pytest.raises(ProgrammingError) as of_psycopg:
        conninfo_to_dict(url)
    assert str(caught.value).strip() == str(of_psycopg.value).strip()


def test_null_character_is_refused() -> None:
    """C would end the URL there."""
    with pytest.raises(ValueError, match="null"):
        libpq.parse_url("postgresql://u@h/d\0?sslmode=disable")


def test_missing_library_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The callers have another way."""

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("ctypes.CDLL", missing)
    with pytest.raises(OSError, match="libpq"):
        libpq.parse_url("postgresql://")


def test_library_of_the_wheel_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the system's is loaded."""
    assert next(libpq.bundled_libraries(), "").rpartition("/")[2].startswith("libpq-")
    monkeypatch.setattr(sys, "path", [])
    assert list(libpq.bundled_libraries()) == []


def test_refused_connection_is_an_os_error() -> None:
    """The command line explains it."""
    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        libpq.columns({"host": "127.0.0.1", "port": "1"}, "SELECT 1")
