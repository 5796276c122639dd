"""pytest fixtures for any Alembic project.

In its ``conftest.py``: ``pytest_plugins = ["liftlock.testing"]``. They need the extra ``liftlock[embedded]``; the project is
the one that ``ALEMBIC_CONFIG`` names, else the ``alembic.ini`` of the working folder. ``LIFTLOCK_SHADOW_URL`` names another
server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy.engine import URL

from liftlock import settings
from liftlock.check.formats import text
from liftlock.check.report import Report
from liftlock.check.run import CheckOptions
from liftlock.commands.check import check
from liftlock.events import silent
from liftlock.postgres.signals import Signals
from liftlock.revisions.connections import url_of
from liftlock.revisions.project import load
from liftlock.shadow.base_state import shadow_at
from liftlock.shadow.database import Shadow
from liftlock.shadow.runner import ShadowRunner


@pytest.fixture(scope="session")
def liftlock_shadow() -> Iterator[Shadow]:
    """A throwaway server with a database at the project's heads, made by plain Alembic."""
    found = settings.read()
    project = load(found.config)
    revisions = [one.revision for one in project.script.iterate_revisions("heads", "base")][::-1]
    with contextlib.ExitStack() as stack:
        with Signals() as interrupts:
            shadow = stack.enter_context(
                shadow_at(
                    ShadowRunner(project, found, interrupts),
                    revisions,
                    silent,
                    settings.shadow_server(),
                )
            )
        yield shadow


@pytest.fixture
def liftlock_database(liftlock_shadow: Shadow) -> Iterator[URL]:
    """A database at the project's heads for one test, as SQLAlchemy's URL (of psycopg)."""
    with liftlock_shadow.copied(liftlock_shadow.base) as address:
        yield url_of(address)


@pytest.fixture(scope="session")
def liftlock_chain() -> Report:
    """The project's whole chain, checked: up from empty, each revision down and up again, the models, and as SQL."""
    with Signals() as interrupts:
        options = CheckOptions(chain=True, server=settings.shadow_server())
        return check(settings.read(), "", options, interrupts=interrupts, notify=silent)


def told(report: Report) -> str:
    """A report as text, for the message of an assertion.

    As in ``assert liftlock_chain.ok, told(liftlock_chain)``.
    """
    return "\n".join(line for line, _, _ in text.lines(report))
