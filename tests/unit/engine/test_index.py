"""Finding the rules that apply, and judging them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Literal

import pytest

from policy_service.engine.endings import rule_fault
from policy_service.engine.index import KEPT, RuleIndex

Outcome = Literal["yes", "no", "fault"]
OUTCOMES: tuple[Outcome, ...] = ("yes", "no", "fault")
RESULT = {"yes": True, "no": False, "fault": None}


def ending(name: str) -> Any:
    return (False, "resource_denied", 403, "", "resource_policy", name)


def index(rules: Iterable[tuple[str, Outcome]], *, default_allow: bool = False) -> RuleIndex:
    """Rules named by their place, each with a condition of a given outcome."""
    made = RuleIndex(default_allow=default_allow)
    for place, (effect, outcome) in enumerate(rules):
        result = RESULT[outcome]
        if effect == "deny":
            made.deny(str(place), ending=ending(str(place)), prefixes=[""], satisfied=lambda result=result: result)
        else:
            made.allow(prefixes=[""], satisfied=lambda result=result: result)
    return made


WORLDS = [
    world
    for size in range(5)
    for world in itertools.product(itertools.product(("allow", "deny"), OUTCOMES), repeat=size)
]


@pytest.mark.parametrize("default_allow", [False, True])
def test_small_worlds(default_allow: bool) -> None:
    """All of {allow, deny} × {satisfied, not, fault}, up to four rules: deny, then fault, then allow or the default."""
    for world in WORLDS:
        result = index(world, default_allow=default_allow).applying("s", "id").judge()
        denied = [place for place, one in enumerate(world) if one == ("deny", "yes")]
        faulted = [place for place, one in enumerate(world) if one == ("deny", "fault")]
        ranks = {place: sum(1 for effect, _ in world[:place] if effect == "deny") for place in range(len(world))}
        if denied:
            assert result == ending(str(denied[0])), (world, ranks)
        elif faulted:
            assert result == rule_fault(str(faulted[0])), world
        elif default_allow or ("allow", "yes") in world:
            assert result is None, world
        else:
            assert result is not None, world
            assert result[1] == "resource_not_allowed", world


def test_cost_does_not_grow_with_the_rules() -> None:
    """Of 10,000 rules, only the conditions of those that apply are evaluated."""
    evaluated: list[int] = []

    def satisfied(number: int) -> Any:
        return lambda: evaluated.append(number)

    made = RuleIndex(default_allow=False)
    for number in range(10_000):
        made.deny(f"r{number:05}", ending=ending("x"), scopes=["s"], ids=[f"id-{number}"], satisfied=satisfied(number))
    made.applying("s", "id-77").judge()
    assert evaluated == [77]
    made.applying("other", "id-77").judge()
    made.applying("s", "id-10000").judge()
    assert evaluated == [77]


def test_a_rule_behind_a_satisfied_one_is_not_evaluated() -> None:
    """Once a deny rule is satisfied, those after it by name with the same pattern are of no interest."""
    made = RuleIndex(default_allow=False)
    made.deny("a", ending=ending("a"), prefixes=[""])
    made.deny("b", ending=ending("b"), prefixes=[""], satisfied=lambda: pytest.fail("not asked"))
    assert made.applying("s", "id").judge() == ending("a")


def test_faults_of_several_patterns() -> None:
    """The first faulting rule by name is told, wherever its pattern is filed."""
    made = RuleIndex(default_allow=True)
    made.deny("a", ending=ending("a"), prefixes=["i"], satisfied=lambda: None)
    made.deny("b", ending=ending("b"), ids=["id"], satisfied=lambda: None)
    made.deny("c", ending=ending("c"), prefixes=["id"], satisfied=lambda: None)
    assert made.applying("s", "id").judge() == rule_fault("a")


def test_facts_are_passed_on() -> None:
    """Conditions receive what their type's check gathered, in order."""
    made = RuleIndex(default_allow=False)
    made.allow(scopes=["s"], ids=["id"], satisfied=lambda first, second: (first, second) == (1, 2))
    assert made.applying("s", "id").judge(1, 2) is None
    assert made.applying("s", "id").judge(2, 1) is not None


def test_what_was_found_is_kept_for_so_many_ids_and_no_more() -> None:
    """And found again as it was, whatever was forgotten meanwhile; ids to which the same rules apply share them."""
    made = RuleIndex(default_allow=False)
    made.deny("a", ending=ending("a"), prefixes=["x-"])
    for number in range(3 * KEPT):
        rules = made.applying("s", f"x-{number}")
        assert made.found["s", f"x-{number}"] is rules
        assert rules is made.applying("s", "x-")
        assert len(made.found) <= KEPT
    assert made.applying("s", "x-0").ending == ending("a")
    assert made.applying("s", "y").ending != ending("a")


def test_an_answer_that_no_condition_can_change_is_settled() -> None:
    """A denial without a condition, an allow without one where nothing denies, or nothing at all."""
    satisfied = lambda: True  # noqa: E731 - a condition, as the generated code has them
    settled = RuleIndex(default_allow=False)
    settled.allow(ids=["allowed"])
    settled.allow(ids=["allowed"], satisfied=satisfied)
    settled.deny("a", ending=ending("a"), ids=["denied"])
    settled.deny("b", ending=ending("b"), ids=["denied"], satisfied=satisfied)
    settled.allow(ids=["denied"], satisfied=satisfied)
    for identity in ("allowed", "denied", "other"):
        rules = settled.applying("s", identity)
        assert rules.is_settled
        assert rules.ending == rules.judge()
    open_yet = RuleIndex(default_allow=True)
    open_yet.deny("a", ending=ending("a"), ids=["both", "deny"], satisfied=satisfied)
    open_yet.deny("b", ending=ending("b"), ids=["both"])
    for identity in ("both", "deny"):
        assert not open_yet.applying("s", identity).is_settled
        assert open_yet.applying("s", identity).judge() == ending("a")
