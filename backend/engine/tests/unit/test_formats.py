"""A report, for each of its readers."""

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
from liftlock.check.timeline import estimated
from liftlock.model.lock import LockMode
from liftlock.model.operation import Operation
from liftlock.model.revision import Revision
from liftlock.shadow.observed import ObservedLock, ObservedStatement, ServerWork
from liftlock.shadow.result import RevisionResult, RunResult

SCHEMA = Path(__file__).parents[4] / "docs" / "reference" / "check.schema.json"
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
    """Who waits with plain Alembic, and with liftlock."""
    shown = "\n".join(line for line, _, _ in text.lines(REPORT))
    assert "→ writes of person wait while it builds an index on person" in shown
    assert "→ nobody waits while it builds an index on person" in shown
    assert "LL-BLOCKS-TRAFFIC  versions/r1.py:12" in shown
    assert "allowed: it was empty" in shown
    assert shown.endswith("1 revision (r1), 1 finding, 1 allowed")


def test_json_is_as_its_schema_says() -> None:
    """The schema that is published."""
    found = json.loads(FORMATS["json"](REPORT))
    jsonschema.validate(found, json.loads(SCHEMA.read_text()), jsonschema.Draft202012Validator)
    assert found["ok"] is False
    assert found["revisions"][0]["plain"][0]["held"] == [
        {"relation": "person", "mode": "SHARE", "blocks": "writes"}
    ]


def test_each_statement_has_its_estimate() -> None:
    """Where tables of a real database were measured: for programs, for a pull request, and on a terminal."""
    sizes = {"person": Size(2_000_000_000, 1_000_000, 0)}
    report = replace(REPORT, sizes=sizes, estimates=estimated(REPORT.checked, sizes))
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
        "| all of it | up to 2 minutes in all; others wait: up to 2 minutes | up to 2 minutes in all; nobody waits |"
        in markdown
    )
    assert "→ nobody waits while it builds an index on person (up to 2 minutes)" in "\n".join(
        line for line, _, _ in text.lines(report)
    )


def test_markdown_holds_no_markup_of_the_projects_own() -> None:
    """A title can't mention people, nor end a table or a code block."""
    found = FORMATS["markdown"](REPORT)
    assert "\\<b\\>" in found
    assert "\\@team" in found
    assert "````sql\nCREATE INDEX ```\n````" in found
    assert "a\\|b" in found
    assert "````diff\n+CREATE INDEX ```\n-    nick text\n````" in found
    assert "please look" in found


def test_annotations_are_one_line_each() -> None:
    """Those that are allowed are left out; a message can't forge another command."""
    lines = FORMATS["github"](REPORT).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::notice"]
    assert lines[0].startswith(
        "::error file=versions/r1.py,line=12,title=LL-BLOCKS-TRAFFIC::writes wait:%0ACREATE INDEX"
    )


def test_paths_begin_at_the_top_of_the_repository() -> None:
    """For those who know no other folder."""
    report = replace(REPORT, prefix="services/api/")
    assert "file=services/api/versions/r1.py," in FORMATS["github"](report)
    assert '"uri": "services/api/versions/r1.py"' in FORMATS["sarif"](report)


def test_sarif_and_junit() -> None:
    """Levels, places, suppressions; and a failing case."""
    (run,) = json.loads(FORMATS["sarif"](REPORT))["runs"]
    assert [
        (one["ruleId"], one["level"], bool(one.get("suppressions"))) for one in run["results"]
    ] == [
        ("LL-BLOCKS-TRAFFIC", "error", False),
        ("LL-DATA-LOSS", "warning", True),
        ("LL-READS-DATABASE", "note", False),
    ]
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 12}
    suite = ET.fromstring(FORMATS["junit"](REPORT))
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "LL-BLOCKS-TRAFFIC"
