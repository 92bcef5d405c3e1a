"""Finding the rules that apply, and judging them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Literal

import pytest

from policy_service.engine.endings import rule_fault
from policy_service.engine.index import RuleIndex

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
        result = index(world, default_allow=default_allow).judge("s", "id")
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
    made.judge("s", "id-77")
    assert evaluated == [77]
    made.judge("other", "id-77")
    made.judge("s", "id-10000")
    assert evaluated == [77]


def test_a_rule_behind_a_satisfied_one_is_not_evaluated() -> None:
    """Once a deny rule is satisfied, those after it by name with the same pattern are of no interest."""
    made = RuleIndex(default_allow=False)
    made.deny("a", ending=ending("a"), prefixes=[""])
    made.deny("b", ending=ending("b"), prefixes=[""], satisfied=lambda: pytest.fail("not asked"))
    assert made.judge("s", "id") == ending("a")


def test_faults_of_several_patterns() -> None:
    """The first faulting rule by name is told, wherever its pattern is filed."""
    made = RuleIndex(default_allow=True)
    made.deny("a", ending=ending("a"), prefixes=["i"], satisfied=lambda: None)
    made.deny("b", ending=ending("b"), ids=["id"], satisfied=lambda: None)
    made.deny("c", ending=ending("c"), prefixes=["id"], satisfied=lambda: None)
    assert made.judge("s", "id") == rule_fault("a")


def test_facts_are_passed_on() -> None:
    """Conditions receive what their type's check gathered, in order."""
    made = RuleIndex(default_allow=False)
    made.allow(scopes=["s"], ids=["id"], satisfied=lambda first, second: (first, second) == (1, 2))
    assert made.judge("s", "id", 1, 2) is None
    assert made.judge("s", "id", 2, 1) is not None
