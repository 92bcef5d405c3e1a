"""Theorems about rules: their order, their duplicates, and what adding one can do."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy_service.language.load import load_policy
from tests.property.judging import judged
from tests.property.policies import Documents, render, rules
from tests.property.strategies import Case, cases

TYPES = ("pipeline", "connection")


def changed(documents: Documents, resource_type: str, new_rules: list[Any]) -> Documents:
    """The documents with other rules on one type."""
    result = copy.deepcopy(documents)
    result[f"resources/{resource_type}.yaml"]["rules"] = new_rules
    return result


def rules_of(documents: Documents, resource_type: str) -> list[Any]:
    found: list[Any] = documents[f"resources/{resource_type}.yaml"]["rules"]
    return found


@given(cases(), st.sampled_from(TYPES), st.data())
def test_the_order_of_rules_changes_nothing(case: Case, resource_type: str, data: st.DataObject) -> None:
    """Neither a decision nor the digest."""
    before = case.world.documents
    after = changed(before, resource_type, data.draw(st.permutations(rules_of(before, resource_type))))
    assert load_policy(render(after)).digest == load_policy(render(before)).digest
    assert judged(after, case.world.facts, case.asked) == judged(before, case.world.facts, case.asked)


@given(cases(), st.sampled_from(TYPES), st.data())
def test_the_same_rule_under_another_name_never_changes_the_decision(
    case: Case, resource_type: str, data: st.DataObject
) -> None:
    """Nor the reason, as long as the new name comes after the others: the first by name gives it."""
    before = case.world.documents
    found = rules_of(before, resource_type)
    if not found:
        return
    name = data.draw(st.sampled_from(("a-again", "z-again")))
    after = changed(before, resource_type, [*found, {**data.draw(st.sampled_from(found)), "name": name}])
    then, now = judged(before, case.world.facts, case.asked), judged(after, case.world.facts, case.asked)
    assert [verdict.allowed for verdict in now] == [verdict.allowed for verdict in then]
    if name == "z-again":
        assert now == then


@given(cases(), st.sampled_from(TYPES), st.data())
def test_adding_an_allow_rule_never_turns_allow_into_deny(case: Case, resource_type: str, data: st.DataObject) -> None:
    """Whatever its condition, even one that faults."""
    then, now = with_another(case, resource_type, data.draw(rules(resource_type, "another", "allow")))
    assert all(after.allowed or not before.allowed for before, after in zip(then, now, strict=True))


@given(cases(), st.sampled_from(TYPES), st.data())
def test_adding_a_deny_rule_never_turns_deny_into_allow(case: Case, resource_type: str, data: st.DataObject) -> None:
    """Whatever its condition, even one that faults."""
    then, now = with_another(case, resource_type, data.draw(rules(resource_type, "another", "deny")))
    assert all(before.allowed or not after.allowed for before, after in zip(then, now, strict=True))


def with_another(case: Case, resource_type: str, rule: Any) -> tuple[list[Any], list[Any]]:
    """Verdicts before and after a rule is added."""
    before = case.world.documents
    after = changed(before, resource_type, [*rules_of(before, resource_type), rule])
    return judged(before, case.world.facts, case.asked), judged(after, case.world.facts, case.asked)
