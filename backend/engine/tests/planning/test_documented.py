"""A recipe, its cases on a real database and its row in the documentation carry one name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from acceptance.support.operations import CASES

from liftlock.planning.plan import RECIPES

PAGE = Path(__file__).parents[4] / "docs" / "explanation" / "online.md"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_a_row_and_a_case(name: str) -> None:
    """A refused operation has no case."""
    rows = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert any(name in re.findall(r"`(\w+)`", row) for row in rows)
    assert name == "create_exclude_constraint" or any(case.startswith(name) for case in CASES)
