from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from liftlock.errors import SettingsError, UnsafeRevision
from liftlock.model.operation import Operation
from liftlock.model.step import Pace, Step
from liftlock.postgres.cursor import Cursor
from liftlock.postgres.ledger import FORMAT, Ledger, OperationProgress, StepRecord
from liftlock.postgres.queries import LEDGER

KEY = ("shape", 0)
STEP = Step("validate", "SELECT 1", Pace.BRIEF, None)
NAMES = {text: name for name, text in LEDGER.items()}
BEGUN = {"id": 7, "revision": "b2", "direction": "up", "source": "old"}


class Connection:
    """A connection that answers the ledger's named statements, and keeps what it was sent."""

    def __init__(self, **answers: list[dict[str, Any]]) -> None:
        self.answers = answers
        self.sent: list[tuple[str, Mapping[str, object]]] = []

    def __call__(
        self, statement: str, parameters: Mapping[str, object]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the answer."""
        name = NAMES.get(statement, "part of a script")
        self.sent.append((name, parameters))
        return self.answers.get(name, [])

    @property
    def names(self) -> list[str]:
        """The names of the statements that were sent."""
        return [name for name, _ in self.sent]


def ledger(connection: Connection) -> Ledger:
    """Return the ledger of a version table."""
    return Ledger(connection, "public.alembic_version")


def test_a_current_ledger_is_not_changed() -> None:
    """A run with nothing to do takes no lock."""
    connection = Connection(present=[{"found": 1}], version=[{"max": FORMAT}])
    ledger(connection).prepare()
    assert connection.names == ["present", "version"]


def test_a_missing_ledger_is_created_and_an_older_one_is_upgraded() -> None:
    """Statement by statement."""
    connection = Connection(version=[{"max": 1}])
    ledger(connection).prepare()
    created = LEDGER["create"].count(";\n") + 1
    assert connection.names.count("part of a script") == created + 2


def test_a_newer_ledger_is_refused() -> None:
    """Its rows would be written in the old format."""
    connection = Connection(present=[{"found": 1}], version=[{"max": FORMAT + 1}])
    with pytest.raises(SettingsError) as caught:
        ledger(connection).prepare()
    assert caught.value.code == "LL-LEDGER-NEWER"


@pytest.mark.parametrize(
    ("direction", "present", "finished"),
    [
        ("up", {"b2"}, "upgrade of b2"),
        ("up", set(), ""),
        ("down", set(), "downgrade of b2"),
        ("down", {"b2"}, ""),
    ],
)
def test_a_stamped_revision_is_finished(direction: str, present: set[str], finished: str) -> None:
    """If the version table contains the result of its direction."""
    connection = Connection(unfinished=[BEGUN | {"direction": direction}])
    assert ledger(connection).accept_stamped(lambda: frozenset(present)) == finished
    assert ("finish_execution" in connection.names) is bool(finished)


def test_a_revision_without_earlier_attempts_has_no_progress() -> None:
    """Nothing is written either."""
    connection = Connection()
    progress = ledger(connection).resume("b2", "up", "source")
    assert (progress.execution, progress.steps, progress.results) == (None, {}, {})
    assert connection.names == ["unfinished"]


def test_an_execution_whose_steps_were_undone_is_removed() -> None:
    """Another revision may run then."""
    connection = Connection(unfinished=[BEGUN])
    assert ledger(connection).resume("x9", "up", "source").execution is None
    assert connection.names[-1] == "forget_execution"


def test_another_unfinished_revision_is_refused() -> None:
    """The schema is between two revisions."""
    connection = Connection(unfinished=[BEGUN], answers=[{"shape": "s", "occurrence": 0}])
    with pytest.raises(UnsafeRevision, match="upgrade of b2") as caught:
        ledger(connection).resume("c3", "up", "source")
    assert caught.value.code == "LL-OTHER-REVISION-UNFINISHED"
    assert "liftlock upgrade b2" in caught.value.now


def test_the_progress_of_earlier_attempts_is_returned() -> None:
    """Steps, planned steps, cursors and query results; and that the file has changed."""
    cursor = Cursor("item", 10, at=("5",))
    row = {"shape": "shape", "occurrence": 0, "fingerprint": "f", "recipe": None, "cursor": None}
    connection = Connection(
        unfinished=[BEGUN],
        steps=[
            row | {"part": 0, "finished": True, "recipe": json.dumps([STEP.as_dict()])},
            row | {"part": 1, "finished": False, "cursor": cursor.dumps()},
        ],
        answers=[{"shape": "q", "occurrence": 1, "fingerprint": "g", "body": "[]"}],
    )
    progress = ledger(connection).resume("b2", "up", "new")
    assert (progress.execution, progress.changed) == (7, True)
    assert progress.results == {("q", 1): ("g", "[]")}
    assert progress.steps == {
        KEY: OperationProgress((STEP,), {0: True, 1: False}, {0: None, 1: cursor}, "f")
    }


def test_an_execution_is_recorded_once() -> None:
    """At the first commit of the revision."""
    connection = Connection(begin_execution=[{"id": 8}])
    written = ledger(connection)
    progress = written.resume("b2", "up", "source")
    written.begin(progress)
    written.begin(progress)
    assert progress.execution == 8
    assert connection.names.count("begin_execution") == 1


@pytest.mark.parametrize("recipe", [(), (STEP,)])
def test_a_step_is_recorded_with_the_recipe_of_its_operation(recipe: tuple[Step, ...]) -> None:
    """The first step of the operation has it."""
    connection = Connection(begin_run=[{"id": 3}])
    written = ledger(connection)
    written.begin_run("upgrade", "v7")
    progress = replace(written.resume("b2", "up", "source"), execution=7)
    operation = Operation("execute", None, "SELECT 1")
    written.add_step(progress, StepRecord(KEY, 0, 4, operation, STEP, recipe))
    name, row = connection.sent[-1]
    assert name == "add_step"
    assert (row["execution"], row["run"], row["position"], row["part"]) == (7, 3, 4, 0)
    assert row["recipe"] == (json.dumps([STEP.as_dict()]) if recipe else None)


def test_a_cursor_is_recorded_as_json() -> None:
    """In the row of its step."""
    connection = Connection()
    written = ledger(connection)
    cursor = Cursor("item", 10, at=("5",))
    written.advance(written.resume("b2", "up", "source"), KEY, 1, cursor)
    name, row = connection.sent[-1]
    assert name == "advance"
    assert Cursor.loads(str(row["cursor"])) == cursor


def test_a_finished_revision_keeps_no_results_and_recipes() -> None:
    """Only a resumed attempt needs them."""
    connection = Connection()
    written = ledger(connection)
    written.finish(written.resume("b2", "up", "source"))
    assert connection.names[1:] == ["forget_answers", "forget_recipes", "finish_execution"]
