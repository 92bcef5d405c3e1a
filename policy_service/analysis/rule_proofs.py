"""What takes a proof to say of a rule: that it never decides, or that its condition is always the same.

Only what holds in every slice (scope and type) is said; a time-out or a construct without a formula says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from policy_service.analysis.encode.chain import BEFORE_RULES, ChainEncoder, rules_on, world_of
from policy_service.analysis.encode.conditions import Outcome
from policy_service.analysis.encode.terms import Truth, both, either, no, some
from policy_service.analysis.lint.lint import Proved
from policy_service.analysis.slices import Slice, allowable
from policy_service.analysis.solving import Budget, Solver
from policy_service.language.policy import Policy, ResourcePolicy, Rule

GOALS: Final = ("applies", "satisfied", "unsatisfied", "faulted", "reached", "deciding")


class Possible(msgspec.Struct):
    """What some request can bring about in one rule. What is not known counts as possible.

    Args:
        reached: satisfied (of a deny rule: or faulting) where the built-in checks pass.
        deciding: so that without it the request would be decided otherwise, or for another reason.
    """

    applies: bool = False
    satisfied: bool = False
    unsatisfied: bool = False
    faulted: bool = False
    reached: bool = False
    deciding: bool = False


class SolverProver:
    """`lint.Prover` by the solver.

    Args:
        timeout_s: for everything; what is not proved by then is left out.
    """

    def __init__(self, timeout_s: float = 30.0) -> None:
        self._timeout_s = timeout_s

    def prove(self, policy: Policy) -> Iterator[Proved]:
        """Everything that could be proved of the rules, by type and name."""
        possible = what_is_possible(policy, Budget(self._timeout_s))
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


def what_is_possible(policy: Policy, budget: Budget) -> dict[tuple[str, str], Possible]:
    """Of every rule, by type and name: what some request can bring about.

    Cost: up to six questions a rule and slice, some milliseconds each.
    """
    found: dict[tuple[str, str], Possible] = {}
    for part in allowable(policy):
        if part.type in policy.resources:
            _look(policy, part, budget, found)
    return found


def _look(policy: Policy, part: Slice, budget: Budget, found: dict[tuple[str, str], Possible]) -> None:
    for rule, truths in formulas(policy, part, budget):
        seen = found.setdefault((str(part.type), rule.name), Possible())
        for goal, could in truths:
            if not getattr(seen, goal):
                setattr(seen, goal, could())


class _Ask(msgspec.Struct, frozen=True):
    """A question to be asked if its answer is needed."""

    solver: Solver
    truth: Truth

    def __call__(self) -> bool:
        return self.solver.could(self.truth)


def formulas(policy: Policy, part: Slice, budget: Budget) -> Iterator[tuple[Rule, list[tuple[str, _Ask]]]]:
    """Each rule of a slice, with a question for every goal."""
    world = world_of([policy], part.scope, part.type)
    encoder = ChainEncoder(policy, world, part.scope, part.type)
    passes = encoder.chain(only=BEFORE_RULES).allowed
    rules = [(rule, *encoder.rule(rule)) for rule in rules_on(policy, part.scope, part.type)]
    solver = Solver(budget)
    solver.add(*world.well_formed())
    for rule, applies, outcome in rules:
        speaks = _speaks(rule, outcome)
        reached = both(applies, speaks, passes)
        truths = {
            "applies": applies,
            "satisfied": both(applies, outcome.satisfied),
            "unsatisfied": both(applies, outcome.unsatisfied),
            "faulted": both(applies, outcome.fault),
            "reached": reached,
            "deciding": both(reached, no(_others(rule, rules))),
        }
        yield rule, [(goal, _Ask(solver, truths[goal])) for goal in GOALS]


def _speaks(rule: Rule, outcome: Outcome) -> Truth:
    """Whether an applying rule has something to say: a deny rule has when it faults, too."""
    return either(outcome.satisfied, outcome.fault) if rule.effect == "deny" else outcome.satisfied


def _others(rule: Rule, rules: list[tuple[Rule, Truth, Outcome]]) -> Truth:
    """Whether another rule would have decided the same, or decides first.

    An allow rule decides nothing where any deny rule speaks, or another allow rule is satisfied. A deny rule gives no
    reason where one before it by name is satisfied; a satisfied one comes before all that fault.
    """
    before = [
        both(applies, _speaks(other, outcome) if rule.effect == "allow" else outcome.satisfied)
        for other, applies, outcome in rules
        if other.effect == "deny" and (rule.effect == "allow" or other.name < rule.name)
    ]
    same = [one for one in rules if one[0].effect == "allow" and one[0] is not rule and rule.effect == "allow"]
    return some([*before, *(both(applies, outcome.satisfied) for _, applies, outcome in same)])
