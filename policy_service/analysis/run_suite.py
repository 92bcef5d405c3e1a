"""Test files, run: every case decided by the real engine, and those that came out otherwise explained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from policy_service.analysis.worlds import snapshot_of
from policy_service.engine.decide import decide
from policy_service.engine.explain import explain
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.suite.suite import Case, SuiteTest
from policy_service.model.decision import Decision, Explanation
from policy_service.model.facts import Fact


class CaseResult(msgspec.Struct, frozen=True):
    """One case, decided. `explanation` is there where it did not come to what was expected."""

    case: Case
    decision: Decision
    explanation: Explanation | None

    @property
    def is_good(self) -> bool:
        """Whether it came to what was expected."""
        return self.explanation is None


class SuiteTestResult(msgspec.Struct, frozen=True):
    """One test, run."""

    test: SuiteTest
    results: tuple[CaseResult, ...]

    @property
    def is_good(self) -> bool:
        """Whether all its cases are."""
        return all(result.is_good for result in self.results)

    def failures(self) -> list[CaseResult]:
        """The cases that came to something else."""
        return [result for result in self.results if not result.is_good]


class Worlds:
    """Snapshots by the facts in them: tests that stand on the same facts share one."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._last: tuple[tuple[Fact, ...], Snapshot] | None = None

    def of(self, facts: tuple[Fact, ...]) -> Snapshot:
        """The snapshot of these facts. Only the last one is kept: tests of one file mostly share theirs."""
        if self._last is None or self._last[0] != facts:
            self._last = (facts, snapshot_of(self._program, facts))
        return self._last[1]


def run_suite(tests: Iterable[SuiteTest], program: Program) -> Iterator[SuiteTestResult]:
    """Each test's result, in order, as it is known.

    Cost: about 3 µs a case, and 20 µs a fact wherever facts differ from the test before.
    """
    worlds = Worlds(program)
    for test in tests:
        snapshot = worlds.of(test.facts)
        yield SuiteTestResult(test, tuple(_run(case, snapshot, test.now) for case in test.cases))


def _run(case: Case, snapshot: Snapshot, now: int) -> CaseResult:
    decision = decide(case.request, snapshot, now)
    if case.expected.is_met_by(allowed=decision.allowed, reason=decision.reason, rule=decision.rule):
        return CaseResult(case, decision, None)
    return CaseResult(case, decision, explain(case.request, snapshot, now))
