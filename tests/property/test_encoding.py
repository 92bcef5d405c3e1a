"""The formulas that proofs rest on say what the engine does: reason, check and rule, faults included."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.model.facts import Fact
from policy_service.model.request import Request
from tests.property.condition_pool import EVERYWHERE, ON_PIPELINES
from tests.property.drawing import coin, pick
from tests.property.encoded import NotRepresentable, ended
from tests.property.policies import FIXED, FREE, Documents, render
from tests.property.strategies import MOMENTS, Case, cases, draw_request, draw_world
from tests.worlds import program_of, snapshot_of

SETTINGS = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@SETTINGS
@given(cases(max_requests=6))
def test_formulas_end_as_the_engine_decides(case: Case) -> None:
    """For random policies, facts and requests; and no real world is excluded by what formulas take for granted."""
    hold(case.world.documents, case.world.facts, case.asked)


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


def good(request: Request) -> Request:
    """The same request for a scope that is on pipelines."""
    changes: dict[str, Any] = {"scope": "pipelines:read"} if request.resource.type == "pipeline" else {}
    return type(request)(**{**{name: getattr(request, name) for name in request.__struct_fields__}, **changes})


@SETTINGS
@given(single_conditions())
def test_every_condition_faults_and_is_satisfied_as_in_the_engine(case: Case) -> None:
    """One condition at a time, so that no other check hides it."""
    hold(case.world.documents, case.world.facts, case.asked)


def hold(documents: Documents, facts: list[Fact], asked: list[tuple[Request, int]]) -> None:
    """Decide each request both ways."""
    program = program_of(render(documents))
    snapshot = snapshot_of(program, facts)
    for request, now in asked:
        decision = decide(request, snapshot, now)
        try:
            found = ended(program.policy, request, snapshot, now)
        except NotRepresentable:
            assume(False)
        if not found.left_open:
            assert (found.reason, found.check, found.rule) == (decision.reason, decision.check, decision.rule)
