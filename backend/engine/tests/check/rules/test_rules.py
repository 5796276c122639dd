"""The registry of rules: codes, file names, texts and examples."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from liftlock.check import rules
from liftlock.check.finding import Severity
from liftlock.check.rules import (
    ALL_RULES,
    RULES,
    edited_after_merge,
    models_differ,
    multiple_heads,
    no_offline_sql,
    rows_not_checked,
    rows_violate,
)
from liftlock.check.rules.rule import Example, FindingType, Match, Rule
from liftlock.model.revision import Chain, Revision
from liftlock.shadow.result import RevisionResult

RESULT = RevisionResult(Revision("r1"), "versions/r1.py")


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.code)
def test_rule_has_a_module_named_as_its_code(rule: FindingType) -> None:
    """LL-DATA-LOSS is in data_loss.py."""
    name = rule.code.removeprefix("LL-").replace("-", "_").lower()
    module = importlib.import_module(f"liftlock.check.rules.{name}")
    assert module.RULE is rule
    assert module.__doc__ is not None
    assert module.__doc__.startswith(f"{rule.code}: ")


def test_every_rule_is_registered() -> None:
    """A module with a RULE that is missing in the registry would never be applied."""
    names = [module.name for module in pkgutil.iter_modules(rules.__path__)]
    modules = [importlib.import_module(f"liftlock.check.rules.{name}") for name in names]
    found = {module.RULE.code for module in modules if hasattr(module, "RULE")}
    assert found == {rule.code for rule in ALL_RULES}


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.code)
def test_rule_has_texts_and_both_examples(rule: FindingType) -> None:
    """A title is a phrase; reason and remedy are sentences."""
    assert rule.title[0].isupper()
    assert not rule.title.endswith(".")
    assert rule.why.endswith(".")
    assert rule.now[0].isupper()
    assert rule.bad != Example()
    assert rule.good != Example()
    assert rule.bad != rule.good


def rule_that_finds(*matches: Match, only: str = "") -> Rule:
    """Return a rule with fixed matches."""
    return Rule(
        code="LL-X",
        title="Title",
        severity=Severity.WARNING,
        why="Reason.",
        now="Remedy.",
        judge=lambda _result, _way: matches,
        bad=Example(),
        good=Example(),
        only=only,
    )


def test_finding_has_the_texts_of_its_rule() -> None:
    """And the place of the match."""
    (finding,) = rule_that_finds(Match("fact", 7)).findings(RESULT, "liftlock", {})
    assert (finding.code, finding.what, finding.why, finding.now) == (
        "LL-X",
        "fact",
        "Reason.",
        "Remedy.",
    )
    assert (finding.revision, finding.path, finding.line) == ("r1", "versions/r1.py", 7)
    assert finding.counts


def test_match_replaces_code_and_texts() -> None:
    """A failed revision is reported under the error's own code."""
    match = Match("fact", code="LL-Y", why="Other reason.", now="Other remedy.")
    (finding,) = rule_that_finds(match).findings(RESULT, "liftlock", {})
    assert (finding.code, finding.why, finding.now) == ("LL-Y", "Other reason.", "Other remedy.")


def test_rule_for_one_way_is_silent_for_the_other() -> None:
    """LL-MULTIPLE-TABLE-LOCKS is for plain Alembic."""
    rule = rule_that_finds(Match("fact"), only="plain")
    assert list(rule.findings(RESULT, "liftlock", {})) == []
    assert len(list(rule.findings(RESULT, "plain", {}))) == 1


@pytest.mark.parametrize(
    ("allowed", "allowances", "because"),
    [
        ({"LL-X": "inline"}, {("LL-X", "r1"): "for r1"}, "inline"),
        ({}, {("LL-X", "r1"): "for r1", ("LL-X", ""): "for all"}, "for r1"),
        ({}, {("LL-X", ""): "for all"}, "for all"),
        ({"LL-Y": "inline"}, {("LL-X", "r2"): "for r2"}, ""),
    ],
)
def test_allowance_nearest_to_the_match_is_shown(
    allowed: dict[str, str], allowances: dict[tuple[str, str], str], because: str
) -> None:
    """In the revision, then for the revision in alembic.ini, then for all revisions there."""
    rule = rule_that_finds(Match("fact", allowed=allowed))
    (finding,) = rule.findings(RESULT, "liftlock", allowances)
    assert finding.because == because
    assert finding.counts is not bool(because)


@pytest.mark.parametrize(
    ("example", "count"), [(multiple_heads.RULE.bad, 1), (multiple_heads.RULE.good, 0)]
)
def test_examples_of_multiple_heads(example: Example, count: int) -> None:
    """The rule needs the history only."""
    chain = Chain.of(Revision(name, down) for name, down in example.parents.items())
    found = list(multiple_heads.find(chain.heads))
    assert len(found) == count
    if found:
        assert 'alembic merge -m "merge" r1 r2' in found[0].now


def test_edited_revision_is_found() -> None:
    """The selection has asked git."""
    edited = RevisionResult(Revision("r1"), "r1.py", edited=True)
    assert len(list(edited_after_merge.find(edited, "plain"))) == 1
    assert list(edited_after_merge.find(RESULT, "plain")) == []


def test_differences_of_models_are_shortened() -> None:
    """Ten are shown, and the number of the others."""
    assert list(models_differ.find([])) == []
    (finding,) = models_differ.find([f"add_table {number}" for number in range(12)])
    assert finding.what.endswith("add_table 9\n… and 2 more")


def test_offline_error_is_shown() -> None:
    """Nothing is found without an error."""
    assert list(no_offline_sql.find("")) == []
    (finding,) = no_offline_sql.find("r1.py:8: no rows")
    assert finding.what.endswith("fails: r1.py:8: no rows")


def test_rows_that_the_revision_may_correct_are_a_note() -> None:
    """A note doesn't fail the check."""
    assert rows_violate.finding("rows", corrected=False).severity is Severity.ERROR
    assert rows_violate.finding("rows", corrected=True).severity is Severity.NOTE


def test_open_questions_are_notes() -> None:
    """Each says what wasn't checked."""
    findings = (
        rows_not_checked.not_looked_for(["whether rows of a have no b"]),
        rows_not_checked.not_answered("whether rows of a have no b", "lock timeout"),
        rows_not_checked.sizes_unknown("lock timeout"),
    )
    assert not any(finding.counts for finding in findings)
    assert "whether rows of a have no b" in findings[0].what
    assert findings[1].what.endswith("was not checked: lock timeout")


def test_only_rules_of_revisions_judge_results() -> None:
    """The others are about the chain or about rows."""
    assert all(isinstance(rule, Rule) for rule in RULES)
