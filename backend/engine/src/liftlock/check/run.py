"""Run of a check: select revisions, run them on a shadow, apply the rules."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import psycopg

from liftlock.broker.client import DataBroker
from liftlock.broker.process import status_of
from liftlock.broker.table_size import Size
from liftlock.check.chain_run import ChainRun
from liftlock.check.clock import Clock
from liftlock.check.data_checks import data_checks, finding_of_answer, unchecked_findings
from liftlock.check.finding import Finding
from liftlock.check.report import Report
from liftlock.check.rules import (
    RULES,
    edited_after_merge,
    models_differ,
    multiple_heads,
    no_offline_sql,
    rows_not_checked,
)
from liftlock.check.selection import Selection, prefix, select
from liftlock.check.timeline import estimates
from liftlock.errors import LiftlockError
from liftlock.events import Notify
from liftlock.postgres.signals import Signals
from liftlock.revisions.build import address_of, build_of
from liftlock.revisions.connections import no_engine_connects
from liftlock.revisions.project import Project, load
from liftlock.revisions.project_config import ProjectConfig, project_config
from liftlock.settings import Address, Settings
from liftlock.shadow.base_state import shadow_at
from liftlock.shadow.result import RevisionResult
from liftlock.shadow.runner import ShadowRunner
from liftlock.shadow.schema import Schema


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Options of a check.

    Parameters:
        way: how the revisions will be run in production: by ``plain`` Alembic, or by ``liftlock``.
        chain: check the whole chain from its base, and whether it can be rendered as SQL.
        data: asks a real database about its rows; None to ask none.
        server: server of the shadow; the embedded server by default.
        x_arguments: values of Alembic's ``-x``, which ``env.py`` can read.
    """

    way: str = "liftlock"
    chain: bool = False
    data: DataBroker | None = None
    server: Address | None = None
    x_arguments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Observed:
    """Results of the runs on a shadow.

    Parameters:
        results: the revisions that ran.
        postgres: version of the server.
        differences: differences between the models and the schema.
        offline_error: error of rendering the chain as SQL; empty for none.
    """

    results: tuple[RevisionResult, ...]
    postgres: str
    differences: list[str]
    offline_error: str


@dataclass(slots=True)
class CheckRun:
    """One check.

    Parameters:
        settings: the settings.
        options: the options.
        interrupts: signals that stop it.
        notify: is called with each event.
        clock: measures the parts.
    """

    settings: Settings
    options: CheckOptions
    interrupts: Signals
    notify: Notify
    clock: Clock

    def report(self, wanted: str) -> Report:
        """Check revisions and return the report.

        Parameters:
            wanted: the revisions, as ``selection.select`` takes them.
        """
        with self.clock.part("load"), no_engine_connects():
            project = load(self.settings.config, self.options.x_arguments)
            config = project_config(project)
            selection = select(project, wanted, self._pending)
        heads = multiple_heads.find(project.chain.heads)
        if not selection.revisions:
            findings = tuple(_of_chain(project, config, heads))
            return self._report(selection, findings=findings)
        observed = self._observe(project, selection)
        excused = config.excused
        judged = [
            result
            for result in observed.results
            if result.revision.id in selection.chosen - excused
        ]
        findings_of_chain = (
            *heads,
            *models_differ.find(observed.differences),
            *no_offline_sql.find(observed.offline_error),
        )
        sizes, findings_of_rows = self._ask_database(judged, observed.results[0].before)
        findings = (
            *self._apply_rules(judged, config),
            *_of_chain(project, config, findings_of_chain),
            *(_allowed(finding, config) for finding in findings_of_rows),
        )
        return self._report(selection, observed, judged, findings, sizes)

    def _report(
        self,
        selection: Selection,
        observed: _Observed | None = None,
        judged: Sequence[RevisionResult] = (),
        findings: tuple[Finding, ...] = (),
        sizes: dict[str, Size] | None = None,
    ) -> Report:
        return Report(
            selected=selection.text,
            way=self.options.way,
            postgres=observed.postgres if observed else "",
            seconds=self.clock.seconds,
            checked=observed.results if observed else (),
            findings=findings,
            sizes=sizes or {},
            estimates=estimates(judged, sizes or {}),
            prefix=prefix(),
        )

    def _pending(self) -> tuple[frozenset[str] | None, str]:
        """Return what is pending on the real database, else on the project's own, with a text."""
        try:
            build = build_of(self.settings)
            if self.options.data is not None:
                status = self.options.data.status(build)
            else:
                status = status_of(address_of(self.settings), build)
        except (psycopg.Error, LiftlockError) as error:
            reason = str(error).strip().splitlines()[0]
            return (
                None,
                f"all revisions, since neither git nor a database says what is new: {reason}",
            )
        if status.foreign:
            return None, f"all revisions, since {status.address} has some that no file has"
        return status.pending, f"what is pending on {status.address}"

    def _observe(self, project: Project, selection: Selection) -> _Observed:
        """Run the selected revisions on a shadow."""
        runner = ShadowRunner(project, self.settings, self.interrupts)
        data = self.options.data
        ports = data.ports if data is not None else ()
        with contextlib.ExitStack() as stack:
            with self.clock.part("shadow"):
                shadow = stack.enter_context(
                    shadow_at(runner, selection.base, self.notify, self.options.server, ports)
                )
            run = ChainRun(project, selection, runner, shadow, self.notify, self.clock)
            results = tuple(run.results())
            offline_error = ""
            if self.options.chain:
                with self.clock.part("offline"):
                    offline_error = runner.offline_error(shadow.base)
            with self.clock.part("shadow"):
                stack.close()
        return _Observed(results, shadow.version, run.differences, offline_error)

    def _apply_rules(
        self, judged: Sequence[RevisionResult], config: ProjectConfig
    ) -> Iterator[Finding]:
        for result in judged:
            for rule in (*RULES, edited_after_merge.RULE):
                yield from rule.findings(result, self.options.way, config.allowances)

    def _ask_database(
        self, judged: Sequence[RevisionResult], base: Schema
    ) -> tuple[dict[str, Size], list[Finding]]:
        """Return the sizes of tables and the findings about rows; neither without a database."""
        data = self.options.data
        if data is None:
            return {}, [finding for result in judged for finding in unchecked_findings(result)]
        with self.clock.part("data"):
            findings = list(_findings_in_rows(data, judged, base))
            sizes, reason = data.table_sizes(sorted(_tables_locked(judged)))
        if reason:
            findings.append(rows_not_checked.sizes_unknown(reason))
        return sizes, findings


def _findings_in_rows(
    data: DataBroker, judged: Sequence[RevisionResult], base: Schema
) -> Iterator[Finding]:
    """Ask a database about its rows.

    Parameters:
        data: asks it.
        judged: the revisions.
        base: the schema before the first revision; tables created later have no rows there.
    """
    for result in judged:
        for check in data_checks(result):
            if check.table_oid not in base.tables:
                continue
            if check.question is None:
                yield finding_of_answer(result, check, check.unseen, seen=False)
                continue
            answer, seen = data.find_rows(check.question)
            if answer:
                yield finding_of_answer(result, check, answer, seen=seen)


def _tables_locked(judged: Sequence[RevisionResult]) -> set[str]:
    runs = (run for result in judged for run in (result.alembic, result.liftlock))
    statements = (statement for run in runs for statement in run.observed)
    return {lock.relation for statement in statements for lock in statement.held}


def _of_chain(
    project: Project, config: ProjectConfig, findings: Iterable[Finding]
) -> Iterator[Finding]:
    """Yield findings about the whole chain; their place is ``alembic.ini``, which names it."""
    path = os.path.relpath(str(project.config.config_file_name))
    return (_allowed(replace(finding, path=path), config) for finding in findings)


def _allowed(finding: Finding, config: ProjectConfig) -> Finding:
    """Return a finding with the reason for which ``alembic.ini`` allows it."""
    return replace(finding, because=config.reason(finding.code, finding.revision))
