"""What some request can bring about in a condition check of the chain.

Where the rules come before the check, it is asked about without them first, as if they let everything pass: what is
impossible then is impossible. Only where the engine refuses the request that is found are all of them encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from policy_service.analysis.concrete import Concretizer, readable
from policy_service.analysis.coverage import CHAIN
from policy_service.analysis.encode.terms import Truth, both
from policy_service.analysis.gaps import Gap
from policy_service.analysis.goal_checks import GoalCheck, Seen
from policy_service.analysis.goal_formulas import RESOURCE_POLICY, GoalFormulas
from policy_service.analysis.questions import Questions
from policy_service.analysis.slices import Slice, reaching
from policy_service.analysis.solving import Budget, Solver
from policy_service.analysis.trials import Trials
from policy_service.language.policy import ConditionCheck, Policy

CheckGoal = Literal["reached", "satisfied", "unsatisfied", "faulted", "deciding"]
_TOLD: Final[tuple[Literal["satisfied", "unsatisfied", "faulted", "deciding"], ...]] = (
    "satisfied",
    "unsatisfied",
    "faulted",
    "deciding",
)


class CheckQuestions(Questions[CheckGoal]):
    """Questions about one condition check."""

    def __init__(self, policy: Policy, check: ConditionCheck, trials: Trials) -> None:
        super().__init__([one for one in reaching(policy, check.name) if check.resource_type in (None, one.type)])
        self._policy = policy
        self._check = check
        self._trials = trials
        self._asked: dict[tuple[Slice, bool], tuple[GoalFormulas, Solver, Mapping[CheckGoal, Truth]]] = {}
        names = [one.name for one in policy.chain]
        self._is_behind_rules = names.index(check.name) > names.index(RESOURCE_POLICY)
        self._goals = {goal: GoalCheck(policy, Gap(CHAIN, check.name, goal, check.span)) for goal in _TOLD}

    def _ask(self, goal: CheckGoal, part: Slice, budget: Budget) -> bool | None:
        if budget.is_spent:
            return None
        formulas, solver, truths = self._formulas(part, budget, with_rules=False)
        if not self._is_behind_rules:
            return self._settled(formulas, solver.tells(truths[goal]))
        truth = truths[goal]
        model = solver.example(both(truth, readable(formulas.world)), truth)
        if not model:
            return self._settled(formulas, model)
        seen = self._trials.see(Concretizer(formulas.world, model).situation())
        if seen is not None and self._shows(goal, seen):
            return True
        formulas, solver, truths = self._formulas(part, budget, with_rules=True)
        return self._settled(formulas, solver.tells(truths[goal]))

    def _shows(self, goal: CheckGoal, seen: Seen) -> bool:
        if goal == "reached":
            return next(iter(self._goals.values())).is_reached(seen.decision)
        return self._goals[goal](seen)

    def _formulas(
        self, part: Slice, budget: Budget, *, with_rules: bool
    ) -> tuple[GoalFormulas, Solver, Mapping[CheckGoal, Truth]]:
        if (part, with_rules) not in self._asked:
            formulas = GoalFormulas(self._policy if with_rules else _open(self._policy), part)
            subject = formulas.check(self._check.name)
            truths: dict[CheckGoal, Truth] = {
                "reached": subject.reached,
                "satisfied": both(subject.reached, subject.outcome.satisfied),
                "unsatisfied": both(subject.reached, subject.outcome.unsatisfied),
                "faulted": both(subject.reached, subject.outcome.fault),
                "deciding": both(subject.reached, subject.decides),
            }
            solver = Solver(budget)
            solver.add(*formulas.world.well_formed())
            self._asked[part, with_rules] = formulas, solver, truths
        return self._asked[part, with_rules]


def _open(policy: Policy) -> Policy:
    """The same policy with no rule that denies anything; types without a file stay closed."""
    resources = {
        type_: msgspec.structs.replace(resource, rules=(), default="allow")
        for type_, resource in policy.resources.items()
    }
    return msgspec.structs.replace(policy, resources=resources)
