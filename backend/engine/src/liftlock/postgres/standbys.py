"""Long queries on standbys, for which a lock on the primary may block reads.

A standby replays each ACCESS EXCLUSIVE lock of the primary. If a query there conflicts with it,
replay waits, and reads of the table wait for replay. The primary doesn't see these queries, and its
``lock_timeout`` doesn't end the wait:
https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import psycopg

from liftlock.events import Event, Notify
from liftlock.postgres.monitor import describe_session
from liftlock.postgres.session import connect, query
from liftlock.settings import Address

_REPEAT_SECONDS = 30.0
_LONG_QUERY_SECONDS = 1.0


class Standbys:
    """The standbys that the operator names.

    Parameters:
        primary: the primary; its user, password and database are used for the standbys too.
        hosts: each ``host`` or ``host:port``; the primary's port is the default.
        notify: receives events.
    """

    def __init__(self, primary: Address, hosts: Sequence[str], notify: Notify) -> None:
        self._addresses = [beside(primary, host) for host in hosts]
        self._notify = notify
        self._looked = float("-inf")

    def look(self) -> None:
        """Report long queries and unreachable standbys, at most every 30 seconds."""
        if not self._addresses or time.monotonic() - self._looked < _REPEAT_SECONDS:
            return
        for address in self._addresses:
            self._report(address)
        self._looked = time.monotonic()

    def _report(self, address: Address) -> None:
        standby = {"standby": repr(address)}
        try:
            with contextlib.closing(connect(address, "standby", settle=False)) as session:
                queries = query(session, "long_queries", least=_LONG_QUERY_SECONDS)
        except psycopg.Error as error:
            reason = str(error).strip().splitlines()[0]
            text = f"standby {address!r} can't be asked: {reason}"
            self._notify(Event("standby.silent", text, standby, warning=True))
            return
        if queries:
            sessions = "; ".join(describe_session(row) for row in queries)
            text = (
                f"standby {address!r}: reads of a table that is changed may wait there,"
                f" up to {queries[0]['delay']}, for {sessions}"
            )
            self._notify(Event("standby.busy", text, standby | {"queries": queries}, warning=True))


def beside(primary: Address, host: str) -> Address:
    """Return the address of a standby.

    Parameters:
        primary: the primary, whose user, password, database and options are used. Its ``hostaddr``
            is not, since libpq would connect to that.
        host: ``host``, ``host:port``, or an IPv6 address, in brackets if a port follows.
    """
    name = host
    port = primary.port
    if host.startswith("["):
        name, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif host.count(":") == 1:
        name, _, port = host.partition(":")
    options = {key: value for key, value in primary.options.items() if key != "hostaddr"}
    return Address(
        host=name,
        port=port,
        user=primary.user,
        password=primary.password,
        dbname=primary.dbname,
        options=options,
    )
