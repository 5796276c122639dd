"""The service's own revisions, judged by PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from liftlock import settings
from liftlock.commands.check import check
from liftlock.events import silent
from liftlock.postgres.signals import Signals

BACKEND = Path(__file__).parents[2]


def test_nothing_is_found(tmp_path: Path) -> None:
    """Under liftlock; and what breaks an old release says why it may."""
    found = settings.read(
        {"ALEMBIC_CONFIG": str(BACKEND / "alembic.ini"), "XDG_CACHE_HOME": str(tmp_path)}
    )
    with Signals() as interrupts:
        report = check(found, "base:heads", interrupts=interrupts, notify=silent)
    assert len(report.checked) >= 15
    assert [one for one in report.findings if one.counts] == []
    assert {one.code for one in report.findings} == {
        "LL-BREAKS-RUNNING-RELEASE",
        "LL-ROWS-NOT-CHECKED",
        "LL-DATA-LOSS",
        "LL-MIXED-PHASES",
        "LL-NEW-CONSTRAINT",
    }
