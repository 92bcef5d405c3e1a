"""What a suite leaves open, one gap for each goal that no case reached, and what can be said of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from policy_service.analysis.coverage import AtomCovered, Coverage, Goal, RuleCovered, Tally
from policy_service.language.atoms import Atom
from policy_service.language.suite.suite import SuiteTest
from policy_service.model.spans import Span

_WORDS: Final[Mapping[Goal, str]] = {
    "satisfied": "is satisfied",
    "unsatisfied": "is not satisfied",
    "faulted": "faults",
    "deciding": "decides",
}
_LONGEST_ATOM: Final = 90


class Gap(msgspec.Struct, frozen=True):
    """One goal that was not reached.

    Args:
        type: the resource type, or `chain`.
        field, atom: of an atomic condition, the condition it is in (`when`, `require`) and itself; None for the whole
            rule.
        half: of a missing `deciding` of an atomic condition, which of the two that it takes: deciding while satisfied
            (True), or while not (False). Where both are missing there are two gaps.
    """

    type: str
    rule: str
    goal: Goal
    place: Span
    field: str | None = None
    atom: Atom | None = None
    text: str | None = None
    half: bool | None = None

    @property
    def title(self) -> str:
        """What has to be seen, such as ``only-in-office faults`` or ``r: `a == 1` decides while not satisfied``."""
        return f"{self.rule} {self.event}" if self.text is None else f"{self.rule}: {self.subject} {self.event}"

    @property
    def subject(self) -> str:
        """The atomic condition, shortened where it is long; nothing for the whole rule."""
        text = self.text or ""
        text = text if len(text) <= _LONGEST_ATOM else f"{text[: _LONGEST_ATOM - 1]}…"
        return f"`{text}`" if text else ""

    @property
    def event(self) -> str:
        """What it does when it is seen: `faults`, `decides while satisfied`."""
        how = "" if self.half is None else " while satisfied" if self.half else " while not satisfied"
        return f"{_WORDS[self.goal]}{how}"


class NewTest(msgspec.Struct, frozen=True):
    """A test that closes gaps. It was decided by the engine, and what it covers was measured, before it is shown.

    Args:
        text: the entry of `tests:`, ready to be pasted.
        closes: the gaps it was seen to close; the first is the one that it was made for.
    """

    test: SuiteTest
    text: str
    closes: tuple[Gap, ...]


class Suggestions(msgspec.Struct, frozen=True):
    """What can be said of all gaps; each is in one of the three.

    Args:
        tests: what closes gaps, in the order of the policy.
        impossible: with why no request ever reaches the goal: proved.
        undecided: with why that is not known.
    """

    tests: tuple[NewTest, ...]
    impossible: tuple[tuple[Gap, str], ...]
    undecided: tuple[tuple[Gap, str], ...]


def gaps(coverage: Coverage) -> tuple[Gap, ...]:
    """All of them, in the order of the policy."""
    return tuple(gap for rule in coverage.rules for gap in _of_rule(rule))


def _of_rule(rule: RuleCovered) -> Iterator[Gap]:
    for goal in rule.tally.missing():
        yield Gap(rule.type, rule.name, goal, rule.place)
    for condition, one in rule.parts():
        for goal in one.tally.missing():
            for half in _halves(one) if goal == "deciding" else (None,):
                yield Gap(rule.type, rule.name, goal, rule.place, condition.field, one.atom, one.text, half)


def _halves(one: AtomCovered) -> Iterator[bool]:
    if not one.decided_satisfied:
        yield True
    if not one.decided_unsatisfied:
        yield False


def excuse(coverage: Coverage, impossible: Iterable[Gap]) -> None:
    """Take out of a coverage what is proved impossible: it needs no test, so no test is missed.

    INVARIANT: a goal that a case has reached stays (test_coverage).
    """
    places = {(rule.type, rule.name): rule for rule in coverage.rules}
    for gap in impossible:
        rule = places.get((gap.type, gap.rule))
        tally = None if rule is None else _tally_of(rule, gap)
        if tally is not None and not getattr(tally, gap.goal):
            tally.impossible |= {gap.goal}


def _tally_of(rule: RuleCovered, gap: Gap) -> Tally | None:
    if gap.field is None or gap.atom is None:
        return rule.tally
    parts = ((condition.field, one) for condition, one in rule.parts())
    return next((one.tally for field, one in parts if (field, one.atom.start) == (gap.field, gap.atom.start)), None)


class Closing:
    """Which gaps a coverage closes, as it grows."""

    def __init__(self, coverage: Coverage) -> None:
        self._tallies: dict[tuple[str, str], Tally] = {(rule.type, rule.name): rule.tally for rule in coverage.rules}
        self._atoms: dict[tuple[str, str, str, int], AtomCovered] = {
            (rule.type, rule.name, condition.field, one.atom.start): one
            for rule in coverage.rules
            for condition, one in rule.parts()
        }

    def closes(self, gap: Gap) -> bool:
        """Whether the goal has been seen."""
        if gap.field is None or gap.atom is None:
            return bool(getattr(self._tallies[gap.type, gap.rule], gap.goal))
        one = self._atoms[gap.type, gap.rule, gap.field, gap.atom.start]
        if gap.goal == "deciding":
            return bool(one.decided_satisfied if gap.half else one.decided_unsatisfied)
        return bool(getattr(one.tally, gap.goal))
