"""Judge revisions before they run anywhere: PostgreSQL itself says what they do, on a shadow."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg

from liftlock.broker.client import DataBroker
from liftlock.broker.process import status_of
from liftlock.broker.table_size import Size
from liftlock.check.data_checks import data_checks, found_in_rows, unchecked_findings, unknown_sizes
from liftlock.check.finding import Finding
from liftlock.check.report import Report
from liftlock.check.rules import RULES
from liftlock.check.rules.chain import of_heads, of_models, of_offline
from liftlock.check.rules.repeatability import EDITED
from liftlock.check.selection import Selection, prefix, select
from liftlock.check.timeline import estimated
from liftlock.errors import LiftlockError
from liftlock.events import Event, Notify
from liftlock.postgres.session import Session, connect, execute
from liftlock.postgres.signals import Signals
from liftlock.revisions.build import address_of, build_of
from liftlock.revisions.connections import no_engine_connects
from liftlock.revisions.project import Project, load
from liftlock.revisions.project_config import ProjectConfig, project_config
from liftlock.settings import Address, Settings
from liftlock.shadow.base_state import shadow_at
from liftlock.shadow.database import Roles, Shadow
from liftlock.shadow.dump import difference
from liftlock.shadow.result import DowngradeResult, RevisionResult
from liftlock.shadow.runner import ShadowRun, ShadowRunner
from liftlock.shadow.schema import Schema, schema


def check(
    settings: Settings,
    wanted: str = "",
    *,
    way: str = "liftlock",
    chain: bool = False,
    data: DataBroker | None = None,
    server: Address | None = None,
    interrupts: Signals,
    notify: Notify,
    x_arguments: Sequence[str] = (),
) -> Report:
    """Try revisions on a shadow, and judge what the server reports.

    Parameters:
        settings: the environment's.
        wanted: ``a:b``, a single revision, or nothing: what is new against git's main branch, else what is pending, else all.
        way: how they are to be run in production: by ``plain`` Alembic, or by ``liftlock``.
        chain: check the chain as a whole, from its base, and whether it can be written down as SQL.
        data: keeps the address of a real database, or a replica of one, whose rows are looked at.
        server: where the revisions are tried; the embedded server by default.
        interrupts: stops it.
        notify: is told what happens.
        x_arguments: what Alembic's ``-x`` passes to ``env.py``.

    Raises:
        LiftlockError: the project can't be loaded, its base can't be built, or there is no server.
    """
    clock = Clock()
    with clock.part("load"), no_engine_connects():
        project = load(settings.config, x_arguments)
        configured = project_config(project)
        selection = select(
            project, "base:heads" if chain else wanted, functools.partial(_pending, settings, data)
        )
    trials = ShadowRunner(project, settings, interrupts)
    if not selection.revisions:
        found = _whole(project, configured, of_heads(project.chain.heads))
        return Report(selection.told, way, "", clock.seconds, (), tuple(found), prefix=prefix())
    with contextlib.ExitStack() as stack:
        with clock.part("shadow"):
            shadow = stack.enter_context(
                shadow_at(trials, selection.base, notify, server, data.ports if data else ())
            )
        run = _Check(project, selection, trials, shadow, notify, clock)
        checked = tuple(run.tried())
        version, offline = shadow.version, ""
        if chain:
            with clock.part("offline"):
                offline = trials.offline_error(shadow.base)
        with clock.part("shadow"):
            stack.close()
    judged = [one for one in checked if one.revision.id in selection.chosen - configured.excused]
    findings = [
        one
        for revision in judged
        for rule in (*RULES, EDITED)
        for one in rule.findings(revision, way, configured.allowances)
    ]
    findings += _whole(
        project,
        configured,
        (*of_heads(project.chain.heads), *of_models(run.models), *of_offline(offline)),
    )
    sizes: dict[str, Size] = {}
    if data is None:
        seen = [note for one in judged for note in unchecked_findings(one)]
    else:
        with clock.part("data"):
            sizes, seen = _against(data, judged, checked[0].before)
    findings += (replace(one, because=configured.reason(one.code, one.revision)) for one in seen)
    return Report(
        selection.told,
        way,
        version,
        clock.seconds,
        checked,
        tuple(findings),
        sizes,
        estimated(judged, sizes),
        prefix(),
    )


def _whole(
    project: Project, configured: ProjectConfig, findings: Iterable[Finding]
) -> Iterator[Finding]:
    """What is found of the chain as a whole; it stands where the chain is named."""
    path = os.path.relpath(str(project.config.config_file_name))
    return (replace(one, path=path, because=configured.reason(one.code)) for one in findings)


def _pending(settings: Settings, data: DataBroker | None) -> tuple[frozenset[str] | None, str]:
    """What is pending on the real database, else on the project's own, and how that is told; None where it can't be asked."""
    try:
        build = build_of(settings)
        seen = data.status(build) if data is not None else status_of(address_of(settings), build)
    except (psycopg.Error, LiftlockError) as error:
        reason = str(error).strip().splitlines()[0]
        return None, f"all revisions, since neither git nor a database says what is new: {reason}"
    if seen.foreign:
        return None, f"all revisions, since {seen.address} has some that no file has"
    return seen.pending, f"what is pending on {seen.address}"


def _against(
    data: DataBroker, judged: Sequence[RevisionResult], base: Schema
) -> tuple[dict[str, Size], list[Finding]]:
    """What the rows of a real database say to the revisions, and how large its tables are.

    Parameters:
        data: asks it.
        judged: the revisions.
        base: the schema before the first that was tried: what isn't of it has no rows there.
    """
    findings = []
    for one in judged:
        for hazard in (each for each in data_checks(one) if each.table_oid in base.tables):
            text, seen = (
                data.find_rows(hazard.question) if hazard.question else (hazard.unseen, False)
            )
            if text:
                findings.append(found_in_rows(one, hazard, text, seen=seen))
    named = {
        held.relation
        for one in judged
        for trial in (one.alembic, one.liftlock)
        for seen in trial.observed
        for held in seen.held
    }
    sizes, error = data.table_sizes(sorted(named))
    return sizes, [*findings, *unknown_sizes(error)]


class Clock:
    """How long the parts of a check took, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is done meanwhile belongs to this part."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0) + time.monotonic() - begun


@dataclass(slots=True)
class _Check:
    """One check.

    Parameters:
        project, selection: what is checked.
        trials: run it.
        shadow: where.
        notify: is told what happens.
        clock: is told how long it takes.
        models: what the models want that the revisions don't make, once all of these have run.
    """

    project: Project
    selection: Selection
    trials: ShadowRunner
    shadow: Shadow
    notify: Notify
    clock: Clock
    models: list[str] = field(default_factory=list)

    def tried(self) -> Iterator[RevisionResult]:
        """Each revision in turn, with what went before it as it was made by who could; one that nobody can run ends it."""
        plain, clock, trials = self.shadow.base, self.clock, self.trials
        with contextlib.ExitStack() as stack:
            roles = Roles(self.shadow.server)
            with clock.part("shadow"):
                trials.run_env(plain)
                ours = stack.enter_context(self.shadow.copied(plain))
            with clock.part("schema"):
                before, dump = self._schema(plain), trials.dump(plain)
            for number, name in enumerate(self.selection.revisions, 1):
                self.notify(
                    Event(
                        "revision.checked",
                        f"trying {name} ({number} of {len(self.selection.revisions)})",
                    )
                )
                with clock.part("plain"):
                    one = trials.run(plain, name, plain=True)
                if (
                    one.trial.refusal is not None
                ):  # what comes after will be a copy of liftlock's, where things have other identities
                    before, dump = self._schema(ours), trials.dump(ours)
                with clock.part("liftlock"), roles.others(seen.sql for seen in one.trial.observed):
                    other = trials.run(ours, name, plain=False)
                checked = self._checked(name, one, other, before)
                if one.trial.refusal is not None and other.trial.refusal is not None:
                    yield replace(checked, after=before)
                    return
                if one.trial.refusal is not None:
                    plain = stack.enter_context(self.shadow.copied(ours))
                with clock.part("schema"):
                    after, made = self._schema(plain), trials.dump(plain)
                yield replace(
                    checked,
                    after=after,
                    changes=difference(dump, made),
                    downgrade=self._back(number, checked, dump, plain),
                )
                before, dump = after, made
                if other.trial.refusal is not None and number < len(self.selection.revisions):
                    ours = stack.enter_context(self.shadow.copied(plain))

    def _checked(
        self, name: str, one: ShadowRun, other: ShadowRun, before: Schema
    ) -> RevisionResult:
        found = self.project.script.get_revision(name)
        return RevisionResult(
            self.project.chain.revisions[name],
            os.path.relpath(found.path if found is not None else ""),
            one.operations,
            one.trial,
            other.trial,
            other.operations if one.trial.refusal is None and other.trial.refusal is None else (),
            before,
            edited=name in self.selection.edited,
        )

    def _back(
        self, number: int, checked: RevisionResult, dump: str, plain: Address
    ) -> DowngradeResult:
        """Its downgrade; the last one's is tried in the database itself, which nobody needs any more when the models were compared."""
        chain, revision = self.project.chain, checked.revision
        there, last = (
            {*self.selection.base, *self.selection.revisions[:number]},
            number == len(self.selection.revisions),
        )
        if last and chain.ancestors(chain.heads) <= there:
            with self.clock.part("models"):
                self.models += self.trials.model_differences(plain, read_only=False)
        with (
            self.clock.part("downgrade"),
            contextlib.nullcontext(plain) if last else self.shadow.copied(plain) as copy,
        ):
            target = revision.down[0] if revision.down else "base"
            return self.trials.downgrade(
                copy, revision.id, target, dump, plain=checked.alembic.refusal is None
            )

    def _schema(self, address: Address) -> Schema:
        with contextlib.closing(connect(address, "check")) as session:
            return schema(functools.partial(_rows, session), self.trials.version_table)


def _rows(
    session: Session, statement: str, parameters: Mapping[str, object]
) -> list[dict[str, Any]]:
    return execute(session, statement, parameters).fetchall()
