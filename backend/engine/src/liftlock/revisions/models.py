"""The models of a project against a database, by Alembic's own comparator."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.environment import EnvironmentContext

from liftlock.revisions.connections import Connections
from liftlock.revisions.history import Project
from liftlock.settings import Address


def differences(project: Project, address: Address) -> list[str]:
    """What the models want that the database hasn't, or hasn't so; none where env.py names no models. The database is only read.

    Parameters:
        project: the project.
        address: the database, wherever env.py wants to connect.
    """
    found: list[str] = []

    def compare(_revision: object, context: Any) -> list[Any]:  # noqa: ANN401 - Alembic's own signature
        metadata = context.opts.get("target_metadata")
        if metadata is not None:
            found.extend(_told(one) for one in compare_metadata(context, metadata))
        return []

    connections = Connections("drift", 0, address, {"default_transaction_read_only": "on"})
    with connections.installed(), EnvironmentContext(project.config, project.script, fn=compare, as_sql=False):
        project.script.run_env()
    return found


def _told(difference: Any) -> str:  # noqa: ANN401 - a tuple, or a list of them
    if isinstance(difference, list):
        return "; ".join(_told(one) for one in difference)
    return " ".join(str(one) for one in difference if one is not None)
