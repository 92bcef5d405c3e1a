"""Whether one request reaches one goal of coverage, by a look at one rule: quick enough to try hundreds.

What passes here is judged again by `coverage`, which looks at the explanation of the whole decision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from policy_service.analysis.coverage import CHAIN
from policy_service.analysis.gaps import Gap
from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.engine.conditions.observe import observe
from policy_service.engine.decide import decide
from policy_service.engine.facts_read import Facts
from policy_service.engine.snapshot import Snapshot
from policy_service.language.atoms import atoms
from policy_service.language.ir import Condition
from policy_service.language.policy import ConditionCheck, Policy, Rule
from policy_service.model.decision import Decision
from policy_service.model.request import Request

_RESOURCE_POLICY: Final = ("resource_policy", None)


class Seen(msgspec.Struct, frozen=True):
    """One request of a known key, and what came of it."""

    decision: Decision
    facts: Facts


def see(policy: Policy, request: Request, world: Snapshot, now: int) -> Seen | None:
    """Decide a request; None where no key of this world asks."""
    key = world.keys.get(request.credential.key_id or "")
    return None if key is None else Seen(decide(request, world, now), Facts(policy, world, request, key, now))


class GoalCheck:
    """One gap, looked for."""

    def __init__(self, policy: Policy, gap: Gap) -> None:
        self._gap = gap
        self._check = next(
            (
                one
                for one in policy.chain
                if isinstance(one, ConditionCheck) and (CHAIN, one.name) == (gap.type, gap.rule)
            ),
            None,
        )
        rules = policy.resources[gap.type].rules if self._check is None else ()
        self._rule = next((rule for rule in rules if rule.name == gap.rule), None)
        self._order: list[tuple[str | None, str | None]] = [
            ("condition", one.name) if isinstance(one, ConditionCheck) else (one.name, None) for one in policy.chain
        ]
        condition = self._condition()
        self._parts = () if condition is None or gap.atom is None else atoms(condition)

    def _condition(self) -> Condition | None:
        if self._rule is not None:
            return self._rule.condition
        assert self._check is not None
        return self._check.when if self._gap.field == "when" else self._check.require

    def __call__(self, seen: Seen) -> bool:
        """Whether the goal seems to be reached."""
        if not self.is_reached(seen.decision):
            return False
        if self._rule is not None:
            return is_about(self._rule, seen.facts.request) and self._of_rule(self._rule, seen.decision, seen.facts)
        return self._of_check(seen.decision, seen.facts)

    def is_reached(self, decision: Decision) -> bool:
        """Whether no check before this one denies."""
        if decision.allowed:
            return True
        own = _RESOURCE_POLICY if self._check is None else ("condition", self._check.name)
        return self._order.index(denied_at(decision)) >= self._order.index(own)

    def _of_rule(self, rule: Rule, decision: Decision, facts: Facts) -> bool:
        if self._gap.atom is not None:
            return self._of_atom(facts)
        if self._gap.goal == "deciding" and rule.effect == "deny":
            return denied_at(decision) == _RESOURCE_POLICY and decision.rule == rule.name
        value = True if rule.condition is None else evaluate(rule.condition, facts.read)
        if self._gap.goal == "deciding":
            return value is True and (decision.allowed or denied_at(decision) != _RESOURCE_POLICY)
        return _WANTED[self._gap.goal](value)

    def _of_check(self, decision: Decision, facts: Facts) -> bool:
        check = self._check
        assert check is not None
        if check.resource_type not in (None, facts.request.resource.type):
            return False
        when = True if check.when is None else evaluate(check.when, facts.read)
        if self._gap.atom is not None:
            return (self._gap.field == "when" or when is True) and self._of_atom(facts)
        if self._gap.goal == "deciding":
            return not decision.allowed and decision.rule == check.name
        if when is False:
            return False
        return _WANTED[self._gap.goal](evaluate(check.require, facts.read) if when is True else when)

    def _of_atom(self, facts: Facts) -> bool:
        gap, condition = self._gap, self._condition()
        assert condition is not None
        assert gap.atom is not None
        index = next(number for number, part in enumerate(self._parts) if part.start == gap.atom.start)
        if gap.goal != "deciding":
            return _WANTED[gap.goal](evaluate(Condition(condition.text, gap.atom.expr), facts.read))
        observed = observe(condition, self._parts, facts.read)
        return index in observed.deciding and observed.values[index] is gap.half


_WANTED: Final[dict[str, Callable[[bool | Fault], bool]]] = {
    "satisfied": lambda value: value is True,
    "unsatisfied": lambda value: value is False,
    "faulted": lambda value: isinstance(value, Fault),
}


def is_about(rule: Rule, request: Request) -> bool:
    """Whether a rule applies to a request's scope and resource."""
    if rule.scopes is not None and request.scope not in rule.scopes:
        return False
    return rule.patterns is None or any(pattern.matches(request.resource.id) for pattern in rule.patterns)


def denied_at(decision: Decision) -> tuple[str | None, str | None]:
    """The check that denied, and its name where it is a condition."""
    return (decision.check, decision.rule if decision.check == "condition" else None)
