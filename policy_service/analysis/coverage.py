"""What a suite made of every rule and condition: seen satisfied, not satisfied, faulting, and deciding.

It watches the explanation of every case, so it has no second idea of what a rule means: a rule counts where its check
was reached and it applied. A deny rule or condition *decides* where the check ends with it; an allow rule where it is
the only one that lets the request pass. An atomic condition decides as MC/DC has it (see `conditions.observe`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from policy_service.analysis.run_suite import Worlds
from policy_service.engine.conditions.evaluate import Fault
from policy_service.engine.conditions.observe import Observed, observe
from policy_service.engine.conditions.partial import may_fault
from policy_service.engine.explain import explain
from policy_service.engine.facts_read import Facts
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.atoms import Atom, atom_text, atoms
from policy_service.language.ir import Condition
from policy_service.language.policy import ConditionCheck, Policy, Rule
from policy_service.language.suite.suite import SuiteTest
from policy_service.model.decision import CheckTrace
from policy_service.model.request import Request
from policy_service.model.spans import Span

Goal = Literal["satisfied", "unsatisfied", "faulted", "deciding"]
GOALS: Final[tuple[Goal, ...]] = ("satisfied", "unsatisfied", "faulted", "deciding")
CHAIN: Final = "chain"
Place = tuple[str, str]
"""Where a condition stands: resource type (`chain` for condition checks) and name."""


class Tally(msgspec.Struct):
    """How often each goal was reached.

    Attributes:
        wanted: the goals that make sense for it; others are neither reached nor missed.
        impossible: those of them that no request ever reaches, as proved: they are not missed either.
    """

    wanted: tuple[Goal, ...]
    satisfied: int = 0
    unsatisfied: int = 0
    faulted: int = 0
    deciding: int = 0
    impossible: frozenset[Goal] = frozenset()

    def missing(self) -> tuple[Goal, ...]:
        """The goals that no case reached, though one could."""
        return tuple(goal for goal in self.wanted if not getattr(self, goal) and goal not in self.impossible)

    def possible(self) -> int:
        """How many goals there are to reach."""
        return len(self.wanted) - len(self.impossible)


class AtomCovered(msgspec.Struct):
    """One atomic condition. It is deciding where it decided both satisfied and not."""

    atom: Atom
    text: str
    tally: Tally
    decided_satisfied: int = 0
    decided_unsatisfied: int = 0

    def take(self, value: bool | Fault, *, is_deciding: bool) -> None:
        """Count one evaluation."""
        _count(self.tally, value)
        if is_deciding:
            self.decided_satisfied += value is True
            self.decided_unsatisfied += value is False
            self.tally.deciding = min(self.decided_satisfied, self.decided_unsatisfied)


class ConditionCovered(msgspec.Struct):
    """The condition of a rule (`when`), or one of a condition check (`when`, `require`)."""

    field: str
    condition: Condition
    atoms: tuple[AtomCovered, ...]

    def take(self, observed: Observed) -> None:
        """Count one evaluation."""
        for index, (one, value) in enumerate(zip(self.atoms, observed.values, strict=True)):
            one.take(value, is_deciding=index in observed.deciding)


class RuleCovered(msgspec.Struct):
    """One rule, or one condition check."""

    type: str
    name: str
    effect: str
    place: Span
    tally: Tally
    conditions: tuple[ConditionCovered, ...]

    def parts(self) -> Iterator[tuple[ConditionCovered, AtomCovered]]:
        """Its atomic conditions. One that is all there is says the same as the rule itself, so it is left out."""
        found = [(condition, one) for condition in self.conditions for one in condition.atoms]
        yield from found if len(found) > 1 else ()

    def tallies(self) -> Iterator[Tally]:
        """Its own, and those of its parts."""
        yield self.tally
        yield from (one.tally for _condition, one in self.parts())


class Coverage(msgspec.Struct):
    """All rules and condition checks of a policy, in the order chain, then resource types by name."""

    rules: tuple[RuleCovered, ...]

    def goals(self) -> int:
        """How many there are to reach; those that are proved impossible are not."""
        return sum(tally.possible() for rule in self.rules for tally in rule.tallies())

    def impossible(self) -> int:
        """How many goals are proved impossible."""
        return sum(len(tally.impossible) for rule in self.rules for tally in rule.tallies())

    def reached(self) -> int:
        """How many some case reached."""
        return self.goals() - sum(len(tally.missing()) for rule in self.rules for tally in rule.tallies())

    def percent(self) -> float:
        """Of the goals, those reached; 100 where there is none."""
        return 100.0 * self.reached() / self.goals() if self.goals() else 100.0


def cover(tests: Iterable[SuiteTest], program: Program) -> Coverage:
    """Run tests and watch every rule.

    Cost: about 0.2 ms a case.
    """
    watch, worlds = Watch(program.policy), Worlds(program)
    for test in tests:
        snapshot = worlds.of(test.facts)
        for case in test.cases:
            watch.take(case.request, snapshot, test.now)
    return watch.coverage


class Watch:
    """Counts what the explanation of each request tells.

    Args:
        only: the rules and condition checks to be watched; None: all. Those that it loses meanwhile are passed over.
    """

    def __init__(self, policy: Policy, only: Collection[Place] | None = None) -> None:
        self._policy = policy
        self._only = only
        self.coverage = Coverage(tuple(_subjects(policy, only)))
        self._rules: Mapping[Place, RuleCovered] = {(rule.type, rule.name): rule for rule in self.coverage.rules}

    def take(self, request: Request, snapshot: Snapshot, now: int) -> None:
        """Count one request."""
        key = snapshot.keys.get(request.credential.key_id or "")
        if key is None:
            return
        facts = Facts(self._policy, snapshot, request, key, now)
        for trace in explain(request, snapshot, now).checks:
            if trace.check == "resource_policy":
                self._take_rules(trace, facts)
            elif trace.check == "condition" and trace.values:
                self._take_condition(trace, facts)

    def _watched(self, type_: str, name: str) -> RuleCovered | None:
        place = (type_, name)
        return self._rules.get(place) if self._only is None or place in self._only else None

    def _take_rules(self, trace: CheckTrace, facts: Facts) -> None:
        judged = trace.values.get("rules", ())
        letting_in = [one["rule"] for one in judged if one["effect"] == "allow" and one["outcome"] == "satisfied"]
        by_default = trace.values.get("default") == "allow"
        for one in judged:
            covered = self._watched(facts.request.resource.type, one["rule"])
            if covered is None:
                continue
            _count(covered.tally, _value(one))
            lets_in = trace.outcome == "passed" and not by_default and letting_in == [one["rule"]]
            covered.tally.deciding += trace.rule == one["rule"] or lets_in
            self._observe(covered, facts)

    def _take_condition(self, trace: CheckTrace, facts: Facts) -> None:
        covered = self._watched(CHAIN, trace.name)
        if covered is None:
            return
        # A `when` that faults denies like a `require` that does; one that is not satisfied leaves the check out.
        last = trace.values["require" if "require" in trace.values else "when"]
        if "require" in trace.values or last["outcome"] == "faulted":
            _count(covered.tally, _value(last))
        covered.tally.deciding += trace.rule == trace.name
        self._observe(covered, facts, trace.values)

    def _observe(self, covered: RuleCovered, facts: Facts, evaluated: Mapping[str, Any] | None = None) -> None:
        for condition in covered.conditions:
            if evaluated is None or condition.field in evaluated:
                parts = [one.atom for one in condition.atoms]
                condition.take(observe(condition.condition, parts, facts.read))


def _value(judged: Mapping[str, Any]) -> bool | Fault:
    outcome = judged["outcome"]
    return Fault("", 0) if outcome == "faulted" else outcome == "satisfied"


def _count(tally: Tally, value: bool | Fault) -> None:
    tally.satisfied += value is True
    tally.unsatisfied += value is False
    tally.faulted += isinstance(value, Fault)


def _subjects(policy: Policy, only: Collection[Place] | None) -> Iterator[RuleCovered]:
    for check in policy.chain:
        if isinstance(check, ConditionCheck) and (only is None or (CHAIN, check.name) in only):
            yield _of_check(check)
    for type_, resource in sorted(policy.resources.items()):
        for rule in resource.rules:
            if only is None or (type_, rule.name) in only:
                yield _of_rule(type_, rule, default_allow=resource.default == "allow")


def _of_check(check: ConditionCheck) -> RuleCovered:
    when = [_of_condition("when", check.when)] if check.when is not None else []
    tally = Tally(_goals([check.require, *([check.when] if check.when else [])]))
    return RuleCovered(
        CHAIN, check.name, "require", check.span, tally, (*when, _of_condition("require", check.require))
    )


def _of_rule(type_: str, rule: Rule, *, default_allow: bool) -> RuleCovered:
    if rule.condition is None:
        wanted: tuple[Goal, ...] = ("satisfied", "deciding")
        conditions: tuple[ConditionCovered, ...] = ()
    else:
        wanted, conditions = _goals([rule.condition]), (_of_condition("when", rule.condition),)
    if default_allow and rule.effect == "allow":
        # Such a rule changes nothing, so there is nothing for it to decide.
        wanted = tuple(goal for goal in wanted if goal != "deciding")
    return RuleCovered(type_, rule.name, rule.effect, rule.span, Tally(wanted), conditions)


def _of_condition(field: str, condition: Condition) -> ConditionCovered:
    parts = atoms(condition)
    covered = [AtomCovered(part, atom_text(condition, part), Tally(_atom_goals(part))) for part in parts]
    return ConditionCovered(field, condition, tuple(covered))


def _goals(conditions: Iterable[Condition]) -> tuple[Goal, ...]:
    can_fault = any(may_fault(condition.expr) for condition in conditions)
    return tuple(goal for goal in GOALS if goal != "faulted" or can_fault)


def _atom_goals(atom: Atom) -> tuple[Goal, ...]:
    return tuple(goal for goal in GOALS if goal != "faulted" or may_fault(atom.expr))
