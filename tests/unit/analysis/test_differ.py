"""Equivalent, stricter, looser or both; each kind of change with a request that both engines decided."""

from __future__ import annotations

from policy_service.analysis.differ import Comparison, compare
from policy_service.analysis.judged import Judge
from policy_service.analysis.solving import Budget
from policy_service.language.load import load_policy
from tests.unit.analysis.policies import CHAIN, files

PROD = "[{name: prod, effect: deny, when: 'has(resource.attr.env) && resource.attr.env == \"prod\"'}]"


def compared(old: dict[str, str], new: dict[str, str], seconds: float = 20.0) -> Comparison:
    before, after = load_policy(old), load_policy(new)
    comparison = compare(before, after, Budget(seconds))
    for change in comparison.changes:
        assert Judge(before).decide(change.situation).allowed == (change.direction == "stricter")
        assert Judge(after).decide(change.situation).allowed == (change.direction == "looser")
    return comparison


def test_the_same_meaning_in_other_words_is_equivalent() -> None:
    """Not the same text, not the same digest: but nobody gains or loses."""
    other = PROD.replace('resource.attr.env == "prod"', 'resource.attr.env.matches("^prod$")')
    assert load_policy(files(PROD)).digest != load_policy(files(other)).digest
    assert compared(files(PROD), files(other)) == Comparison(())


def test_a_rule_that_is_taken_out_is_looser() -> None:
    """With who gains what, and which rule had denied it."""
    comparison = compared(files(PROD), files())
    assert comparison.verdict == "looser"
    denials = {change.denial: change for change in comparison.changes}
    change = denials["resource_denied", "prod"]
    assert change.scopes == ("pipelines:read", "pipelines:run")
    assert (change.types, change.rules, change.principals) == (("pipeline",), ("prod",), ("service", "user"))
    assert ("policy_error", "prod") in denials, "a value of the wrong type had been denied as well"


def test_a_role_that_gets_a_scope_is_looser_for_users() -> None:
    """The catalogue counts like the rules."""
    more = "roles: {viewer: {scopes: [pipelines:run]}, operator: {scopes: [pipelines:run]}}"
    comparison = compared(files(), files(roles=more))
    assert (comparison.verdict, comparison.changes[0].principals) == ("looser", ("user",))
    assert comparison.changes[0].denial == ("role_not_granted", None)


def test_the_order_of_checks_gives_nobody_access() -> None:
    """It decides only which reason is given."""
    swapped = CHAIN.replace("{check: scope}, {check: rbac}", "{check: rbac}, {check: scope}")
    assert compared(files(PROD), files(PROD, chain=swapped)).verdict == "equivalent"


def test_looser_and_stricter_at_once() -> None:
    """Another value in the same rule: one environment is opened, another closed."""
    assert compared(files(PROD), files(PROD.replace('"prod"', '"stage"'))).verdict == "both"


def test_no_time_is_not_equivalent() -> None:
    """What was not found out is said to be undecided."""
    comparison = compared(files(PROD), files(), seconds=0.0)
    assert comparison.verdict == "undecided"
    assert comparison.why == ("the time of 0 s was not enough",)


def test_a_default_that_changes() -> None:
    """Attributes count: a caller who says nothing is judged otherwise."""
    rules = "[{name: prod, effect: deny, when: 'resource.attr.env == \"prod\"'}]"
    old = files(rules, attributes="env: {type: string, default: dev}")
    new = files(rules, attributes="env: {type: string, default: prod}")
    assert compared(old, new).verdict == "stricter"
