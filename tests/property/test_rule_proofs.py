"""Theorems about what lint proves of rules: trials and a few fellows say what all formulas of a slice together say."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from policy_service.analysis.encode.terms import Truth, both, either
from policy_service.analysis.goal_formulas import RESOURCE_POLICY, GoalFormulas, Subject
from policy_service.analysis.rule_questions import RULE_GOALS, RuleGoal, RuleQuestions
from policy_service.analysis.slices import Slice, reaching
from policy_service.analysis.solving import Budget, Solver
from policy_service.analysis.trials import Trials
from policy_service.language.load import load_policy
from policy_service.language.policy import Policy, Rule
from tests.property.strategies import Case, cases

SETTINGS = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SETTINGS
@given(cases(max_requests=1))
def test_a_few_fellows_prove_what_all_of_them_prove(case: Case) -> None:
    """For every rule and goal: possible exactly if the whole slice, encoded at once, allows it somewhere."""
    policy = load_policy(case.world.files())
    trials, budget = Trials(policy), Budget(60)
    for type_, resource in policy.resources.items():
        parts = [part for part in reaching(policy, RESOURCE_POLICY) if part.type == type_]
        for rule in resource.rules:
            mine = [part for part in parts if rule.scopes is None or part.scope in rule.scopes]
            asked = RuleQuestions(policy, type_, rule, mine, trials)
            asked.look()
            for goal in RULE_GOALS:
                if goal == "deciding" and rule.effect == "allow" and resource.default == "allow":
                    continue  # there is nothing for it to decide
                can = asked.can(goal, budget)
                if goal not in asked.unknown:
                    assert can is any_slice_allows(policy, rule, mine, goal, budget), (type_, rule.name, goal)


def any_slice_allows(policy: Policy, rule: Rule, parts: list[Slice], goal: RuleGoal, budget: Budget) -> bool:
    """What the formulas of all rules at once say."""
    for part in parts:
        formulas = GoalFormulas(policy, part)
        truth = truth_of(goal, rule, formulas.rule(rule.name))
        solver = Solver(budget)
        solver.add(*formulas.world.well_formed())
        if solver.could(truth):
            return True
    return False


def truth_of(goal: RuleGoal, rule: Rule, subject: Subject) -> Truth:
    """A goal as a formula."""
    found = subject.outcome
    speaking = either(found.satisfied, found.fault) if rule.effect == "deny" else found.satisfied
    return {
        "applies": subject.applies,
        "satisfied": both(subject.applies, found.satisfied),
        "unsatisfied": both(subject.applies, found.unsatisfied),
        "faulted": both(subject.applies, found.fault),
        "reached": both(subject.reached, speaking),
        "deciding": both(subject.reached, subject.decides),
    }[goal]
