"""Fixtures of pytest for the tests of an Alembic project.

Load them in ``conftest.py``: ``pytest_plugins = ["liftlock.testing"]``. They need the extra
``liftlock[embedded]``, or a PostgreSQL server on this machine. The project is the one of the
variable ``ALEMBIC_CONFIG``, by default ``alembic.ini`` in the current folder. The variable
``LIFTLOCK_SHADOW_URL`` gives another server.
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
    """Run a throwaway server with a database at the project's heads, made by plain Alembic."""
    found = settings.read()
    project = load(found.config)
    scripts = list(project.script.iterate_revisions("heads", "base"))
    revisions = [script.revision for script in reversed(scripts)]
    with contextlib.ExitStack() as stack:
        with Signals() as signals:
            runner = ShadowRunner(project, found, signals)
            shadow = shadow_at(runner, revisions, silent, settings.shadow_server())
            made = stack.enter_context(shadow)
        yield made


@pytest.fixture
def liftlock_database(liftlock_shadow: Shadow) -> Iterator[URL]:
    """Make a database at the project's heads for one test; a URL of SQLAlchemy for psycopg."""
    with liftlock_shadow.copied(liftlock_shadow.base) as address:
        yield url_of(address)


@pytest.fixture(scope="session")
def liftlock_chain() -> Report:
    """Check the whole chain of revisions, as ``liftlock check --chain`` does.

    Each revision is run up, down and up again from an empty database; then the database is compared
    with the models, and the chain is written as SQL.
    """
    with Signals() as signals:
        options = CheckOptions(chain=True, server=settings.shadow_server())
        return check(settings.read(), "", options, interrupts=signals, notify=silent)


def describe(report: Report) -> str:
    """Return a report as text, for the message of an assertion.

    As in ``assert liftlock_chain.ok, describe(liftlock_chain)``.
    """
    return "\n".join(line for line, _, _ in text.lines(report))
