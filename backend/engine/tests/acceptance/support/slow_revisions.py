"""Revisions that sleep, so that a test can interrupt them."""

from __future__ import annotations

from helpers import rows, until

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
