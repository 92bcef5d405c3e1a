"""What takes a proof to say of a rule or condition check: that it never decides, or is always the same.

Only what holds in every slice (scope and type) is said; a time-out or a construct without a formula says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from policy_service.analysis.check_questions import CheckGoal, CheckQuestions
from policy_service.analysis.goal_formulas import RESOURCE_POLICY
from policy_service.analysis.lint.lint import Proofs, Proved
from policy_service.analysis.rule_questions import RuleGoal, RuleQuestions
from policy_service.analysis.slices import reaching
from policy_service.analysis.solving import Budget
from policy_service.analysis.trials import Trials
from policy_service.language.policy import ConditionCheck, Policy, ResourcePolicy, Rule

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Told how many steps there are; what it gives is told of those that are done."""


class SolverProver:
    """`lint.Prover` by trials and by the solver.

    Args:
        timeout_s: for everything; what is not proved by then is undecided.
    """

    def __init__(self, timeout_s: float = 30.0, progress: Progress | None = None) -> None:
        self._timeout_s = timeout_s
        self._progress: Progress = progress or (lambda _total: nullcontext(lambda _steps: None))

    def prove(self, policy: Policy) -> Proofs:
        """Everything that could be proved: of the rules by type and name, of the checks in their order.

        Cost: some 2 ms a rule that does what it is for; ten times that, and more, for one of which that is to be
        refuted.
        """
        return _Proving(policy, Budget(self._timeout_s)).all(self._progress)


class _Proving:
    def __init__(self, policy: Policy, budget: Budget) -> None:
        self._policy = policy
        self._budget = budget
        self._trials = Trials(policy)
        self._parts = reaching(policy, RESOURCE_POLICY)
        self._unknown: list[str] = []
        self._bounds: set[str] = set()

    def all(self, progress: Progress) -> Proofs:
        rules = [(one, rule) for _, one in sorted(self._policy.resources.items()) for rule in one.rules]
        checks = [one for one in self._policy.chain if isinstance(one, ConditionCheck)]
        found: list[Proved] = []
        with progress(len(rules) + len(checks)) as advance:
            for resource, rule in rules:
                found += self._of_rule(resource, rule)
                advance(1)
            for check in checks:
                found += self._of_check(check)
                advance(1)
        return Proofs(tuple(found), tuple(sorted(self._unknown)), tuple(sorted(self._bounds)))

    def _of_rule(self, resource: ResourcePolicy, rule: Rule) -> Iterator[Proved]:
        parts = [one for one in self._parts if one.type == resource.type]
        mine = [one for one in parts if rule.scopes is None or one.scope in rule.scopes]
        asked = RuleQuestions(self._policy, resource.type, rule, mine, self._trials)
        if not self._budget.is_spent:
            asked.look()
        said = _said(rule, resource, asked, self._budget)
        if said is not None:
            yield Proved(*said, rule.span)
        self._note(rule.name, asked)

    def _of_check(self, check: ConditionCheck) -> Iterator[Proved]:
        asked = CheckQuestions(self._policy, check, self._trials)
        said = _said_of_check(check, asked, self._budget)
        if said is not None:
            yield Proved(*said, check.span)
        self._note(check.name, asked)

    def _note(self, name: str, asked: RuleQuestions | CheckQuestions) -> None:
        self._bounds |= asked.bounds
        if asked.unknown:
            self._unknown.append(name)


def _said(rule: Rule, resource: ResourcePolicy, asked: RuleQuestions, budget: Budget) -> tuple[str, str] | None:
    """The one thing that is worth saying of a rule, the plainest first."""
    name = f"the rule `{rule.name}`"

    def can(goal: RuleGoal) -> bool:
        return asked.can(goal, budget)

    if not can("applies"):
        return "unreachable-rule", f"no request reaches {name}: its scopes are on no request of this type; take it out"
    if rule.condition is not None and not can("satisfied"):
        if not can("unsatisfied"):
            return "always-faulting", f"the condition of {name} faults whatever the request; guard what it reads"
        faults = "; it can only fault, and then denies" if rule.effect == "deny" and can("faulted") else ""
        return "never-satisfied", f"no request satisfies the condition of {name}{faults}; correct it or take it out"
    if rule.condition is not None and not (can("unsatisfied") or can("faulted")):
        return "always-satisfied", f"every request satisfies the condition of {name}; leave the condition out"
    if not can("reached"):
        return "unreachable-rule", f"the checks deny every request that would satisfy {name}; take the rule out"
    if (rule.effect == "deny" or resource.default == "deny") and not can("deciding"):
        return "shadowed-rule", f"{name} changes nothing: whatever satisfies it is decided by other rules; take it out"
    return None


def _said_of_check(check: ConditionCheck, asked: CheckQuestions, budget: Budget) -> tuple[str, str] | None:
    name = f"the condition `{check.name}`"

    def can(goal: CheckGoal) -> bool:
        return asked.can(goal, budget)

    if not can("reached"):
        return "unreachable-rule", f"no request reaches {name}: the checks before it deny; take it out"
    if not (can("satisfied") or can("unsatisfied") or can("faulted")):
        return "never-satisfied", f"no request satisfies the `when` of {name}; correct it or take the check out"
    if not (can("satisfied") or can("unsatisfied")):
        return "always-faulting", f"{name} faults for every request that it is about; guard what it reads"
    if not can("satisfied"):
        return "never-satisfied", f"no request satisfies the `require` of {name}: it denies all that it is about"
    if not can("deciding"):
        return "always-satisfied", f"every request satisfies the `require` of {name}; take the check out"
    return None
