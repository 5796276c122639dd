"""JUnit: XML that most CI servers read, with a test case for each revision."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from liftlock.check.finding import Finding
from liftlock.check.formats.phrases import place, summary
from liftlock.check.report import Report


def write(report: Report) -> str:
    """Return the report as XML."""
    suite = ET.Element("testsuite", name="liftlock check", errors="0")
    for result in report.checked:
        name = f"{result.revision.id} {result.revision.message}"
        _add_case(suite, name, report.findings_of(result.revision.id))
    of_chain = report.findings_of("")
    if any(finding.counts for finding in of_chain):
        _add_case(suite, "the chain", of_chain)
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    ET.SubElement(suite, "system-out").text = summary(report)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, name: str, findings: Sequence[Finding]) -> None:
    """Add a test case, which fails if a finding fails the check."""
    case = ET.SubElement(suite, "testcase", classname="liftlock", name=_without_controls(name))
    counted = [finding for finding in findings if finding.counts]
    if counted:
        codes = ", ".join(finding.code for finding in counted)
        failure = ET.SubElement(case, "failure", message=_without_controls(codes))
        failure.text = _without_controls("\n\n".join(_text(finding) for finding in counted))


def _text(finding: Finding) -> str:
    head = f"{place(finding)}: {finding.code}" if finding.revision else finding.code
    return f"{head}\n{finding.what}\n{finding.why}\n{finding.now}"


def _without_controls(text: str) -> str:
    """Remove the control characters, which XML 1.0 can't contain."""
    return "".join(character for character in text if character in "\t\n" or character >= " ")
