"""Status: the state of a database, compared with this build."""

from __future__ import annotations

import contextlib

from liftlock.postgres.session import connect
from liftlock.postgres.standing import Status, compare
from liftlock.revisions.build import build_of
from liftlock.settings import Address, Settings


def status(settings: Settings, address: Address) -> Status:
    """Compare a database with this build. The database is only read.

    Raises:
        psycopg.OperationalError: the database can't be reached.
        LiftlockError: the build can't be read.
    """
    build = build_of(settings)
    with contextlib.closing(connect(address, "status")) as session:
        return compare(session, build)
