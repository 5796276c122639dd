"""TCP settings: a server that doesn't answer any more is noticed within about ten seconds.

Without them, a connection that a firewall has forgotten stays open for hours:
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TCP-USER-TIMEOUT
"""

from __future__ import annotations

import contextlib
import os
import socket

_IDLE_SECONDS = 5
_INTERVAL_SECONDS = 2
_PROBES = 3
_UNACKNOWLEDGED_MILLISECONDS = 10_000

LIBPQ_KEYWORDS = {
    "keepalives": "1",
    "keepalives_idle": str(_IDLE_SECONDS),
    "keepalives_interval": str(_INTERVAL_SECONDS),
    "keepalives_count": str(_PROBES),
    "tcp_user_timeout": str(_UNACKNOWLEDGED_MILLISECONDS),
}
"""The settings of the client's side, as keywords of libpq."""

SERVER_SETTINGS = {
    "tcp_keepalives_idle": str(_IDLE_SECONDS),
    "tcp_keepalives_interval": str(_INTERVAL_SECONDS),
    "tcp_keepalives_count": str(_PROBES),
    "tcp_user_timeout": str(_UNACKNOWLEDGED_MILLISECONDS),
}
"""The settings of the server's side, as its parameters."""

_SOCKET_OPTIONS = {
    "TCP_KEEPIDLE": _IDLE_SECONDS,
    "TCP_KEEPINTVL": _INTERVAL_SECONDS,
    "TCP_KEEPCNT": _PROBES,
    "TCP_USER_TIMEOUT": _UNACKNOWLEDGED_MILLISECONDS,
}
"""The settings of the client's side, as options of a socket; a system may lack some."""


def keep_alive(connection: object) -> None:
    """Apply the settings to a connection of any driver; nothing happens if its socket isn't found.

    Parameters:
        connection: the driver's connection, or SQLAlchemy's adapter of an asynchronous one.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        descriptor = _descriptor(connection)
        if descriptor is None:
            return
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            _set_options(copy)


def _descriptor(connection: object) -> int | None:
    """Return the file descriptor of a connection's socket.

    psycopg and psycopg2 have ``fileno``; pg8000 and asyncpg have private attributes only.
    """
    for holder in (connection, getattr(connection, "_connection", None)):
        for name in ("fileno", "_usock", "_transport"):
            found = getattr(holder, name, None)
            if found is None:
                continue
            if name == "_transport":
                found = found.get_extra_info("socket")
            return int(found() if callable(found) else found.fileno())
    return None


def _set_options(copy: socket.socket) -> None:
    if copy.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    copy.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SOCKET_OPTIONS.items():
        option = getattr(socket, name, None)
        if option is not None:
            copy.setsockopt(socket.IPPROTO_TCP, option, value)
