"""JUnit's XML, which most CI servers read: a test case a revision."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from liftlock.check.formats.text import place, summary
from liftlock.check.report import Report


def write(report: Report) -> str:
    """The report as XML."""
    bad = sum(any(found.counts for found in report.of(one.revision.id)) for one in report.checked)
    whole = any(one.counts for one in report.of(""))
    tests, failures = str(len(report.checked) + whole), str(bad + whole)
    suite = ET.Element(
        "testsuite", name="liftlock check", tests=tests, failures=failures, errors="0"
    )
    for one in report.checked:
        case = ET.SubElement(
            suite,
            "testcase",
            classname="liftlock",
            name=_legal(f"{one.revision.id} {one.revision.message}"),
        )
        counted = [found for found in report.of(one.revision.id) if found.counts]
        if counted:
            failure = ET.SubElement(
                case, "failure", message=_legal(", ".join(found.code for found in counted))
            )
            failure.text = _legal(
                "\n\n".join(
                    f"{place(found)}: {found.code}\n{found.what}\n{found.why}\n{found.now}"
                    for found in counted
                )
            )
    counted = [found for found in report.of("") if found.counts]
    if counted:
        case = ET.SubElement(suite, "testcase", classname="liftlock", name="the chain")
        text = "\n\n".join(
            f"{found.code}\n{found.what}\n{found.why}\n{found.now}" for found in counted
        )
        ET.SubElement(
            case, "failure", message=_legal(", ".join(found.code for found in counted))
        ).text = _legal(text)
    ET.SubElement(suite, "system-out").text = summary(report)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _legal(text: str) -> str:
    """Without the control characters that XML can't hold."""
    return "".join(one for one in text if one in "\t\n" or one >= " ")
