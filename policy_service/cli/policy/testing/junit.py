"""Test results in the XML of JUnit, which every CI reads. One `testcase` for each test, not for each case."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from policy_service.analysis.run_suite import SuiteTestResult
from policy_service.cli.policy.testing.tested import Tested
from policy_service.cli.policy.testing.tested_screen import failure_lines
from policy_service.cli.shared.text import visible


def junit(tested: Tested) -> str:
    """The document. What cannot be read at all is one failing `testcase` of its own for each mistake."""
    root = ElementTree.Element("testsuites", _counts(list(tested.results)) | {"time": f"{tested.elapsed_s:.3f}"})
    for file, group in groupby(tested.results, key=lambda result: result.test.place.file):
        results = list(group)
        suite = ElementTree.SubElement(root, "testsuite", {"name": file} | _counts(results))
        for result in results:
            _add(suite, result, tested.suite.folder)
    if tested.suite.policy is None:
        _add_mistakes(root, tested)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n"


def _counts(results: list[SuiteTestResult]) -> dict[str, str]:
    failed = sum(not result.is_good for result in results)
    return {"tests": str(len(results)), "failures": str(failed), "errors": "0"}


def _add(suite: ElementTree.Element, result: SuiteTestResult, folder: Path) -> None:
    place = result.test.place
    attributes = {
        "classname": place.file,
        "name": visible(result.test.name),
        "file": place.file,
        "line": str(place.line),
    }
    element = ElementTree.SubElement(suite, "testcase", attributes)
    failures = result.failures()
    if failures:
        message = f"{len(failures)} of {len(result.results)} cases not as expected"
        failure = ElementTree.SubElement(element, "failure", {"message": message, "type": "unexpected_decision"})
        failure.text = "\n".join(visible(line) for line, _style in failure_lines(result, folder))


def _add_mistakes(root: ElementTree.Element, tested: Tested) -> None:
    mistakes = [one for one in tested.suite.diagnostics if one.severity == "error"]
    counts = {"tests": str(len(mistakes)), "failures": "0", "errors": str(len(mistakes))}
    root.attrib.update(counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "rule files"} | counts)
    for one in mistakes:
        place = {"classname": one.span.file, "name": f"line {one.span.line}: {one.code}"}
        error = ElementTree.SubElement(
            ElementTree.SubElement(suite, "testcase", place),
            "error",
            {"message": visible(one.message), "type": one.code},
        )
        error.text = visible(str(one))
