"""Plans the revisions of a migration context: nothing is sent but queries of the catalog."""

from __future__ import annotations

from typing import Any

from alembic.runtime.migration import MigrationContext, RevisionStep

from liftlock.execution.connection import ProjectConnection
from liftlock.execution.fact_collector import FactCollector
from liftlock.execution.transaction import roll_back_open
from liftlock.model.operation import Operation
from liftlock.model.plan import PlannedOperation, RevisionPlan
from liftlock.planning.plan import plan
from liftlock.revisions.handlers import NeedsDatabase, PlanningHandler
from liftlock.revisions.migration_context import connection_of, steps_of, version_table_of
from liftlock.revisions.project_transaction import CustomSettings, take_over_transaction
from liftlock.revisions.recorder import Recorder
from liftlock.revisions.repetition import RunReport
from liftlock.settings import Settings


class PlannedRun:
    """Plans revisions instead of running them.

    Parameters:
        settings: the settings of liftlock.
        custom: the parameters of two-part names that env.py sets.
    """

    def __init__(self, settings: Settings, custom: CustomSettings) -> None:
        self._settings = settings
        self._custom = custom
        self.reports: list[RunReport] = []
        self.plans: list[RevisionPlan] = []

    def run(self, context: MigrationContext, **arguments: Any) -> None:  # noqa: ANN401 - the project's
        """Take the place of the context's ``run_migrations``."""
        with take_over_transaction(context, self._custom):
            connection = connection_of(context)
            heads = context.get_current_heads()
            version_table = version_table_of(context)
            self.reports.append(RunReport(version_table, frozenset(heads), frozenset(heads)))
            project = ProjectConnection(connection)
            facts = FactCollector(project, self._settings.small_table, self._settings.allow)
            for step in steps_of(context, heads):
                if isinstance(step, RevisionStep):
                    self.plans.append(_plan_of(context, project, facts, step, arguments))
            roll_back_open(connection)

    def finish(self) -> None:
        """Do nothing: nothing was changed."""

    def close(self) -> None:
        """Do nothing: no lock was taken."""


def _plan_of(
    context: MigrationContext,
    connection: ProjectConnection,
    facts: FactCollector,
    step: RevisionStep,
    arguments: dict[str, Any],
) -> RevisionPlan:
    """Plan one revision, as far as it doesn't depend on the results of queries."""
    planned: list[PlannedOperation] = []

    def collect(operation: Operation) -> None:
        known = facts.facts(operation)
        creates_table = facts.creates_table(operation)
        table = known.tables.get(operation.relation)
        planned.append(PlannedOperation(operation, plan(operation, known), table))
        if creates_table:
            facts.note_planned(operation.relation)

    facts.begin_attempt()
    needs_database = False
    recorder = Recorder(context, connection, PlanningHandler(collect), step.revision.path)
    try:
        with recorder.recording():
            step.migration_fn(**arguments)
    except NeedsDatabase:
        needs_database = True
    return RevisionPlan(step.revision.revision, tuple(planned), needs_database)
