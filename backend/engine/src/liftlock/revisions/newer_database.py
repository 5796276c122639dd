"""Databases that have revisions which this build doesn't know."""

from __future__ import annotations

from collections.abc import Sequence

from alembic.runtime.migration import MigrationContext

from liftlock.errors import SettingsError
from liftlock.model.revision import Chain, SchemaState, schema_state
from liftlock.postgres.advisory_lock import MigrationLock
from liftlock.postgres.applied import applied, chain_of, describe_applied
from liftlock.postgres.standing import unknown_revision
from liftlock.revisions.migration_context import script_of
from liftlock.revisions.project import revision_of


def describe_newer(
    context: MigrationContext,
    lock: MigrationLock,
    version_table: str,
    heads: Sequence[str],
    command: str,
) -> str:
    """Return one line if the database is newer than this build and has all that it needs.

    Parameters:
        context: the migration context.
        lock: the single-flight lock, whose session reads the ledger.
        version_table: its name.
        heads: its rows.
        command: the command of the run.

    Returns:
        The line; empty if this build knows all revisions of the database.

    Raises:
        SettingsError: the database has revisions that this build doesn't know, and the ledger
            doesn't say how they relate; or they would have to be reverted.
    """
    chain = Chain.of(revision_of(script) for script in script_of(context).walk_revisions())
    if set(heads) <= set(chain.revisions):
        return ""
    recorded = applied(lock.session, version_table)
    newer = [row for row in recorded if row.revision.id not in chain.revisions]
    state = schema_state(chain, chain.heads, frozenset(heads), chain_of(recorded))
    if state is not SchemaState.NEWER:
        raise unknown_revision(frozenset(heads), chain.heads)
    described = describe_applied(newer)
    if command == "downgrade":
        raise SettingsError(
            "LL-DATABASE-NEWER",
            f"The database is newer than this build: it also has {described}.",
            why="Only the build that has these revisions can revert them.",
            now="Run the downgrade with that build.",
        )
    return f"the database is newer than this build and has all that it needs; also {described}"
