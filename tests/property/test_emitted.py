"""The generated module itself: run from a real file, so that its lines can be seen and counted.

One policy with every condition of the pool, each on a resource type of its own, so that each is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_service.engine.conditions.runtime import ITERATION_BUDGET
from policy_service.engine.decide import decide
from policy_service.engine.program import Program
from policy_service.model.decision import Decision
from policy_service.model.facts import (
    ApiKey,
    Fact,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
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
PARTS = {"odd": slice(1, None, 2), "third": slice(None, None, 3)}
LENGTHS = {"long": TOO_LONG, "half": 6_000}


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
            "rules": [{"name": "only", "effect": "allow", "resources": ["x*", "etl-*"], "when": condition}],
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


Decide = Callable[[Request, Any, int], Decision]


def run_from_file(program: Program, path: Path) -> Decide:
    """The `decide` of the same text, compiled from a file. The names it is given are those the program was given."""
    path.write_text(program.source, encoding="utf-8")
    namespace = dict(program.decide.__globals__)
    exec(compile(program.source, str(path), "exec"), namespace)
    found: Decide = namespace["decide"]
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


@pytest.fixture(scope="module")
def program() -> Program:
    """The policy, linked as ever."""
    return program_of(render(everything()))


@pytest.fixture(scope="module")
def from_file(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Decide:
    """The same text, run from a file."""
    return run_from_file(program, tmp_path_factory.mktemp("emitted") / "emitted_policy.py")


def test_the_text_run_from_a_file_is_the_program(program: Program, from_file: Decide) -> None:
    """What people are shown is what decides."""

    @settings(max_examples=70, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(questions())
    def compare(drawn: Questions) -> None:
        snapshot = snapshot_of(program, drawn.facts)
        snapshot.settle()
        for request, now in drawn.asked:
            assert from_file(request, snapshot, now) == decide(request, snapshot, now)

    compare()


MOODS = (
    *(("right", turn) for turn in range(6)), ("long", 0), ("long", 1), ("half", 0), ("odd", 2), ("third", 0),
    ("absent", 0), ("wrong", 0),
)  # fmt: skip
"""How all claims of a request are: the values of each type by turns, lists that use up the budget at once or together,
every second or third claim alone, and what is no value of the type."""
OWNERS = (None, "ada", "somebody")
KEYS = {"ada": ("things:see", "things:use"), "bob": ("things:use",), "carl": ("things:use",), "dora": ("things:see",)}
"""A user each, and the scopes of their key. `carl` holds no role; `dora`'s scope is not the one that is asked for."""


def plain_facts() -> list[Fact]:
    """A workspace without accidents: users with a role, with two, with none; a service."""
    acme: dict[str, Any] = {"workspace": "acme"}
    slots = (SecretSlot(number=1, pepper_id="p", created_at=0),)
    roles = {"ada": ("operator",), "bob": ("operator", "viewer"), "dora": ("operator",)}
    users = [User(**acme, id=name) for name in KEYS]
    bindings = [
        RoleBinding(**acme, id=f"{name}-{role}", role=role, user=name) for name in roles for role in roles[name]
    ]
    keys = [
        ApiKey(
            **acme, id=f"{name}00000000", principal_kind="user", principal_id=name, scopes=scopes, slots=slots,
            created_at=0, expires_at=MOMENTS[-1] if name == "bob" else None,
        )
        for name, scopes in KEYS.items()
    ]  # fmt: skip
    service = ApiKey(
        **acme, id="ci0000000000", principal_kind="service", principal_id="ci", scopes=("things:use",), slots=slots,
        created_at=0, labels={"env": "prod"},
    )  # fmt: skip
    teams = [fact for name in ("core", "guild") for fact in (Team(**acme, id=name), member(name))]
    places = [Resource(**acme, type="plain", id=f"x{at}", owner=owner) for at, owner in enumerate(OWNERS)]
    return [Workspace(id="acme"), *users, ServicePrincipal(**acme, id="ci"), *teams, *bindings, *keys, *places, service]


def member(team: str) -> Membership:
    return Membership(workspace="acme", team=team, user="bob" if team == "guild" else "ada")


def claims_in(declared: dict[str, tuple[str, Any]], mood: str, turn: int) -> dict[str, Any]:
    """Every declared name in this mood."""
    if mood == "absent":
        return {}
    names = list(declared)[PARTS.get(mood, slice(None))]
    return {name: claim(declared[name][0], mood, turn) for name in names}


def claim(kind: str, mood: str, turn: int) -> Any:
    element = kind.removeprefix("list(").removesuffix(")")
    values = ("secret", "things:use", *RIGHT["string"]) if element == "string" and element != kind else RIGHT[element]
    value, other = values[turn % len(values)], values[(turn + 1) % len(values)]
    if mood == "wrong":
        return WRONG[element][0]
    if element == kind:
        return value
    if mood in LENGTHS:
        return Long([value] * LENGTHS[mood])
    return [value, other][: (turn + 1) % 3]


def every_question() -> Iterator[tuple[Request, int]]:
    """Each type, each mood of attributes and of context; keys, owners, moments and addresses by turns.

    And on each type something that no rule is about.
    """
    keys = [*(f"{name}00000000" for name in KEYS), "ci0000000000"]
    for number, (name, mood, context) in enumerate(product((*TYPES, "plain"), MOODS, MOODS)):
        claimed = claims_in(ATTRIBUTES["pipeline"], *mood)
        resource = ResourceRef(name, f"x{number // 2 % 3}", "acme", OWNERS[number % 3], claimed)
        address = (None, "10.1.2.3", "2001:db8::1", "nonsense")[number % 4]
        request = Request(
            Credential("verified", keys[number % 5], 1), "things:use", resource, address, claims_in(CONTEXT, *context)
        )
        yield request, MOMENTS[number % len(MOMENTS)] + number % 2
    for name in TYPES:
        nowhere = ResourceRef(name, "no-rule-is-about-this", "acme", "ada", {})
        yield Request(Credential("verified", keys[0], 1), "things:use", nowhere, "10.1.2.3", {}), MOMENTS[0]


@pytest.mark.parametrize("budget", [ITERATION_BUDGET, 0])
def test_every_line_of_the_text_is_the_program(program: Program, from_file: Decide, budget: int) -> None:
    """Each condition with values of every type, none and wrong ones; and with no iteration to spend."""
    snapshot = snapshot_of(program, plain_facts())
    snapshot.settle()
    names = (program.decide.__globals__, from_file.__globals__)  # type: ignore[attr-defined]  # functions have them
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setitem(name, "ITERATION_BUDGET", budget)
        for request, now in every_question():
            assert from_file(request, snapshot, now) == decide(request, snapshot, now)


def test_a_traceback_shows_the_generated_line() -> None:
    """Generated code is code: a bug in it is found like any other."""
    program = program_of(render(everything()))
    with pytest.raises(AttributeError) as raised:
        program.decide(None, None, 0)  # type: ignore[arg-type]  # the mistake that is to be shown
    assert "credential = request.credential" in str(raised.getrepr())
