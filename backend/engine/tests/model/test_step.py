"""Steps as the ledger stores them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from liftlock.model.lock import LockMode
from liftlock.model.step import Pace, Phase, Step, StepKind

TEXTS = st.lists(st.text(max_size=5), max_size=3).map(tuple)


@given(step=st.builds(Step, tables=TEXTS, undo=TEXTS, more_sql=TEXTS))
def test_step_round_trip(step: Step) -> None:
    """A resumed run continues the recipe that the ledger stores."""
    assert Step.from_dict(json.loads(json.dumps(step.as_dict()))) == step


def test_step_keys_in_the_ledger() -> None:
    """Databases hold recipes under these keys, so that they can't change."""
    step = Step("build", "CREATE INDEX", Pace.ONLINE, LockMode.SHARE, kind=StepKind.CONCURRENT)
    assert step.as_dict() == {
        "part": "build",
        "sql": "CREATE INDEX",
        "pace": "online",
        "lock": "SHARE",
        "phase": "expand",
        "means": "concurrent",
        "tables": [],
        "repair": "",
        "witness": "",
        "undo": [],
        "where": "",
        "then": [],
        "partition": "",
        "blocks": "writes",
    }


def test_step_of_an_earlier_release() -> None:
    """Keys that are younger than the row get their defaults."""
    row = Step("add", "ALTER TABLE", Pace.BRIEF, None, Phase.CONTRACT).as_dict()
    del row["partition"]
    assert Step.from_dict(row).partition == ""
