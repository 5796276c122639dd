"""LL-MIXED-PHASES: one revision has changes of the expand phase and of the contract phase."""

from __future__ import annotations

from collections.abc import Iterator

from liftlock.check.finding import Severity
from liftlock.check.rules.breaking_changes import breaking_changes
from liftlock.check.rules.matching import RAW_KINDS, TABLE_CHANGE_LOCKS, column_of, match_at
from liftlock.check.rules.rule import Example, Match, Rule
from liftlock.shadow.observed import ObservedStatement
from liftlock.shadow.result import RevisionResult
from liftlock.sql import excerpt, has_keyword

_REMOVALS = ("DROP", "RENAME", "TRUNCATE", "COMMENT")
_GO_WITH_REMOVALS = frozenset(
    {
        "rename_table",
        "rename_column",
        "drop_table",
        "drop_column",
        "alter_nullable",
        "alter_type",
        "drop_constraint",
        "drop_index",
        "drop_not_null",
        "comment",
    }
)
"""Operations that often prepare a removal, such as dropping the index of a column."""
_TABLES = frozenset({"r", "p"})  # of pg_class.relkind: ordinary and partitioned tables


def find(result: RevisionResult, _way: str) -> Iterator[Match]:
    """Yield one match when a revision has both kinds of changes."""
    changes = (change.statement for change in breaking_changes(result))
    breaking = [statement for statement in changes if statement is not None]
    columns = {
        (statement.own, column_of(statement)) for statement in breaking if column_of(statement)
    }
    others = [
        statement
        for statement in result.statements
        if statement not in breaking
        and _expands(statement)
        and (statement.own, column_of(statement)) not in columns
    ]
    if breaking and others:
        lines = f"line {breaking[0].line or '?'} breaks the running release, and line"
        what = f"{lines} {others[0].line or '?'} doesn't:\n{excerpt(others[0].sql)}"
        yield match_at(what, breaking[0])


def _expands(statement: ObservedStatement) -> bool:
    """Tell whether a statement creates a table or adds something to one."""
    if statement.kind in _GO_WITH_REMOVALS:
        return False
    if statement.kind in RAW_KINDS:
        return _changes_a_table(statement) and not has_keyword(statement.sql, *_REMOVALS)
    return statement.kind == "create_table" or statement.strongest in TABLE_CHANGE_LOCKS


def _changes_a_table(statement: ObservedStatement) -> bool:
    return any(lock.mode in TABLE_CHANGE_LOCKS and lock.kind in _TABLES for lock in statement.taken)


RULE = Rule(
    code="LL-MIXED-PHASES",
    title="Breaking and non-breaking changes in one revision",
    severity=Severity.WARNING,
    why="The non-breaking changes can't be shipped before the breaking ones, and those can't be"
    " postponed.",
    now="Split it into two revisions: one that adds, to run before the new release starts, and one"
    " that removes, to run when the last container of the old release has stopped.",
    judge=find,
    bad=Example(
        upgrade='op.add_column("person", sa.Column("name", sa.Text))\n'
        'op.drop_column("person", "nick")',
        downgrade='op.drop_column("person", "name")\n'
        'op.add_column("person", sa.Column("nick", sa.Text))',
    ),
    good=Example(
        upgrade='op.add_column("person", sa.Column("name", sa.Text))',
        downgrade='op.drop_column("person", "name")',
    ),
)
