"""A plan, for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.model.plan import RevisionPlan
from liftlock.model.revision import Revision
from liftlock.planning import cost
from liftlock.planning.plan import phase_of


def lines(revision: Revision, look: RevisionPlan) -> Iterator[tuple[str, bool]]:
    """A revision's steps, line by line, and whether a line is bold."""
    yield f"{revision.id}  {revision.message}  ({phase_of(look.steps).value})", True
    for one in look.operations:
        there = one.table is not None and not one.table.created_by_run
        size = f", {_size(one.table.bytes)}" if one.table and there else ""
        yield f"  {one.operation.kind} {one.operation.table or ''}{size}", False
        for number, step in enumerate(one.steps, 1):
            lock = (
                f"{step.lock.value}, blocks {step.lock.blocks}"
                if step.lock
                else "no lock that others feel"
            )
            long = (
                f", {cost.describe_duration(cost.seconds_of_step(step, one.table))}"
                if there
                else ""
            )
            yield (
                f"    {number}. {step.name}  [{step.pace.value}{long}, {step.phase.value}; {lock}]",
                False,
            )
            yield from (
                (f"         {line}", False)
                for sql in (step.sql, *step.more_sql)
                for line in sql.splitlines()
                if line.strip()
            )
    if look.asks:
        yield (
            "  …  the rest depends on what the database answers, and is planned when it runs",
            False,
        )


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.0f} TB"
