"""Generated reference: it has an entry for each code and each variable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import liftlock
from liftlock.check.rules import ALL_RULES
from liftlock.errors import DOCS
from liftlock.variables import VARIABLES

SOURCE = Path(liftlock.__file__).parent
ROOT = SOURCE.parents[3]
CODES = sorted(
    {
        code
        for path in SOURCE.rglob("*.py")
        for code in re.findall(r'"(LL-[A-Z]+(?:-[A-Z]+)*)"', path.read_text())
    }
)
RULE_CODES = {rule.code for rule in ALL_RULES}


def headings(page: str) -> set[str]:
    """Return the headings of a page, without their marks."""
    return set(re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE))


@pytest.mark.parametrize("code", [code for code in CODES if code not in RULE_CODES])
def test_error_has_an_entry(code: str) -> None:
    """The address that an error prints leads to it."""
    assert code in headings(DOCS)


@pytest.mark.parametrize("code", sorted(RULE_CODES))
def test_rule_has_a_page(code: str) -> None:
    """It has both examples."""
    expected = {code, "Example with the finding", "The same without it", "Allow it"}
    assert headings(f"docs/reference/rules/{code}.md") == expected


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_variable_is_in_the_reference(variable: object) -> None:
    """Once, with its meaning."""
    text = (ROOT / "docs" / "reference" / "settings.md").read_text()
    assert text.count(f"| `{getattr(variable, 'name', '')}` |") == 1


def test_every_variable_of_the_source_is_declared() -> None:
    """A variable that only the code knows is in no reference."""
    texts = [path.read_text() for path in SOURCE.rglob("*.py")]
    used = {name for text in texts for name in re.findall(r"\bLIFTLOCK_[A-Z_]+\b", text)}
    internal = {"LIFTLOCK_BROKER"}  # passes a file descriptor to the restarted check
    assert used - internal <= {variable.name for variable in VARIABLES}
