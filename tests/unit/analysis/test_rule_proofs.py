"""Rules that never decide, and conditions that are always the same: proved, not guessed."""

from __future__ import annotations

import pytest

from policy_service.analysis.rule_proofs import SolverProver
from policy_service.language.load import load_policy
from tests.unit.analysis.policies import files


def said(rules: str, *, default: str = "allow") -> dict[str, str]:
    """Code by rule, as far as the message names it."""
    policy = load_policy(files(rules, default=default, attributes="env: {type: string, default: dev}, level: int"))
    names = {rule.span: rule.name for rule in policy.resources["pipeline"].rules}
    return {names[one.place]: one.code for one in SolverProver().prove(policy)}


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ('resource.attr.env == "a" && resource.attr.env == "b"', "never-satisfied"),
        ('resource.attr.env == "a" || resource.attr.env != "a"', None),
        ('has(resource.attr.env) || resource.attr.env == "a"', "always-satisfied"),
        ("resource.attr.level > 3 && resource.attr.level < 4", "never-satisfied"),
        ('resource.attr.env.startsWith("x") && size(resource.attr.env) < 1', "never-satisfied"),
        ("10 / 0 > 1", "always-faulting"),
        ('resource.type == "connection"', "never-satisfied"),
    ],
)
def test_conditions_that_are_always_the_same(condition: str, code: str | None) -> None:
    """Whatever the request; what can fault is neither always nor never satisfied."""
    found = said(f"[{{name: it, effect: deny, when: '{condition}'}}]")
    assert found.get("it") == code


def test_a_rule_behind_another_is_shadowed() -> None:
    """By name: the first satisfied deny rule gives the reason, so the second never speaks."""
    rules = "[{name: a, effect: deny}, {name: b, effect: deny, when: 'resource.attr.env == \"prod\"'}]"
    assert said(rules) == {"b": "shadowed-rule"}


def test_an_alternative_that_another_contains_is_shadowed() -> None:
    """Of two allow rules, one of which is satisfied whenever the other is."""
    rules = "[{name: a, effect: allow}, {name: b, effect: allow, resources: [etl-1]}]"
    assert said(rules, default="deny") == {"b": "shadowed-rule"}


def test_rules_that_matter_are_left_alone() -> None:
    """Two rules on different ids."""
    rules = "[{name: a, effect: deny, resources: ['etl-*']}, {name: b, effect: deny, resources: [adhoc]}]"
    assert said(rules) == {}
