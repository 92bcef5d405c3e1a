"""The generated module itself: run from a real file, so that its lines can be seen and counted.

One policy with every condition of the pool, each on a resource type of its own, so that each is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.program import Program
from policy_service.model.decision import Decision
from policy_service.model.facts import ApiKey, Fact
from policy_service.model.request import Credential, Request, ResourceRef
from tests.property.condition_pool import EVERYWHERE, ON_PIPELINES
from tests.property.drawing import coin, pick
from tests.property.policies import ATTRIBUTES, CONTEXT, FIXED, FREE, NETWORKS, Documents, render
from tests.property.strategies import MOMENTS, RIGHT, WRONG, World, draw_request, draw_workspace
from tests.worlds import program_of, snapshot_of

CONDITIONS = (*EVERYWHERE, *ON_PIPELINES)
TYPES = tuple(f"type-{number}" for number in range(len(CONDITIONS)))
ROLES = {"operator": {"scopes": ["things:use"]}, "viewer": {}}
SCOPES = {"things:use": {"on": [*TYPES, "plain"]}, "things:see": {"on": ["plain"]}}
GOOD_KEYS = ("servacme0000", "useracme0000", "endsacme0000")
TOO_LONG = 10_001
"""More elements than the iteration budget of one evaluation."""


class Long(list[Any]):
    """A list that a failing test does not print."""

    def __repr__(self) -> str:
        return f"[{self[0]!r}] * {len(self)}"


def everything() -> Documents:
    """Every condition of the pool as an allow rule, and condition checks of every form."""
    attributes = {name: kind for name, (kind, _) in ATTRIBUTES["pipeline"].items()}
    types = {
        f"resources/{name}.yaml": {
            "resource": name,
            "unregistered": "allow",
            "attributes": attributes,
            "rules": [{"name": "only", "effect": "allow", "when": condition}],
        }
        for name, condition in zip(TYPES, CONDITIONS, strict=True)
    }
    return {
        "chain.yaml": {"chain": [{"check": name} for name in FIXED] + middle() + [{"check": name} for name in FREE]},
        "scopes.yaml": {"scopes": SCOPES},
        "roles.yaml": {"roles": ROLES},
        "networks.yaml": {"networks": NETWORKS},
        "context.yaml": {"context": {name: kind for name, (kind, _) in CONTEXT.items()}},
        **types,
    }


def middle() -> list[dict[str, Any]]:
    """Condition checks with and without `when`, on every type, on one with attributes and on one without a file."""
    odd = 'request.context.ticket == "T-9"'
    checks: list[dict[str, Any]] = [
        {"name": "always", "require": f"!has(request.context.ticket) || !({odd})"},
        {"name": "guarded", "when": "request.context.level > 2", "require": odd, "resource": TYPES[0]},
        {
            "name": "attributed",
            "when": "resource.attr.frozen",
            "require": "resource.attr.level > 0",
            "resource": TYPES[1],
        },
        {"name": "fileless", "require": "resource.owner != principal.id", "resource": "plain"},
    ]
    return [{"check": "condition", "reason": "not_now", **check} for check in checks]


def run_from_file(program: Program, path: Path) -> Callable[[Request, Any, int], Decision]:
    """The `decide` of the same text, compiled from a file. The names it is given are those the program was given."""
    path.write_text(program.source, encoding="utf-8")
    namespace = dict(program.decide.__globals__)
    exec(compile(program.source, str(path), "exec"), namespace)
    found: Callable[[Request, Any, int], Decision] = namespace["decide"]
    return found


def draw_claimed(draw: st.DrawFn, declared: dict[str, tuple[str, Any]]) -> dict[str, Any]:
    """All right, all absent, all wrong, or too long: one mood for a whole request, but for a single name at times."""
    mood = pick(draw, ("right", "right", "right", "absent", "wrong", "long"))
    odd = pick(draw, tuple(declared))
    moods = dict.fromkeys(declared, mood)
    if coin(draw):
        moods[odd] = pick(draw, ("right", "absent", "wrong"))
    return {name: value_in(draw, kind, moods[name]) for name, (kind, _) in declared.items() if moods[name] != "absent"}


def value_in(draw: st.DrawFn, kind: str, mood: str) -> Any:
    element = kind.removeprefix("list(").removesuffix(")")
    if element == kind:
        return pick(draw, (WRONG if mood == "wrong" else RIGHT)[kind])
    options = ("secret", "things:use", *RIGHT["string"]) if element == "string" else RIGHT[element]
    items = [pick(draw, options) for _ in range(2)]
    return {"wrong": [*items, None], "long": Long(items[:1] * TOO_LONG)}.get(mood, items[: pick(draw, range(3))])


class Questions:
    """The facts of one workspace, and requests on every type: too much to print."""

    def __init__(self, facts: list[Fact], asked: list[tuple[Request, int]]) -> None:
        self.facts = facts
        self.asked = asked

    def __repr__(self) -> str:
        return f"{len(self.asked)} requests on {len(self.facts)} facts"


@st.composite
def questions(draw: st.DrawFn) -> Questions:
    """One workspace, and a request on every type."""
    facts = draw_workspace(draw, "acme", rich=True)
    user_key = next(fact for fact in facts if isinstance(fact, ApiKey) and fact.id == GOOD_KEYS[1])
    facts.append(msgspec.structs.replace(user_key, id=GOOD_KEYS[2], expires_at=MOMENTS[-1]))
    facts = [with_scope(fact) for fact in facts]
    world = World(everything(), facts)
    asked = [(about(draw, world, name), pick(draw, MOMENTS)) for name in (*TYPES, *["plain"] * 6)]
    return Questions(facts, asked)


def with_scope(fact: Any) -> Any:
    """The facts as drawn, but keys hold this policy's scopes."""
    if not isinstance(fact, ApiKey):
        return fact
    scopes = ("things:see", "things:use") if fact.id in GOOD_KEYS else ("things:use",)
    return msgspec.structs.replace(fact, scopes=scopes)


def about(draw: st.DrawFn, world: World, resource_type: str) -> Request:
    """A drawn request, turned to this type; mostly one that gets as far as the rules."""
    drawn = draw_request(draw, world)
    claims = draw_claimed(draw, ATTRIBUTES["pipeline"])
    workspace = drawn.resource.workspace
    if not coin(draw, of=4):
        workspace = "acme"
        drawn = msgspec.structs.replace(drawn, credential=Credential("verified", pick(draw, GOOD_KEYS), 1))
    return msgspec.structs.replace(
        drawn,
        scope=pick(draw, ("things:use", "things:use", "things:use", "things:see", "nobody:knows")),
        resource=ResourceRef(resource_type, pick(draw, ("etl-1", "x")), workspace, drawn.resource.owner, claims),
        source_ip=pick(draw, (drawn.source_ip, drawn.source_ip, None, "nonsense")),
        context=draw_claimed(draw, CONTEXT) if coin(draw) else drawn.context,
    )


def test_the_text_run_from_a_file_is_the_program(tmp_path: Path) -> None:
    """What people are shown is what decides."""
    program = program_of(render(everything()))
    from_file = run_from_file(program, tmp_path / "emitted_policy.py")

    @settings(max_examples=70, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(questions())
    def compare(drawn: Questions) -> None:
        snapshot = snapshot_of(program, drawn.facts)
        for request, now in drawn.asked:
            assert from_file(request, snapshot, now) == decide(request, snapshot, now)

    compare()


def test_a_traceback_shows_the_generated_line() -> None:
    """Generated code is code: a bug in it is found like any other."""
    program = program_of(render(everything()))
    with pytest.raises(AttributeError) as raised:
        program.decide(None, None, 0)  # type: ignore[arg-type]  # the mistake that is to be shown
    assert "credential = request.credential" in str(raised.getrepr())
