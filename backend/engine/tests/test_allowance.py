"""Allowances of a revision."""

from __future__ import annotations

import pytest

from liftlock import UnsafeRevision, allow
from liftlock.allowance import allowed


def test_allowances_are_nested() -> None:
    """The inner context adds to the outer one, and ends before it."""
    assert allowed() == {}
    with allow("LL-A", because="one"):
        with allow("LL-A", "LL-B", because="two"):
            assert allowed() == {"LL-A": "two", "LL-B": "two"}
        assert allowed() == {"LL-A": "one"}
    assert allowed() == {}


def test_allowance_without_reason_is_refused() -> None:
    """Spaces are no reason."""
    with pytest.raises(UnsafeRevision, match="LL-ALLOW-WITHOUT-REASON"), allow("LL-A", because=" "):
        pass
