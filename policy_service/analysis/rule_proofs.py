"""What takes a proof to say of a rule or condition check: that it never decides, or is always the same.

Only what holds in every slice (scope and type) is said; a time-out or a construct without a formula says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import msgspec

from policy_service.analysis.coverage import CHAIN, Place
from policy_service.analysis.encode.terms import Truth, both, either
from policy_service.analysis.goal_formulas import RESOURCE_POLICY, GoalFormulas
from policy_service.analysis.lint.lint import Proofs, Proved
from policy_service.analysis.slices import Slice, reaching
from policy_service.analysis.solving import Budget, Solver
from policy_service.language.policy import ConditionCheck, Policy, ResourcePolicy, Rule

GOALS: Final = ("applies", "satisfied", "unsatisfied", "faulted", "reached", "deciding")

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Told how many steps there are; what it gives is told of those that are done."""


class Possible(msgspec.Struct):
    """What some request can bring about in one rule or check. What is not known counts as possible.

    Args:
        reached: satisfied (of a deny rule: or faulting) where no check before denies.
        deciding: so that without it the request would be decided otherwise, or for another reason.
        unknown: the goals of which nobody can tell.
    """

    applies: bool = False
    satisfied: bool = False
    unsatisfied: bool = False
    faulted: bool = False
    reached: bool = False
    deciding: bool = False
    unknown: set[str] = msgspec.field(default_factory=set)

    def take(self, goal: str, ask: Ask) -> None:
        """Ask, unless it is known to be possible."""
        if getattr(self, goal) and goal not in self.unknown:
            return
        answer = ask()
        if answer is not False:
            setattr(self, goal, True)
        if answer is None:
            self.unknown.add(goal)
        elif answer:
            self.unknown.discard(goal)


class Ask(msgspec.Struct, frozen=True):
    """A question to be asked if its answer is needed."""

    solver: Solver
    truth: Truth

    def __call__(self) -> bool | None:
        return self.solver.tells(self.truth)


class SolverProver:
    """`lint.Prover` by the solver.

    Args:
        timeout_s: for everything; what is not proved by then is undecided.
    """

    def __init__(self, timeout_s: float = 30.0, progress: Progress | None = None) -> None:
        self._timeout_s = timeout_s
        self._progress: Progress = progress or (lambda _total: nullcontext(lambda _steps: None))

    def prove(self, policy: Policy) -> Proofs:
        """Everything that could be proved: of the rules by type and name, of the checks in their order."""
        possible = self._possible(policy)
        found = [*_of_rules(policy, possible), *_of_checks(policy, possible)]
        return Proofs(tuple(found), tuple(name for (_, name), one in sorted(possible.items()) if one.unknown))

    def _possible(self, policy: Policy) -> dict[Place, Possible]:
        checks = [one for one in policy.chain if isinstance(one, ConditionCheck)]
        with self._progress(len(_slices(policy)) + len(checks)) as advance:
            found = what_is_possible(policy, budget := Budget(self._timeout_s), advance)
            for check in checks:
                found[CHAIN, check.name] = _of_check(policy, check, budget)
                advance(1)
        return found


def _of_rules(policy: Policy, possible: Mapping[Place, Possible]) -> Iterator[Proved]:
    for type_, resource in sorted(policy.resources.items()):
        for rule in resource.rules:
            said = _said(rule, resource, possible.get((type_, rule.name), Possible()))
            if said is not None:
                yield Proved(*said, rule.span)


def _said(rule: Rule, resource: ResourcePolicy, seen: Possible) -> tuple[str, str] | None:
    """The one thing that is worth saying of a rule, the plainest first."""
    name = f"the rule `{rule.name}`"
    if not seen.applies:
        return "unreachable-rule", f"no request reaches {name}: its scopes are on no request of this type; take it out"
    if rule.condition is not None and not seen.satisfied:
        if not seen.unsatisfied:
            return "always-faulting", f"the condition of {name} faults whatever the request; guard what it reads"
        faults = "; it can only fault, and then denies" if rule.effect == "deny" and seen.faulted else ""
        return "never-satisfied", f"no request satisfies the condition of {name}{faults}; correct it or take it out"
    if rule.condition is not None and not (seen.unsatisfied or seen.faulted):
        return "always-satisfied", f"every request satisfies the condition of {name}; leave the condition out"
    if not seen.reached:
        return "unreachable-rule", f"the checks deny every request that would satisfy {name}; take the rule out"
    if not seen.deciding and (rule.effect == "deny" or resource.default == "deny"):
        return "shadowed-rule", f"{name} changes nothing: whatever satisfies it is decided by other rules; take it out"
    return None


def _of_checks(policy: Policy, possible: Mapping[Place, Possible]) -> Iterator[Proved]:
    for check in policy.chain:
        if isinstance(check, ConditionCheck):
            said = _said_of_check(check, possible[CHAIN, check.name])
            if said is not None:
                yield Proved(*said, check.span)


def _said_of_check(check: ConditionCheck, seen: Possible) -> tuple[str, str] | None:
    name = f"the condition `{check.name}`"
    if not seen.reached:
        return "unreachable-rule", f"no request reaches {name}: the checks before it deny; take it out"
    if not (seen.satisfied or seen.unsatisfied or seen.faulted):
        return "never-satisfied", f"no request satisfies the `when` of {name}; correct it or take the check out"
    if not (seen.satisfied or seen.unsatisfied):
        return "always-faulting", f"{name} faults for every request that it is about; guard what it reads"
    if not seen.satisfied:
        return "never-satisfied", f"no request satisfies the `require` of {name}: it denies all that it is about"
    if not seen.deciding:
        return "always-satisfied", f"every request satisfies the `require` of {name}; take the check out"
    return None


def _of_check(policy: Policy, check: ConditionCheck, budget: Budget) -> Possible:
    seen = Possible(applies=True)
    for part in reaching(policy, check.name):
        if check.resource_type not in (None, part.type):
            continue
        found = GoalFormulas(policy, part)
        subject = found.check(check.name)
        truths = {
            "reached": subject.reached,
            "satisfied": both(subject.reached, subject.outcome.satisfied),
            "unsatisfied": both(subject.reached, subject.outcome.unsatisfied),
            "faulted": both(subject.reached, subject.outcome.fault),
            "deciding": both(subject.reached, subject.decides),
        }
        solver = Solver(budget)
        solver.add(*found.world.well_formed())
        for goal, truth in truths.items():
            seen.take(goal, Ask(solver, truth))
    return seen


def _slices(policy: Policy) -> list[Slice]:
    return [part for part in reaching(policy, RESOURCE_POLICY) if part.type in policy.resources]


def what_is_possible(
    policy: Policy, budget: Budget, advance: Callable[[int], None] = lambda _steps: None
) -> dict[Place, Possible]:
    """Of every rule, by type and name: what some request can bring about.

    Cost: up to six questions a rule and slice, some milliseconds each.
    """
    found: dict[Place, Possible] = {}
    for part in _slices(policy):
        for rule, questions in formulas(policy, part, budget):
            seen = found.setdefault((str(part.type), rule.name), Possible())
            for goal, ask in questions:
                seen.take(goal, ask)
        advance(1)
    return found


def formulas(policy: Policy, part: Slice, budget: Budget) -> Iterator[tuple[Rule, list[tuple[str, Ask]]]]:
    """Each rule of a slice, with a question for every goal."""
    found = GoalFormulas(policy, part)
    subjects = [(rule, found.rule(rule.name)) for rule in found.rules]
    solver = Solver(budget)
    solver.add(*found.world.well_formed())
    for rule, subject in subjects:
        applies, outcome = subject.applies, subject.outcome
        speaks = either(outcome.satisfied, outcome.fault) if rule.effect == "deny" else outcome.satisfied
        truths = {
            "applies": applies,
            "satisfied": both(applies, outcome.satisfied),
            "unsatisfied": both(applies, outcome.unsatisfied),
            "faulted": both(applies, outcome.fault),
            "reached": both(subject.reached, speaks),
            "deciding": both(subject.reached, subject.decides),
        }
        yield rule, [(goal, Ask(solver, truths[goal])) for goal in GOALS]
