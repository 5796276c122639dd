"""Who waits, and for how long."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.rule import (
    Example,
    Match,
    Rule,
    find_statement,
    match,
    requires_value,
    truncates,
)
from liftlock.model.lock import LockMode
from liftlock.model.operation import first_words
from liftlock.shadow.result import RevisionResult

_CHANGES = frozenset({"execute", "connection", "update", "delete"})


def _blocks(checked: RevisionResult, way: str) -> Iterator[Match]:
    """Long work while a lock is held that the application feels; by plain Alembic also rows that are changed under one of before."""
    trial = checked.alembic if way == "plain" else checked.liftlock
    for one in trial.observed:
        changes = (
            way == "plain"
            and any(held.mode is LockMode.ROW_EXCLUSIVE for held in one.taken)
            and one.kind in _CHANGES
        )
        if not (one.work.long or changes) or requires_value(one) or truncates(one):
            continue
        does = one.work.told() or "changes rows"
        for who, relations in one.blocked.items():
            yield match(
                f"{who} of {', '.join(sorted(relations))} wait while the server {does}:\n{one.sql[:300]}",
                one,
            )


def _refused(checked: RevisionResult, way: str) -> Iterator[Match]:
    trial = checked.alembic if way == "plain" else checked.liftlock
    if trial.refusal is not None:
        yield Match(
            trial.refusal.what,
            now=trial.refusal.now,
            why=trial.refusal.why,
            code=trial.refusal.code,
        )


def _required(checked: RevisionResult, _way: str) -> Iterator[Match]:
    for one in checked.statements:
        if requires_value(one) and one.strongest:
            yield match(f"the new column can't be null and has no default:\n{one.sql[:300]}", one)


def _half_made(checked: RevisionResult, _way: str) -> Iterator[Match]:
    for table, name in sorted(checked.after.unproven - checked.before.unproven):
        yield Match(f"constraint {name} of {table} is left NOT VALID")
    for table, name in sorted(checked.after.broken - checked.before.broken):
        yield Match(f"index {name} of {table} is left invalid")


def _order(checked: RevisionResult, _way: str) -> Iterator[Match]:
    """A transaction that locks a second table while it holds a first."""
    held: dict[int, set[str]] = {}
    for one in checked.alembic.observed:
        first = held.setdefault(one.transaction, set())
        more = {
            lock.relation
            for lock in one.taken
            if lock.blocks != "nothing" and lock.kind in {"r", "p"}
        } - first
        if first and more:
            yield match(
                f"{', '.join(sorted(more))} is locked while {', '.join(sorted(first))} is held:\n{one.sql[:300]}",
                one,
            )
        first |= more


def _statistics(checked: RevisionResult, way: str) -> Iterator[Match]:
    trial = checked.alembic if way == "plain" else checked.liftlock
    analysed = {
        held.relation
        for one in trial.observed
        if first_words(one.sql) == ["ANALYZE"]
        for held in one.taken
    }
    for place, old in sorted(checked.before.columns.items()):
        new = checked.after.columns.get(place)
        if (
            new is not None
            and new.type != old.type
            and new.table not in analysed
            and not new.inherited
        ):
            one = find_statement(checked, {"alter_type"}, place[0], (old.name,), old.name)
            yield match(f"{new.table}.{new.name} has a new type, and no statistics", one)


RULES = (
    Rule(
        "LL-BLOCKS-TRAFFIC",
        "the application waits while a table is worked through",
        Severity.ERROR,
        "The time grows with the table, and every query that needs it waits, as do those behind them.",
        "Write it as an operation of Alembic, whose online form liftlock knows: op.create_index, op.create_check_constraint and so on.",
        _blocks,
        bad=Example(
            """op.execute("CREATE INDEX ix_email ON person (email)")""",
            """op.execute("DROP INDEX ix_email")""",
        ),
        good=Example(
            """op.create_index("ix_email", "person", ["email"])""",
            """op.drop_index("ix_email")""",
        ),
    ),
    Rule(
        "LL-REVISION-FAILS",
        "the revision doesn't run",
        Severity.ERROR,
        "It would end the same way in production.",
        "Read the error.",
        _refused,
        bad=Example(
            """op.execute("ALTER TABLE person ADD COLUMN age integer")""",
            """pass""",
        ),
        good=Example(
            """op.execute("ALTER TABLE person ADD COLUMN size integer")""",
            """op.drop_column("person", "size")""",
        ),
        placed=False,
    ),
    Rule(
        "LL-NOT-NULL-WITHOUT-DEFAULT",
        "a new column needs a value for rows that are there",
        Severity.ERROR,
        "The statement fails as soon as the table has a row, and the running release doesn't fill the column.",
        "Give it a server_default, or let it be null at first.",
        _required,
        bad=Example(
            """op.add_column("person", sa.Column("size", sa.Integer, nullable=False))""",
            """op.drop_column("person", "size")""",
        ),
        good=Example(
            """op.add_column("person", sa.Column("size", sa.Integer, server_default="0", nullable=False))""",
            """op.drop_column("person", "size")""",
        ),
    ),
    Rule(
        "LL-LEFT-INVALID",
        "something is left unproven or invalid",
        Severity.WARNING,
        "Queries can't rely on it; and rows that break an unproven constraint can't be updated any more.",
        "Validate the constraint, or leave the option away: liftlock adds it unproven, and validates it online.",
        _half_made,
        bad=Example(
            """op.execute("ALTER TABLE person ADD CONSTRAINT old CHECK (age > 0) NOT VALID")""",
            """op.execute("ALTER TABLE person DROP CONSTRAINT old")""",
        ),
        good=Example(
            """op.create_check_constraint("old", "person", "age > 0")""",
            """op.drop_constraint("old", "person")""",
        ),
        placed=False,
    ),
    Rule(
        "LL-MULTIPLE-TABLE-LOCKS",
        "one transaction locks several tables",
        Severity.NOTE,
        "An application that uses them in another order deadlocks with it; and the first is locked until the last has been got.",
        "One table in a revision; or run it by liftlock, which gives way within its stall budget, and tries again.",
        _order,
        bad=Example(
            """op.add_column("country", sa.Column("x", sa.Text))\nop.add_column("person", sa.Column("x", sa.Text))""",
            """op.drop_column("person", "x")\nop.drop_column("country", "x")""",
        ),
        good=Example(
            """op.add_column("person", sa.Column("x", sa.Text))\nop.add_column("person", sa.Column("y", sa.Text))""",
            """op.drop_column("person", "y")\nop.drop_column("person", "x")""",
        ),
        only="plain",
    ),
    Rule(
        "LL-STATISTICS-LOST",
        "a column's statistics are gone",
        Severity.NOTE,
        "A change of type drops them, also where the table isn't rewritten; until the next ANALYZE, plans may be bad ones.",
        'ANALYZE the column at once: op.execute("ANALYZE person (email)"). Of op.alter_column, liftlock does it.',
        _statistics,
        bad=Example(
            """op.execute("ALTER TABLE person ALTER COLUMN email TYPE text")""",
            """op.execute("ALTER TABLE person ALTER COLUMN email TYPE varchar(50)")""",
        ),
        good=Example(
            """op.alter_column("person", "email", type_=sa.Text())""",
            """op.alter_column("person", "email", type_=sa.String(50))""",
        ),
    ),
)
