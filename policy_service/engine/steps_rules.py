"""The checks on rules and conditions, one by one, for explanations. Conditions are interpreted, not compiled."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.engine.endings import condition_denial, condition_fault, rule_denial, rule_fault
from policy_service.engine.facts_read import Facts
from policy_service.engine.steps import Step, failed, passed
from policy_service.language.ir import Condition
from policy_service.language.policy import ConditionCheck, Effect, Rule

Verdict = Literal["satisfied", "unsatisfied", "faulted"]


class _Judged(msgspec.Struct, frozen=True):
    """One rule or condition, evaluated. `shown` is its JSON form."""

    verdict: Verdict
    shown: dict[str, Any]


def resource_policy(facts: Facts) -> Step:
    """resource_policy: a satisfied deny rule, then a faulting one, then whether anything allows."""
    policy = facts.policy.resources.get(facts.request.resource.type)
    if policy is None:
        detail = f"The resource type `{facts.request.resource.type}` has no policy, so nothing allows the request."
        return failed("resource_not_allowed", {"resource": ":".join(facts.place)}, detail)
    applying = [rule for rule in sorted(policy.rules, key=lambda rule: rule.name) if _applies(rule, facts)]
    judged = [(rule, _judge_rule(rule, facts)) for rule in applying]
    values = {
        "resource": ":".join(facts.place),
        "default": policy.default,
        "rules": [one.shown for _, one in judged],
    }
    for rule in _of(judged, "deny", "satisfied"):
        return Step("failed", rule_denial(rule), f"The deny rule `{rule.name}` is satisfied.", values)
    for rule in _of(judged, "deny", "faulted"):
        return Step("faulted", rule_fault(rule.name), f"The deny rule `{rule.name}` could not be evaluated.", values)
    if policy.default == "allow":
        return passed("No deny rule is satisfied, and the default of this type is allow.", values)
    for rule in _of(judged, "allow", "satisfied"):
        return passed(f"The allow rule `{rule.name}` is satisfied.", values)
    return failed("resource_not_allowed", values)


def condition(facts: Facts, check: ConditionCheck) -> Step:
    """A condition check: where it applies, its `require` must be satisfied."""
    if check.resource_type is not None and check.resource_type != facts.request.resource.type:
        return Step("not_applicable", None, f"It is about resources of type `{check.resource_type}`.", {})
    values: dict[str, Any] = {}
    if check.when is not None:
        when = _judge(check.when, facts)
        values["when"] = when.shown
        if when.verdict == "faulted":
            return Step("faulted", condition_fault(check.name), "Its `when` could not be evaluated.", values)
        if when.verdict == "unsatisfied":
            return Step("not_applicable", None, "Its `when` is not satisfied.", values)
    require = _judge(check.require, facts)
    values["require"] = require.shown
    if require.verdict == "faulted":
        return Step("faulted", condition_fault(check.name), "Its `require` could not be evaluated.", values)
    if require.verdict == "unsatisfied":
        return Step("failed", condition_denial(check), "Its `require` is not satisfied.", values)
    return passed("Its `require` is satisfied.", values)


def _applies(rule: Rule, facts: Facts) -> bool:
    """Whether a rule is about this scope and this resource."""
    if rule.scopes is not None and facts.request.scope not in rule.scopes:
        return False
    return rule.patterns is None or any(pattern.matches(facts.request.resource.id) for pattern in rule.patterns)


def _of(judged: list[tuple[Rule, _Judged]], effect: Effect, verdict: Verdict) -> list[Rule]:
    return [rule for rule, one in judged if rule.effect == effect and one.verdict == verdict]


def _judge_rule(rule: Rule, facts: Facts) -> _Judged:
    one = (
        _judge(rule.condition, facts) if rule.condition is not None else _Judged("satisfied", {"outcome": "satisfied"})
    )
    return _Judged(one.verdict, {"rule": rule.name, "effect": rule.effect, **one.shown})


def _judge(one: Condition, facts: Facts) -> _Judged:
    """Interpret a condition; a fault is shown with its place in the condition's text."""
    result = evaluate(one, facts.read)
    values = {"condition": one.text, "reads": facts.shown(one)}
    if isinstance(result, Fault):
        fault = {"message": result.message, "offset": result.offset}
        return _Judged("faulted", {"outcome": "faulted", "fault": fault, **values})
    verdict: Verdict = "satisfied" if result else "unsatisfied"
    return _Judged(verdict, {"outcome": verdict, **values})
