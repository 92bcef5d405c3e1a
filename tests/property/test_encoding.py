"""The formulas that proofs rest on say what the engine does: reason, check and rule, faults included."""

from __future__ import annotations

import functools

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from policy_service.analysis.encode import calendar, functions
from policy_service.engine.conditions.functions import FUNCTIONS
from policy_service.language import ir
from policy_service.language.cel.calls import COMPARISONS
from policy_service.language.load import load_policy
from tests.property.both_ways import both_ways, draw_any_condition, good
from tests.property.condition_pool import EVERYWHERE, ON_PIPELINES
from tests.property.drawing import coin, pick
from tests.property.policies import ATTRIBUTES, CONTEXT, FIXED, FREE, NETWORKS, SCOPES, render
from tests.property.strategies import MOMENTS, Case, cases, draw_request, draw_world

SETTINGS = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


FORMULAS = {*functions.STRUCTURAL, *functions.FORMULAS, *calendar.PARTS, *COMPARISONS}


@SETTINGS
@given(cases(max_requests=6))
def test_formulas_end_as_the_engine_decides(case: Case) -> None:
    """For random policies, facts and requests; and no real world is excluded by what formulas take for granted."""
    hold(case)


@st.composite
def single_conditions(draw: st.DrawFn) -> Case:
    """A world in which one condition of the pool decides nearly every request: a deny rule on pipelines, alone."""
    world = draw_world(draw)
    pipeline = world.documents["resources/pipeline.yaml"]
    condition = pick(draw, EVERYWHERE + ON_PIPELINES)
    pipeline |= {"unregistered": "allow", "default": "allow"}
    pipeline["rules"] = [{"name": "only", "effect": "deny", "when": f"!({condition})" if coin(draw) else condition}]
    world.documents["chain.yaml"] = {"chain": [{"check": name} for name in FIXED + FREE]}
    asked = [(good(draw_request(draw, world)), pick(draw, MOMENTS)) for _ in range(3)]
    return Case(world, asked)


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_every_function_with_a_formula_is_in_the_pool(name: str) -> None:
    """So that the theorems below meet each of them; and what has none is named in a message of its own."""
    assert name in _overloads_of_the_pool()


def test_every_function_has_a_formula_or_a_name_in_words() -> None:
    """Of those that the engine knows."""
    assert set(FUNCTIONS) == FORMULAS | set(functions.WORDS)
    assert not FORMULAS & set(functions.WORDS)


@functools.cache
def _overloads_of_the_pool() -> set[str]:
    plain = {name: kind for name, (kind, _) in ATTRIBUTES["pipeline"].items()}
    rules = [{"name": f"r{n}", "effect": "allow", "when": text} for n, text in enumerate(EVERYWHERE + ON_PIPELINES)]
    documents = {
        "chain.yaml": {"chain": [{"check": name} for name in FIXED + FREE]},
        "scopes.yaml": {"scopes": SCOPES},
        "networks.yaml": {"networks": NETWORKS},
        "context.yaml": {"context": {name: kind for name, (kind, _) in CONTEXT.items()}},
        "resources/pipeline.yaml": {"resource": "pipeline", "attributes": plain, "rules": rules},
    }
    found = load_policy(render(documents)).resources["pipeline"].rules
    nodes = [node for rule in found if rule.condition for node in ir.walk(rule.condition.expr)]
    return {node.overload for node in nodes if isinstance(node, ir.Call)}


@SETTINGS
@given(single_conditions())
def test_every_condition_faults_and_is_satisfied_as_in_the_engine(case: Case) -> None:
    """One condition at a time, so that no other check hides it."""
    hold(case)


@st.composite
def any_conditions(draw: st.DrawFn) -> Case:
    """One condition of any shape."""
    return draw_any_condition(draw)


@settings(SETTINGS, max_examples=150)
@given(any_conditions())
def test_any_condition_comes_to_what_the_engine_says(case: Case) -> None:
    """Conditions of every shape that authors can write, on values of every kind."""
    hold(case)


def hold(case: Case) -> None:
    """Decide each request both ways."""
    for compared in both_ways(case):
        assume(compared.is_told)
        if not compared.left_open:
            assert compared.by_formulas == compared.by_engine
