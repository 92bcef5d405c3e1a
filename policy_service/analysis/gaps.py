"""What a suite leaves open, one gap for each goal that no case reached, and the port for whoever can close them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec

from policy_service.analysis.coverage import AtomCovered, Coverage, Goal, RuleCovered
from policy_service.language.atoms import Atom
from policy_service.language.policy import Policy
from policy_service.model.spans import Span


class Gap(msgspec.Struct, frozen=True):
    """One goal that was not reached.

    Args:
        type: the resource type, or `chain`.
        field, atom: of an atomic condition, the condition it is in (`when`, `require`) and itself; None for the whole
            rule.
        half: of a missing `deciding` of an atomic condition, which of the two it takes is missing: deciding while
            satisfied (True), while not (False), or both (None).
    """

    type: str
    rule: str
    goal: Goal
    place: Span
    field: str | None = None
    atom: Atom | None = None
    text: str | None = None
    half: bool | None = None


class Suggestion(msgspec.Struct, frozen=True):
    """What can be said of a gap. Exactly one of the two is set.

    Args:
        test: an entry of `tests:`, as YAML text to be pasted, that closes the gap; it was decided before it was shown.
        impossible: why no request reaches the goal.
    """

    test: str | None = None
    impossible: str | None = None


class Suggester(Protocol):
    """Closes gaps: for each the smallest request that does, or the proof that there is none."""

    def suggest(self, policy: Policy, gap: Gap) -> Suggestion | None:
        """None where it cannot tell (in time)."""


def gaps(coverage: Coverage) -> tuple[Gap, ...]:
    """All of them, in the order of the policy."""
    return tuple(gap for rule in coverage.rules for gap in _of_rule(rule))


def _of_rule(rule: RuleCovered) -> Iterator[Gap]:
    for goal in rule.tally.missing():
        yield Gap(rule.type, rule.name, goal, rule.place)
    for condition, one in rule.parts():
        for goal in one.tally.missing():
            half = _half(one) if goal == "deciding" else None
            yield Gap(rule.type, rule.name, goal, rule.place, condition.field, one.atom, one.text, half)


def _half(one: AtomCovered) -> bool | None:
    if one.decided_satisfied == one.decided_unsatisfied:
        return None
    return one.decided_satisfied == 0
