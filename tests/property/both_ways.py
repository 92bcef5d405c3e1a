"""Requests decided both ways, by the engine and by the formulas; and one condition of any shape that decides alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.language import ir
from policy_service.language.policy import Attribute
from policy_service.model.instants import format_rfc3339
from policy_service.model.request import Request, ResourceRef
from policy_service.model.values import ABSENT, WRONG
from tests.property import cel_expressions as cel
from tests.property.drawing import pick
from tests.property.encoded import NotRepresentable, ended
from tests.property.policies import FIXED, FREE
from tests.property.strategies import MOMENTS, Case, draw_request, draw_world
from tests.worlds import program_of, snapshot_of

Ending = tuple[str, str | None, str | None]
"""Reason, check and rule."""


class Compared(msgspec.Struct, frozen=True):
    """One request.

    Args:
        by_formulas: None where the formulas do not stand for its facts: lists longer than they look at.
        left_open: whether a construct without a formula was in it; then nothing follows from a difference.
    """

    by_engine: Ending
    by_formulas: Ending | None
    left_open: bool = False

    @property
    def is_told(self) -> bool:
        return self.by_formulas is not None

    @property
    def differs(self) -> bool:
        return self.is_told and not self.left_open and self.by_formulas != self.by_engine


def both_ways(case: Case) -> Iterator[Compared]:
    """Each request of a case. An AssertionError: what the formulas take for granted excludes a real world."""
    program = program_of(case.world.files())
    snapshot = snapshot_of(program, case.world.facts)
    for request, now in case.asked:
        decision = decide(request, snapshot, now)
        engine = (decision.reason, decision.check, decision.rule)
        try:
            found = ended(program.policy, request, snapshot, now)
        except NotRepresentable:
            yield Compared(engine, None)
        else:
            yield Compared(engine, (found.reason, found.check, found.rule), found.left_open)


def good(request: Request) -> Request:
    """The same request for a scope that is on pipelines."""
    changes: dict[str, Any] = {"scope": "pipelines:read"} if request.resource.type == "pipeline" else {}
    return type(request)(**{**{name: getattr(request, name) for name in request.__struct_fields__}, **changes})


def draw_any_condition(draw: st.DrawFn) -> Case:
    """A world in which one condition of any shape decides, and requests whose claims are of all kinds."""
    world = draw_world(draw)
    text = cel.condition(lambda options: pick(draw, range(options)), depth=3)
    world.documents["chain.yaml"] = {"chain": [{"check": name} for name in FIXED + FREE]}
    world.documents["networks.yaml"] = {"networks": cel.NETWORK_CIDRS}
    world.documents["context.yaml"] = {"context": {one.name: _declared(one) for one in cel.CONTEXT}}
    world.documents["resources/connection.yaml"] = {"resource": "connection"}
    world.documents["resources/pipeline.yaml"] = {
        "resource": "pipeline",
        "unregistered": "allow",
        "default": "allow",
        "attributes": {one.name: _declared(one) for one in cel.ATTRIBUTES},
        "rules": [{"name": "only", "effect": "deny", "when": text}],
    }
    asked = [(_claiming(draw, good(draw_request(draw, world))), pick(draw, MOMENTS)) for _ in range(3)]
    return Case(world, asked)


def _declared(attribute: Attribute) -> Any:
    kind = str(attribute.type)
    return {"type": kind, "default": attribute.default} if attribute.has_default else kind


def _claiming(draw: st.DrawFn, request: Request) -> Request:
    """The same request with claims for everything that can be read."""
    values = cel.values(lambda options: pick(draw, range(options)))
    said = {path: _as_claimed(value, cel.TYPES[path]) for path, value in values.items() if value is not ABSENT}
    attributes = {path.removeprefix("resource.attr."): one for path, one in said.items() if "resource.attr." in path}
    context = {path.removeprefix("request.context."): one for path, one in said.items() if "request.context." in path}
    resource = ResourceRef("pipeline", "etl-9", request.resource.workspace, request.resource.owner, attributes)
    return Request(request.credential, "pipelines:read", resource, request.source_ip, context)


def _as_claimed(value: Any, kind: ir.Type) -> Any:
    """Run-time value → JSON."""
    if value is WRONG:
        return {}
    if isinstance(value, tuple):
        return [_as_claimed(item, kind.element or kind) for item in value]
    return format_rfc3339(value) if kind.kind == "timestamp" else value
