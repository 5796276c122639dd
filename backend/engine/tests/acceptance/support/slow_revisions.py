"""Revisions that sleep, so that a test can interrupt them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from helpers import connected, rows, until

from liftlock.settings import Address

SLEEPS = "op.create_table('slow', sa.Column('a', sa.Integer))\nop.execute('SELECT pg_sleep(60)')"
"""The body of a revision that sleeps for a minute."""
SLEEPING_SESSIONS = """
SELECT pid FROM pg_stat_activity
WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database() AND state = 'active'
"""


def sleeping_sessions(address: Address) -> list[int]:
    """Return the process ids of the sessions that sleep."""
    return rows(address, SLEEPING_SESSIONS)


def until_it_sleeps(address: Address) -> None:
    """Wait until a session sleeps."""
    until(lambda: sleeping_sessions(address), 30, "the slow revision sleeps")


WAITS_FOR_THE_TEST = """op.execute('''DO $$ BEGIN
    WHILE NOT pg_try_advisory_lock(4711) LOOP PERFORM pg_sleep(0.05); END LOOP;
    PERFORM pg_advisory_unlock(4711);
END $$''')
"""
"""The body of a revision that takes as long as `held` does, under any isolation level."""
WAITING_SESSIONS = """
SELECT pid FROM pg_stat_activity
WHERE query LIKE 'DO %pg_try_advisory_lock(4711)%' AND datname = current_database()
AND state = 'active'
"""


@contextlib.contextmanager
def held(address: Address) -> Iterator[None]:
    """Make revisions with the body `WAITS_FOR_THE_TEST` wait until the end of the context."""
    with connected(address) as session:
        session.execute("SELECT pg_advisory_lock(4711)")
        yield


def until_it_waits(address: Address) -> None:
    """Wait until a revision waits for the test."""
    until(lambda: rows(address, WAITING_SESSIONS), 60, "the revision waits for the test")
