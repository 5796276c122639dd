"""Questions about rows that follow from two schemas."""

from __future__ import annotations

from liftlock.broker.row_queries import RowsWanted
from liftlock.check.data_checks import data_checks, finding_of_answer, unchecked_findings
from liftlock.check.finding import Severity
from liftlock.model.lock import LockMode
from liftlock.model.operation import ColumnDetails, Operation
from liftlock.model.revision import Revision
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork
from liftlock.shadow.result import RevisionResult, RunResult
from liftlock.shadow.schema import Check, ForeignKey, Schema, SchemaColumn, Unique

COLUMN = SchemaColumn("t", "a", "text", not_null=False)
BEFORE = Schema(tables={1: "t", 2: "u"}, columns={(1, 1): COLUMN})


def result(after: Schema, *statements: ObservedStatement) -> RevisionResult:
    """Return the result of a revision that makes this schema."""
    run = RunResult(statements)
    return RevisionResult(Revision("r1"), "r1.py", alembic=run, before=BEFORE, after=after)


def with_column(**changes: object) -> Schema:
    """Return the schema with a changed column."""
    fields = {"table": "t", "name": "a", "type": "text", "not_null": False, **changes}
    return Schema(tables=BEFORE.tables, columns={(1, 1): SchemaColumn(**fields)})  # type: ignore[arg-type]


def test_not_null_asks_for_null() -> None:
    """One question for the column."""
    (check,) = data_checks(result(with_column(not_null=True)))
    assert check.question is not None
    assert check.question.rows is RowsWanted.NULL
    assert check.what == "have no a, which is to be not null"


def test_new_type_asks_for_values_that_do_not_fit() -> None:
    """Unless the new type holds all values."""
    (check,) = data_checks(result(with_column(type="integer")))
    assert check.asks_for_type
    assert check.question is not None
    assert check.question.type == "integer"


def test_expression_of_the_revision_is_not_asked() -> None:
    """It may call any function."""
    operation = Operation("alter_type", "t", "", details=ColumnDetails("a", using="a::int"))
    statement = ObservedStatement("", operation=operation, own=1)
    (check,) = data_checks(result(with_column(type="integer"), statement))
    assert check.question is None
    assert "expression" in check.unseen


def test_new_unique_and_foreign_key_are_asked() -> None:
    """Duplicates and orphans; a table that the revision creates has no rows."""
    unique = Unique(table="t", table_oid=1, name="u", columns=("a",), primary=False)
    key = ForeignKey(
        table="t",
        table_oid=1,
        name="k",
        columns=("a",),
        indexed=True,
        refers="u",
        refers_columns=("id",),
    )
    to_new = ForeignKey(
        table="t",
        table_oid=1,
        name="n",
        columns=("a",),
        indexed=True,
        refers="new",
        refers_columns=("id",),
    )
    after = Schema(
        tables={**BEFORE.tables, 3: "new"},
        columns=BEFORE.columns,
        uniques={10: unique},
        keys={11: key, 12: to_new},
    )
    same, orphaned, unseen = data_checks(result(after))
    assert same.question is not None
    assert same.question.rows is RowsWanted.SAME
    assert orphaned.question is not None
    assert orphaned.question.rows is RowsWanted.ORPHANED
    assert unseen.question is None


def test_check_constraint_is_reported_as_unchecked() -> None:
    """Its expression isn't sent to a real database."""
    constraint = Check(table="t", table_oid=1, name="c", columns=("a",))
    after = Schema(tables=BEFORE.tables, columns=BEFORE.columns, checks={10: constraint})
    (finding,) = unchecked_findings(result(after))
    assert finding.code == "LL-ROWS-NOT-CHECKED"
    assert "whether rows of t don't satisfy c" in finding.what


def test_type_that_the_server_changes_in_place_is_not_reported() -> None:
    """Only a rewrite may lose values."""
    rewritten = ObservedStatement("", work=ServerWork(rewrites=frozenset({"t"})))
    after = with_column(type="integer")
    assert list(unchecked_findings(result(after))) == []
    assert len(list(unchecked_findings(result(after, rewritten)))) == 1


def test_answer_is_a_note_when_the_revision_changes_rows() -> None:
    """It may correct them."""
    lock = ObservedLock("t", LockMode.ROW_EXCLUSIVE, oid=1)
    update = ObservedStatement("UPDATE t", taken=frozenset({lock}))
    after = with_column(not_null=True)
    for statements, severity in (((), Severity.ERROR), ((update,), Severity.NOTE)):
        revision = result(after, *statements)
        (check,) = data_checks(revision)
        finding = finding_of_answer(revision, check, "id=3", seen=True)
        assert (finding.code, finding.severity) == ("LL-ROWS-VIOLATE", severity)
        assert finding.what.endswith(":\nid=3")


def test_unanswered_question_is_a_note() -> None:
    """With the reason."""
    revision = result(with_column(not_null=True))
    (check,) = data_checks(revision)
    finding = finding_of_answer(revision, check, "lock timeout", seen=False)
    assert finding.code == "LL-ROWS-NOT-CHECKED"
    assert finding.what.endswith("was not checked: lock timeout")
