"""What came out of a folder's tests, in one object, and as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from policy_service.analysis.coverage import Coverage
from policy_service.analysis.gaps import Suggestions
from policy_service.analysis.run_suite import CaseResult, SuiteTestResult
from policy_service.cli.policy.report import diagnostics_document
from policy_service.cli.policy.testing.coverage_text import coverage_document
from policy_service.cli.policy.testing.suggestions_text import suggestions_document
from policy_service.language.suite.suite import Expected
from policy_service.model.decision import Decision
from policy_service.service.policies.policy_suite import FolderSuite


class Written(msgspec.Struct, frozen=True):
    """New tests that were written into a file, and the coverage with them."""

    file: str
    tests: int
    coverage: Coverage


class Tested(msgspec.Struct, frozen=True):
    """One run. Without a policy nothing was run, and the suite's diagnostics say why.

    Args:
        coverage: None where nobody asked for it.
        fail_under: the least coverage in percent that is good.
        suggestions, written: None where nobody asked for them.
    """

    suite: FolderSuite
    results: tuple[SuiteTestResult, ...]
    elapsed_s: float
    coverage: Coverage | None = None
    fail_under: float = 0.0
    suggestions: Suggestions | None = None
    written: Written | None = None

    @property
    def is_good(self) -> bool:
        """Whether every case came to what was expected, enough was covered, and nothing asked is undecided."""
        is_tested = self.suite.policy is not None and all(result.is_good for result in self.results)
        return is_tested and self.is_covered and not (self.suggestions and self.suggestions.undecided)

    @property
    def is_covered(self) -> bool:
        """Whether enough was, if anybody asked."""
        coverage = self.coverage if self.written is None else self.written.coverage
        return coverage is None or coverage.percent() >= self.fail_under

    @property
    def cases(self) -> int:
        """How many cases there are."""
        return sum(len(result.results) for result in self.results)

    def failures(self) -> int:
        """How many of them came to something else."""
        return sum(len(result.failures()) for result in self.results)


def tested_document(tested: Tested) -> dict[str, Any]:
    """The JSON form. Files are named relative to the folder."""
    covered = {} if tested.coverage is None else {"coverage": coverage_document(tested.coverage)}
    if tested.suggestions is not None:
        covered["suggestions"] = suggestions_document(tested.suggestions)
    if tested.written is not None:
        covered["written"] = {
            "file": tested.written.file,
            "tests": tested.written.tests,
            "percent": round(tested.written.coverage.percent(), 2),
        }
    return {
        "folder": str(tested.suite.folder),
        "ok": tested.is_good,
        "tests": len(tested.results),
        "cases": tested.cases,
        "failed": tested.failures(),
        "elapsed_s": round(tested.elapsed_s, 3),
        "diagnostics": diagnostics_document(tested.suite.diagnostics),
        **covered,
        "results": [_result_document(result) for result in tested.results],
    }


def _result_document(result: SuiteTestResult) -> dict[str, Any]:
    place = result.test.place
    return {
        "file": place.file,
        "line": place.line,
        "name": result.test.name,
        "ok": result.is_good,
        "cases": [_case_document(one) for one in result.results],
    }


def _case_document(result: CaseResult) -> dict[str, Any]:
    case = result.case
    document = {
        "ok": result.is_good,
        "line": case.place.line,
        "who": case.who,
        "scope": case.scope,
        "resource": case.resource,
        "address": case.address,
        "expected": {"decision": case.expected.decision, "reason": case.expected.reason, "rule": case.expected.rule},
        "decided": decided_document(result.decision),
    }
    if result.explanation is not None:
        document["checks"] = [msgspec.to_builtins(check) for check in result.explanation.checks]
    return document


def decided_document(decision: Decision) -> dict[str, Any]:
    """A decision in the three words that tests speak of."""
    return {"decision": "allow" if decision.allowed else "deny", "reason": decision.reason, "rule": decision.rule}


def expected_text(expected: Expected) -> str:
    """`deny production_locked (some-rule)`."""
    text = _words(expected.decision, expected.reason, expected.rule)
    return text if expected.is_listed else f"{text}, like all that no expectation is about"


def decided_text(decision: Decision) -> str:
    """`allow`, or `deny production_locked (some-rule)`."""
    if decision.allowed:
        return "allow"
    return _words("deny", decision.reason, decision.rule)


def _words(decision: str, reason: str | None, rule: str | None) -> str:
    return " ".join((decision, *((reason,) if reason else ()), *((f"({rule})",) if rule else ())))
