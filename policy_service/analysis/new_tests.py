"""New tests of one file: written, read again, decided by the engine, and what they cover measured."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from policy_service.analysis.as_suite import suite_entry
from policy_service.analysis.concrete import USUAL_NOW
from policy_service.analysis.coverage import Place, Watch
from policy_service.analysis.gaps import Closing, Gap, NewTest
from policy_service.analysis.goal_checks import GoalCheck
from policy_service.analysis.named_facts import Draft, NamedFacts
from policy_service.analysis.run_suite import Worlds
from policy_service.analysis.situation import Situation
from policy_service.engine.decide import decide
from policy_service.engine.program import Program
from policy_service.language.suite.cases import MAX_NAME, Scope
from policy_service.language.suite.load import read_entry
from policy_service.language.suite.suite import Expected, SuiteTest

_MAX_READ: Final = 12
"""Drafts of one test that are written down and tried whole."""


class Bench:
    """Where new tests are tried.

    Args:
        file: they would stand in it.
        outer: what a test of that file sees.
        taken: names of tests in it.
        missing: the gaps to be closed.
    """

    def __init__(
        self, program: Program, file: str, outer: Scope, taken: Collection[str], missing: Iterable[Gap]
    ) -> None:
        self._program = program
        self._file = file
        self._outer = outer
        self._taken = set(taken)
        self._facts = NamedFacts(program, outer)
        self._worlds = Worlds(program)
        self._open: dict[Place, list[Gap]] = {}
        for gap in missing:
            self._open.setdefault((gap.type, gap.rule), []).append(gap)
        self._watch = Watch(program.policy, self._open)
        self._closing = Closing(self._watch.coverage)
        self.now = outer.now
        self.names = self._facts.names

    def by_names(self, gap: Gap, scope: str, type_: str) -> NewTest | None:
        """A test of names that the suite has already, and of nothing else."""
        check = GoalCheck(self._program.policy, gap)
        return self._first(gap, self._facts.alone(check, scope, type_, USUAL_NOW))

    def test_for(self, gap: Gap, found: Situation) -> NewTest | None:
        """A test that closes a gap, with as many known names as can be; None where the situation does not close it."""
        return self._first(gap, self._facts.drafts(GoalCheck(self._program.policy, gap), found))

    def _first(self, gap: Gap, drafts: Iterator[Draft]) -> NewTest | None:
        name = self._name(gap)
        for number, draft in enumerate(drafts):
            text, test = self._written(name, draft)
            if test is not None and self._closes(gap, test):
                return NewTest(test, text, (gap,))
            if number == _MAX_READ:
                break
        return None

    def accept(self, test: SuiteTest) -> list[Gap]:
        """Keep a test: the gaps that it closes, measured."""
        self._taken.add(test.name)
        self._take(self._watch, test)
        closed = [gap for some in self._open.values() for gap in some if self._closing.closes(gap)]
        for gap in closed:
            place = (gap.type, gap.rule)
            self._open[place].remove(gap)
            if not self._open[place]:
                # Nobody watches this rule any more.
                del self._open[place]
        return closed

    def _name(self, gap: Gap) -> str:
        title = gap.title[:MAX_NAME]
        more = (f"{title[: MAX_NAME - 8]} ({number})" for number in range(2, len(self._taken) + 3))
        return next(name for name in (title, *more) if name not in self._taken)

    def _written(self, name: str, draft: Draft) -> tuple[str, SuiteTest | None]:
        """The text of a test with what the engine decides, and the test as it is read again."""
        test = self._read(suite_entry(name, draft.situation, Expected("deny"), draft.named))
        if test is None:
            return "", None
        decision = decide(test.cases[0].request, self._worlds.of(test.facts), test.now)
        expected = Expected("allow") if decision.allowed else Expected("deny", decision.reason, decision.rule)
        text = suite_entry(name, draft.situation, expected, draft.named)
        return text, self._read(text)

    def _read(self, text: str) -> SuiteTest | None:
        """None where the facts at hand stand in its way."""
        found = read_entry(text, self._file, self._outer)
        return found.tests[0] if len(found.tests) == 1 and not found.has_errors() else None

    def _closes(self, gap: Gap, test: SuiteTest) -> bool:
        watch = Watch(self._program.policy, {(gap.type, gap.rule)})
        self._take(watch, test)
        return Closing(watch.coverage).closes(gap)

    def _take(self, watch: Watch, test: SuiteTest) -> None:
        world = self._worlds.of(test.facts)
        for case in test.cases:
            watch.take(case.request, world, test.now)
