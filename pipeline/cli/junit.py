"""One check as a JUnit report, the form in which CI services show results."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree


def junit_report(
    suite: str, case: str, seconds: float, problem: str | None, properties: Mapping[str, object]
) -> str:
    """Return the XML of a suite with one test case.

    Args:
        suite: name of what checks.
        case: name of what is checked.
        seconds: that the check took.
        problem: one line about why it failed; None where it passed.
        properties: figures to keep beside the outcome.
    """
    counts = {"tests": "1", "failures": str(int(problem is not None)), "errors": "0"}
    timed = {"time": f"{seconds:.3f}"}
    top = ElementTree.Element("testsuites", counts | timed)
    inner = ElementTree.SubElement(top, "testsuite", {"name": suite} | counts | timed)
    kept = ElementTree.SubElement(inner, "properties")
    for name, value in properties.items():
        ElementTree.SubElement(kept, "property", {"name": name, "value": str(value)})
    tested = ElementTree.SubElement(inner, "testcase", {"classname": suite, "name": case} | timed)
    if problem is not None:
        ElementTree.SubElement(tested, "failure", {"message": problem}).text = problem
    ElementTree.indent(top)
    return ElementTree.tostring(top, encoding="unicode", xml_declaration=True) + "\n"
