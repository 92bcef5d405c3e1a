"""Tests run by the real engine."""

from __future__ import annotations

from policy_service.analysis.run_suite import SuiteTestResult, run_suite
from policy_service.language.load import load_policy
from policy_service.language.suite.load import load_suite
from tests.unit.language.folders import shipped
from tests.worlds import program_of

RULES = {file: text for file, text in shipped().items() if not file.startswith("tests/")}


def ran(files: dict[str, str]) -> list[SuiteTestResult]:
    """The results of the tests among rule files."""
    suite = load_suite(files, load_policy(files))
    assert suite.diagnostics == ()
    return list(run_suite(suite.tests, program_of(files)))


def test_the_shipped_policies_keep_their_promises() -> None:
    """The suite beside them reads as their specification, and holds."""
    results = ran(shipped())
    assert [result.test.id for result in results if not result.is_good] == []
    assert sum(len(result.results) for result in results) > 100


def test_a_case_that_comes_out_otherwise_is_explained() -> None:
    """By the same engine; the explanation comes to the same decision."""
    files = shipped()
    files["resources/pipeline.yaml"] = files["resources/pipeline.yaml"].replace('== "prod"', '== "production"')
    failures = [failure for result in ran(files) for failure in result.failures()]
    assert {failure.case.expected.rule for failure in failures} == {"production-runs-are-for-operators", None}
    for failure in failures:
        assert failure.explanation is not None
        assert failure.explanation.decision == failure.decision


def test_an_unlisted_combination_that_is_allowed_fails() -> None:
    """Unlisted means deny."""
    tests = """
now: "2026-11-24T09:00:00Z"
facts:
  users: {ada: {roles: operator}}
  resources: {"pipeline:a": {}}
tests:
  - {name: nothing is promised, principals: ada, scopes: pipelines:run, resources: pipeline:a, expect: []}
"""
    [result] = ran({**RULES, "tests/a.yaml": tests})
    assert [(one.decision.allowed, one.case.expected.is_listed) for one in result.failures()] == [(True, False)]
