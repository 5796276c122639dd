"""Tests of the pure parts of the reader: the limits of its session, and rates."""

from __future__ import annotations

import pytest

from liftlock.broker.reader import _rate, bounded
from liftlock.settings import Address

ADDRESS = Address(host="h", port="5432", user="u", password="p", dbname="d")


def test_session_is_read_only_and_limited_in_time() -> None:
    """The limits are startup options, which hold from the first statement."""
    options = bounded(ADDRESS).options["options"]
    assert "default_transaction_read_only=on" in options
    assert "statement_timeout=5s" in options
    assert "lock_timeout=1s" in options


def test_startup_options_of_the_address_are_kept() -> None:
    """The project's own options come first, so that the limits override them."""
    own = Address(
        host="h", port="1", user="u", password="p", dbname="d", options={"options": "-c a=b"}
    )
    assert bounded(own).options["options"].startswith("-c a=b -c default_transaction_read_only=on")


@pytest.mark.parametrize(
    ("before", "after", "rate"),
    [(10, 25, 15.0), (25, 10, 0), (None, 10, None), (10, None, None)],
)
def test_rate_of_counters(before: int | None, after: int | None, rate: float | None) -> None:
    """Counters that were reset give 0; a standby has none."""
    assert _rate(before, after) == rate
