"""Theorem about lists: the few items that stand for a list show every outcome that some list shows."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest

from policy_service.analysis.encode.conditions import Outcome
from policy_service.analysis.encode.terms import every
from policy_service.analysis.goal_formulas import GoalFormulas
from policy_service.analysis.slices import Slice
from policy_service.analysis.solving import Budget, Solver
from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.language.load import load_policy
from policy_service.language.policy import Rule
from tests.unit.analysis.policies import files

ATOMS = (
    'resource.attr.tags.exists(t, t == "a")',
    'resource.attr.tags.exists(t, t != "a" && t != "b")',
    'resource.attr.tags.all(t, t in ["a", "c"])',
    'resource.attr.tags.all(t, t.startsWith("a"))',
    "resource.attr.tags.exists(t, t == resource.attr.env)",
    '!("b" in resource.attr.tags)',
    "resource.attr.tags.exists(t, t.startsWith(resource.attr.env) && 1 / (size(t) - 2) == 1)",
    "size(resource.attr.tags) == 3",
)
TEXTS = ("a", "b", "c", "ax", "dd", "")
ATTRIBUTES = "tags: {type: list(string), default: []}, env: {type: string, default: x}"


@pytest.mark.parametrize(
    "trio",
    list(combinations_with_replacement(ATOMS, 3)),
    ids=lambda trio: "-".join(str(ATOMS.index(one)) for one in trio),
)
def test_what_any_list_shows_the_slots_show(trio: tuple[str, ...]) -> None:
    """Three atomic conditions at once: every combination of outcomes that lists of up to four items bring about."""
    rules = ", ".join(f"{{name: r{number}, effect: deny, when: '{text}'}}" for number, text in enumerate(trio))
    policy = load_policy(files(f"[{rules}]", attributes=ATTRIBUTES))
    formulas = GoalFormulas(policy, Slice("pipelines:run", "pipeline"))
    outcomes = [formulas.rule(f"r{number}").outcome for number in range(3)]
    solver = Solver(Budget(60))
    solver.add(*formulas.world.well_formed())
    for came_to in sorted(shown(policy.resources["pipeline"].rules)):
        wanted = [truth(outcome, one) for outcome, one in zip(outcomes, came_to, strict=True)]
        assert solver.could(every(wanted)), came_to


def shown(rules: tuple[Rule, ...]) -> set[tuple[str, ...]]:
    """What the conditions come to together, over all small lists."""
    found = set()
    for length in range(5):
        for tags in combinations_with_replacement(TEXTS, length):
            for env in ("x", "a", "dd"):
                values: dict[str, object] = {"resource.attr.tags": tags, "resource.attr.env": env}
                found.add(tuple(word(evaluate(rule.condition, values.__getitem__)) for rule in rules if rule.condition))
    return found


def word(value: bool | Fault) -> str:
    return "fault" if isinstance(value, Fault) else "yes" if value else "no"


def truth(outcome: Outcome, came_to: str) -> object:
    return {"fault": outcome.fault, "yes": outcome.satisfied, "no": outcome.unsatisfied}[came_to]
