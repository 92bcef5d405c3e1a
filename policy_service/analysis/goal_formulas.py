"""What must hold for a goal of coverage to be reached, as formulas: the reading of `coverage` for the solver.

INVARIANT: a request reaches a goal exactly if it satisfies the goal's formula (test_suggest: theorems).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Final

import msgspec

from policy_service.analysis.coverage import CHAIN
from policy_service.analysis.encode.chain import ChainEncoder, rules_on, world_of
from policy_service.analysis.encode.conditions import Gap as NoFormula
from policy_service.analysis.encode.conditions import Outcome, State, encode
from policy_service.analysis.encode.terms import Truth, both, either, iff, no, some
from policy_service.analysis.gaps import Gap
from policy_service.analysis.slices import Slice
from policy_service.language import ir
from policy_service.language.atoms import Atom, atoms
from policy_service.language.ir import Condition
from policy_service.language.policy import Check, ConditionCheck, Policy, Rule
from policy_service.model.spans import Span


class Subject(msgspec.Struct, frozen=True):
    """A rule or condition check in one slice.

    Args:
        applies: it is about the resource.
        passes: its check is reached.
        outcome: what it comes to then.
        decides: the check ends with it.
        conditions: by field, with when it is evaluated once the subject is reached.
    """

    applies: Truth
    passes: Truth
    outcome: Outcome
    decides: Truth
    conditions: dict[str, tuple[Truth, Condition]]

    @property
    def reached(self) -> Truth:
        """It is looked at."""
        return both(self.applies, self.passes)


class GoalFormulas:
    """The formulas of one slice."""

    def __init__(self, policy: Policy, part: Slice) -> None:
        self._policy = policy
        self._part = part
        self.world = world_of([policy], part.scope, part.type)
        self._encoder = ChainEncoder(policy, self.world, part.scope, part.type)
        self._subjects: dict[tuple[str, str], Subject] = {}
        self._atoms: dict[tuple[str, str], list[Outcome]] = {}
        self._reaches: dict[str, Truth] = {}

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Constructs without a formula, with their places."""
        found = self._encoder.unsupported
        return tuple(f"{one.construct} has no formula ({one.span.file}:{one.span.line}, `{one.name}`)" for one in found)

    def reached(self, gap: Gap) -> Truth:
        """When the rule or check that a gap is about is evaluated at all."""
        return self._subject(gap).reached

    def goal(self, gap: Gap) -> Truth:
        """When a gap's goal is reached."""
        subject = self._subject(gap)
        if gap.field is None or gap.atom is None:
            truth = subject.decides if gap.goal == "deciding" else _came_to(subject.outcome, gap.goal)
            return both(subject.reached, truth)
        evaluated, condition = subject.conditions[gap.field]
        return both(subject.reached, evaluated, self._of_atom(gap, gap.atom, condition))

    def _of_atom(self, gap: Gap, atom: Atom, condition: Condition) -> Truth:
        parts = atoms(condition)
        index = next(number for number, part in enumerate(parts) if part.start == atom.start)
        outcomes = self._parts(condition, parts, gap.rule, gap.place)
        if gap.goal != "deciding":
            return _came_to(outcomes[index], gap.goal)
        other_way = [*outcomes]
        other_way[index] = Outcome(outcomes[index].unsatisfied, False)
        differs = _differ(_combined(condition, parts, outcomes), _combined(condition, parts, other_way))
        return both(_came_to(outcomes[index], "satisfied" if gap.half else "unsatisfied"), differs)

    def _parts(self, condition: Condition, parts: Iterable[Atom], name: str, span: Span) -> list[Outcome]:
        """What each atomic condition comes to. One without a formula stays open, for all who ask."""
        place = (name, condition.text)
        if place not in self._atoms:
            alone = [Condition(f"{name} {condition.text} {part.start}", part.expr) for part in parts]
            self._atoms[place] = [self._encoder.outcome(one, name, span) for one in alone]
        return self._atoms[place]

    def _outcome(self, condition: Condition | None, name: str, span: Span) -> Outcome:
        """What a condition comes to; where a part of it has no formula, of the other parts as much as can be said."""
        found = self._encoder.reading.outcome(condition)
        if condition is None or isinstance(found, Outcome):
            return self._encoder.outcome(condition, name, span)
        parts = atoms(condition)
        return _combined(condition, parts, self._parts(condition, parts, name, span))

    def _subject(self, gap: Gap) -> Subject:
        place = (gap.type, gap.rule)
        if place not in self._subjects:
            self._subjects[place] = self.check(gap.rule) if gap.type == CHAIN else self.rule(gap.rule)
        return self._subjects[place]

    def check(self, name: str) -> Subject:
        """A condition check of the chain."""
        check = next(one for one in self._policy.chain if isinstance(one, ConditionCheck) and one.name == name)
        applies = check.resource_type in (None, self._part.type)
        when = self._outcome(check.when, check.name, check.span)
        require = self._outcome(check.require, check.name, check.span)
        fault = either(when.fault, both(when.satisfied, require.fault))
        satisfied = both(when.satisfied, require.satisfied)
        denies = both(when.satisfied, require.unsatisfied)
        conditions = {"require": (when.satisfied, check.require)}
        if check.when is not None:
            conditions["when"] = (True, check.when)
        # Not satisfied is what denies; a `when` that is not satisfied leaves the check out.
        outcome = _Told(satisfied, fault, denies)
        return Subject(applies, self._reach(check), outcome, either(fault, denies), conditions)

    def rule(self, name: str) -> Subject:
        """A rule of the slice's type."""
        index, rule = next((number, one) for number, one in enumerate(self.rules) if one.name == name)
        applies, outcome = self._outcomes[index]
        decides = self._denies(index) if rule.effect == "deny" else self._lets_in(index)
        conditions = {} if rule.condition is None else {"when": (True, rule.condition)}
        check = next(one for one in self._policy.chain if one.name == RESOURCE_POLICY)
        return Subject(applies, self._reach(check), outcome, decides, conditions)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Those that can apply in this slice, by name."""
        return rules_on(self._policy, self._part.scope, self._part.type)

    @cached_property
    def _outcomes(self) -> list[tuple[Truth, Outcome]]:
        return [
            (self._encoder.applies(rule), self._outcome(rule.condition, rule.name, rule.span)) for rule in self.rules
        ]

    @cached_property
    def _spoken(self) -> dict[tuple[str, str], list[Truth]]:
        """By effect and outcome: for each rule when it applies and comes to that; False for those of another effect."""
        return {
            (effect, goal): [
                both(applies, _came_to(outcome, goal)) if rule.effect == effect else False
                for rule, (applies, outcome) in zip(self.rules, self._outcomes, strict=True)
            ]
            for effect, goal in (("deny", "satisfied"), ("deny", "faulted"), ("allow", "satisfied"))
        }

    def _reach(self, check: Check) -> Truth:
        if check.name not in self._reaches:
            self._reaches[check.name] = self._encoder.reaches(check)
        return self._reaches[check.name]

    def _denies(self, index: int) -> Truth:
        """A satisfied deny rule comes before all that fault; among several of a kind the first by name."""
        _, outcome = self._outcomes[index]
        satisfied, faulted = self._spoken["deny", "satisfied"], self._spoken["deny", "faulted"]
        first = no(some([*satisfied, *faulted[:index]]))
        return either(both(outcome.satisfied, no(some(satisfied[:index]))), both(outcome.fault, first))

    def _lets_in(self, index: int) -> Truth:
        """An allow rule is the only one that is satisfied, and no deny rule speaks."""
        denied = [*self._spoken["deny", "satisfied"], *self._spoken["deny", "faulted"]]
        allowed = self._spoken["allow", "satisfied"]
        return both(self._outcomes[index][1].satisfied, no(some([*denied, *allowed[:index], *allowed[index + 1 :]])))


RESOURCE_POLICY: Final = "resource_policy"


class _Told(Outcome, frozen=True):
    """An outcome of which it is told when it is not satisfied: a check may also be left out."""

    denies: Truth = False

    @property
    def unsatisfied(self) -> Truth:
        return self.denies


_GOALS: Final[dict[str, Callable[[Outcome], Truth]]] = {
    "satisfied": lambda outcome: outcome.satisfied,
    "unsatisfied": lambda outcome: outcome.unsatisfied,
    "faulted": lambda outcome: outcome.fault,
}


def _came_to(outcome: Outcome, goal: str) -> Truth:
    return _GOALS[goal](outcome)


def _differ(one: Outcome, other: Outcome) -> Truth:
    return either(no(iff(one.satisfied, other.satisfied)), no(iff(one.fault, other.fault)))


class _Known:
    """Where the atomic conditions of a condition are read by their number."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self._outcomes = outcomes

    def read(self, path: str) -> State:
        outcome = self._outcomes[int(path)]
        return State(outcome.fault, False, outcome.satisfied)


def _combined(condition: Condition, parts: Sequence[Atom], outcomes: Sequence[Outcome]) -> Outcome:
    """What the connectives make of atomic conditions."""
    numbers = {id(part.expr): number for number, part in enumerate(parts)}
    found = encode(Condition(condition.text, _skeleton(condition.expr, numbers)), _Known(outcomes))
    assert not isinstance(found, NoFormula), "connectives of truths always have a formula"
    return found


def _skeleton(node: ir.Expr, numbers: dict[int, int]) -> ir.Expr:
    """The connectives alone; in place of each atomic condition a read of its number."""
    if id(node) in numbers:
        return ir.Read(type=ir.BOOL, path=str(numbers[id(node)]))
    below = {name: _skeleton(getattr(node, name), numbers) for name in _BELOW[type(node)]}
    return msgspec.structs.replace(node, **below)


_BELOW: Final[dict[type, tuple[str, ...]]] = {
    ir.And: ("left", "right"),
    ir.Or: ("left", "right"),
    ir.Not: ("operand",),
    ir.Conditional: ("test", "then", "otherwise"),
}
