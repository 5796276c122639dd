"""Long queries on the standbys: reads there wait behind a strong lock that the standby can't replay because of them.

The primary doesn't know of them, and its ``lock_timeout`` doesn't reach them:
https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import psycopg

from liftlock.events import Event, Notify
from liftlock.postgres.advisory_lock import describe_session
from liftlock.postgres.session import connect, query
from liftlock.settings import Address

_AGAIN_SECONDS = 30.0
_LONG_SECONDS = 1.0


class Standbys:
    """The standbys that the operator names.

    Parameters:
        primary: its user, password and database are theirs too.
        hosts: each ``host`` or ``host:port``; without a port it is the primary's.
        notify: is told of long queries.
    """

    def __init__(self, primary: Address, hosts: Sequence[str], notify: Notify) -> None:
        self._addresses = [beside(primary, one) for one in hosts]
        self._notify = notify
        self._looked = float("-inf")

    def look(self) -> None:
        """Name the queries that a strong lock would wait for, and standbys that don't answer; unless that was done a moment ago."""
        if not self._addresses or time.monotonic() - self._looked < _AGAIN_SECONDS:
            return
        for address in self._addresses:
            try:
                with contextlib.closing(connect(address, "standby", settle=False)) as session:
                    found = query(session, "long_queries", least=_LONG_SECONDS)
            except psycopg.Error as error:
                reason = str(error).strip().splitlines()[0]
                self._notify(
                    Event(
                        "standby.silent",
                        f"standby {address!r} can't be asked: {reason}",
                        {"standby": repr(address)},
                        warning=True,
                    )
                )
                continue
            if found:
                text = f"standby {address!r}: reads of a table that is changed may wait there, up to {found[0]['delay']}, for "
                text += "; ".join(describe_session(row) for row in found)
                self._notify(
                    Event(
                        "standby.busy",
                        text,
                        {"standby": repr(address), "queries": found},
                        warning=True,
                    )
                )
        self._looked = time.monotonic()


def beside(primary: Address, host: str) -> Address:
    """The address of a standby: ``host``, ``host:port``, or an IPv6 address, which takes brackets before a port."""
    name, port = host, primary.port
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
