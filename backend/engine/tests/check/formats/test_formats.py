"""Formats of a report, each on the same example with hostile text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema

from liftlock.broker.table_size import Size
from liftlock.check.finding import Finding, Severity
from liftlock.check.formats import FORMATS, text
from liftlock.check.report import Report
from liftlock.check.timeline import estimates
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.revision import Revision
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork
from liftlock.shadow.result import RevisionResult, RunResult

SCHEMA = Path(__file__).parents[5] / "docs" / "reference" / "check.schema.json"
SARIF_SCHEMA = Path(__file__).parent / "schemas" / "sarif-2.1.0-rtm.5.json"
PERSON = frozenset({ObservedLock("person", LockMode.SHARE)})
BUILD = ObservedStatement(
    'CREATE INDEX "a|b" ON person (x)',
    "r1",
    Operation("create_index", "person", "", line=12),
    taken=PERSON,
    held=PERSON,
    work=ServerWork(builds=frozenset({"person"})),
)
ONLINE = ObservedStatement(
    'CREATE INDEX CONCURRENTLY "a|b" ON person (x)',
    "r1",
    work=ServerWork(builds=frozenset({"person"})),
)
HOSTILE = "a title: 100%, <b>`x`</b>\x07 @team | ::error::"
FINDINGS = (
    Finding(
        "LL-BLOCKS-TRAFFIC",
        Severity.ERROR,
        "writes wait:\nCREATE INDEX ```",
        "It grows.",
        "Use op.",
        "r1",
        "versions/r1.py",
        12,
    ),
    Finding(
        "LL-DATA-LOSS",
        Severity.WARNING,
        "column x is dropped",
        "Gone.",
        "Look.",
        "r1",
        "versions/r1.py",
        None,
        "it was empty",
    ),
    Finding(
        "LL-READS-DATABASE",
        Severity.NOTE,
        "it asks",
        "One path.",
        "Try.",
        "r1",
        "versions/r1.py",
        3,
    ),
)
REPORT = Report(
    "r1",
    "liftlock",
    "18.6",
    {"load": 0.1},
    (
        RevisionResult(
            Revision("r1", message=HOSTILE),
            "versions/r1.py",
            alembic=RunResult((BUILD,)),
            liftlock=RunResult((ONLINE,)),
            changes=("+CREATE INDEX ```", "-    nick text"),
        ),
    ),
    FINDINGS,
)


def test_text_shows_both_ways_and_the_findings() -> None:
    """Waiting queries by plain Alembic and by liftlock, then findings, then the summary."""
    shown = "\n".join(line for line, _, _ in text.lines(REPORT))
    assert "→ writes of person wait while it builds an index on person" in shown
    assert "→ no query waits while it builds an index on person" in shown
    assert "LL-BLOCKS-TRAFFIC  versions/r1.py:12" in shown
    assert "allowed: it was empty" in shown
    assert shown.endswith("1 revision (r1), 1 finding, 1 allowed")


def test_json_is_valid_by_the_published_schema() -> None:
    """``docs/reference/check.schema.json``."""
    found = json.loads(FORMATS["json"](REPORT))
    jsonschema.validate(found, json.loads(SCHEMA.read_text()), jsonschema.Draft202012Validator)
    assert found["ok"] is False
    assert found["revisions"][0]["plain"][0]["held"] == [
        {"relation": "person", "mode": "SHARE", "blocks": "writes"}
    ]


def test_statements_have_estimates_when_sizes_are_known() -> None:
    """In JSON, Markdown and text."""
    sizes = {"person": Size(2_000_000_000, 1_000_000, 0)}
    report = replace(REPORT, sizes=sizes, estimates=estimates(REPORT.checked, sizes))
    found = json.loads(FORMATS["json"](report))
    jsonschema.validate(found, json.loads(SCHEMA.read_text()), jsonschema.Draft202012Validator)
    (one,) = found["revisions"]
    assert (one["plain"][0]["estimate"], one["liftlock"][0]["estimate"]) == (
        {"takes": 21, "blocks": 21},
        {"takes": 21, "blocks": 0},
    )
    assert one["estimates"] == {
        "plain": {"takes": 21, "blocks": 21},
        "liftlock": {"takes": 21, "blocks": 0},
    }
    markdown = FORMATS["markdown"](report)
    assert (
        "| writes of person wait while it builds an index on person (up to 2 minutes) |" in markdown
    )
    assert (
        "| all of it | up to 2 minutes in all; others wait: up to 2 minutes"
        " | up to 2 minutes in all; no query waits |"
    ) in markdown
    assert "→ no query waits while it builds an index on person (up to 2 minutes)" in "\n".join(
        line for line, _, _ in text.lines(report)
    )


def test_markdown_escapes_markup_of_the_project() -> None:
    """A title can't mention people, nor end a table or a code block."""
    found = FORMATS["markdown"](REPORT)
    assert "\\<b\\>" in found
    assert "\\@team" in found
    assert "````sql\nCREATE INDEX ```\n````" in found
    assert "a\\|b" in found
    assert "````diff\n+CREATE INDEX ```\n-    nick text\n````" in found
    assert "review needed" in found


def test_github_annotations_are_one_line_each() -> None:
    """Allowed findings are left out; a message can't forge another workflow command."""
    lines = FORMATS["github"](REPORT).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::notice"]
    assert lines[0].startswith(
        "::error file=versions/r1.py,line=12,title=LL-BLOCKS-TRAFFIC::writes wait:%0ACREATE INDEX"
    )


def test_github_and_sarif_paths_start_at_the_top_of_the_repository() -> None:
    """GitHub knows no other folder."""
    report = replace(REPORT, prefix="services/api/")
    assert "file=services/api/versions/r1.py," in FORMATS["github"](report)
    assert '"uri": "services/api/versions/r1.py"' in FORMATS["sarif"](report)


def test_sarif_has_levels_places_and_suppressions() -> None:
    """An allowed finding is a suppressed result."""
    (run,) = json.loads(FORMATS["sarif"](REPORT))["runs"]
    results = [
        (result["ruleId"], result["level"], bool(result.get("suppressions")))
        for result in run["results"]
    ]
    assert results == [
        ("LL-BLOCKS-TRAFFIC", "error", False),
        ("LL-DATA-LOSS", "warning", True),
        ("LL-READS-DATABASE", "note", False),
    ]
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 12}


def test_sarif_is_valid_by_the_schema_of_oasis() -> None:
    """Also with findings about the chain, which have no place, and without any."""
    schema = json.loads(SARIF_SCHEMA.read_text())
    heads = Finding("LL-MULTIPLE-HEADS", Severity.ERROR, "2 heads", "Ambiguous.", "Merge.")
    for findings in (FINDINGS, (*FINDINGS, heads), ()):
        log = json.loads(FORMATS["sarif"](replace(REPORT, findings=findings)))
        jsonschema.validate(log, schema, jsonschema.Draft4Validator)


def test_junit_has_a_case_for_each_revision() -> None:
    """It fails by the findings that fail the check."""
    suite = ET.fromstring(FORMATS["junit"](REPORT))
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "LL-BLOCKS-TRAFFIC"


def test_junit_has_a_case_for_findings_about_the_chain() -> None:
    """Only when one of them fails the check."""
    heads = Finding("LL-MULTIPLE-HEADS", Severity.ERROR, "2 heads", "Ambiguous.", "Merge.")
    suite = ET.fromstring(FORMATS["junit"](replace(REPORT, findings=(*FINDINGS, heads))))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")
    names = [case.get("name") for case in suite.findall("testcase")]
    assert names[-1] == "the chain"


def test_html_is_a_page_that_escapes_the_projects_text() -> None:
    """The template is found in the package, and a title is no element."""
    page = FORMATS["html"](REPORT)
    assert page.startswith("<!DOCTYPE html>")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_report_without_revisions_says_so() -> None:
    """In the summary of each format for people."""
    empty = replace(REPORT, checked=(), findings=())
    assert "Nothing to check (r1)." in FORMATS["markdown"](empty)
    assert [line for line, _, _ in text.lines(empty)] == ["Nothing to check (r1)."]
