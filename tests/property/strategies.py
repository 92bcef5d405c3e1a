"""Drawn worlds: a policy, the facts of three workspaces, and requests that reach every reason often.

Most of a drawn request is good and up to two things about it are bad: were everything drawn at random, nearly every
request would end at the first check.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from policy_service.model.facts import (
    AllowlistEntry,
    ApiKey,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential, Request, ResourceRef
from tests.property.drawing import coin, pick, some
from tests.property.policies import ATTRIBUTES, CONTEXT, SCOPES, Documents, draw_documents, render

NOW = 1_780_315_200_000_000_000
"""2026-06-01T12:00:00Z, a Monday."""
DAY = 86_400_000_000_000
MOMENTS = (NOW - DAY, NOW - 1, NOW, NOW + 1, NOW + DAY)

WORKSPACES = ("acme", "beta", "system")
USERS = ("ada", "bob")
TEAMS = ("core", "crew", "guild")
ROLES = ("viewer", "operator", "chief", "ghost")
"""`ghost` is a role that no policy declares."""
IDS = {"pipeline": ("etl-1", "etl-2", "team/x:y"), "connection": ("etl-1", "db"), "bucket": ("b1",)}
CIDRS = ("10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "any", "192.0.2.0/24", "::/1")
GOOD_IPS = ("10.1.2.3", "10.1.2.3", "10.9.9.9", "2001:db8:1::5", "192.0.2.255")
ODD_IPS = (
    "",
    " 10.1.2.3",
    "10.1.2.3 ",
    "010.1.2.3",
    "0x0a.1.2.3",
    "10.1.2",
    "10.1.2.3.4",
    "10.1.2.256",
    "10.1.2.3/32",
    "167838211",
    "10.1.2.3:80",
    "[2001:db8::1]",
    "2001:db8::1%eth0",
    "2001:db8::12345",
    "2001:db8:::1",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7",
    "1::2::3",
    "::ffff:10.1.2.3",
    "::FFFF:0a01:203",
    "::10.1.2.3",
    "64:ff9b::10.1.2.3",
    "2002:0a01:0203::",
    "::ffff:010.1.2.3",
    "::",
    "1::2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::",
    "١٠.1.2.3",
    "10.1.2.3\0",
    "localhost",
    "0.0.0.0",
    "255.255.255.255",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::1%1",
    "a" * 100,
)

RIGHT: dict[str, tuple[Any, ...]] = {
    "string": ("prod", "dev", "", "T-1", "pröd"),
    "int": (0, 1, 3, -7, 2**63 - 1, -(2**63)),
    "double": (0.5, 2.0, 1, 0, -0.0, 2**53 + 1),
    "bool": (True, False),
    "timestamp": ("2026-06-01T12:00:00Z", "2026-06-01T14:00:00.000000001+02:00", "0001-01-01T00:00:00Z"),
}
WRONG: dict[str, tuple[Any, ...]] = {
    "string": (None, 1, ["prod"], True, {}),
    "int": (None, 1.0, "1", True, 2**63, [1]),
    "double": (None, "0.5", True, 2**1024, {"a": 1}),
    "bool": (None, 0, "true", []),
    "timestamp": (None, 0, "2026-06-01", "2026-06-01T12:00:00", "2026-13-01T00:00:00Z", "10000-01-01T00:00:00Z"),
}

SECOND_THOUGHTS = ("credential", "workspace", "resource", "scope", "ip", "attributes", "context", "key")
"""What may be bad about a request."""


class World(msgspec.Struct, frozen=True):
    """A policy and the facts of all workspaces."""

    documents: Documents
    facts: list[Fact]

    def files(self) -> dict[str, str]:
        return render(self.documents)

    def api_keys(self) -> list[ApiKey]:
        return [fact for fact in self.facts if isinstance(fact, ApiKey)]


class Case(msgspec.Struct, frozen=True):
    """A world and what is asked of it: `(request, now)` pairs."""

    world: World
    asked: list[tuple[Request, int]]


@st.composite
def cases(draw: st.DrawFn, max_requests: int = 12) -> Case:
    """A world with requests."""
    world = draw_world(draw)
    count = pick(draw, range(min(4, max_requests), max_requests + 1))
    return Case(world, [(draw_request(draw, world), pick(draw, MOMENTS[1:4])) for _ in range(count)])


@st.composite
def workspace_facts(draw: st.DrawFn, workspace: str) -> list[Fact]:
    """Everything that belongs to one workspace, as a strategy."""
    return draw_workspace(draw, workspace, rich=True)


def draw_world(draw: st.DrawFn) -> World:
    """Valid rule files and the facts of three workspaces, of which `acme` is the interesting one."""
    facts = [fact for name in WORKSPACES for fact in draw_workspace(draw, name, rich=name == "acme")]
    return World(draw_documents(draw), facts)


def draw_workspace(draw: st.DrawFn, workspace: str, *, rich: bool) -> list[Fact]:
    """The facts of one workspace. The same ids are used in all of them."""
    facts: list[Fact] = [
        Workspace(id=workspace),
        ServicePrincipal(workspace=workspace, id="ci"),
        User(workspace=workspace, id="ada", suspended=coin(draw, of=12)),
        Membership(workspace=workspace, team="core", user="ada"),
        RoleBinding(workspace=workspace, id="b0", role="operator", team="core"),
        *healthy_keys(workspace),
        *draw_teams(draw, workspace),
        *draw_allowlist(draw, workspace),
        draw_resource(draw, workspace, "pipeline", "etl-1"),
    ]
    return facts + draw_riches(draw, workspace) if rich else facts


def draw_riches(draw: st.DrawFn, workspace: str) -> list[Fact]:
    """More of everything."""
    places = some(draw, (("pipeline", "team/x:y"), ("connection", "etl-1"), ("bucket", "b1")), most=3)
    pairs = some(draw, [(t, u) for t in TEAMS for u in USERS if (t, u) != ("core", "ada")], most=3)
    return [
        User(workspace=workspace, id="bob", suspended=coin(draw)),
        *(Membership(workspace=workspace, team=team, user=user) for team, user in pairs),
        *(draw_binding(draw, workspace, f"b{number}") for number in some(draw, range(1, 10), most=4)),
        *(draw_key(draw, workspace, number) for number in range(pick(draw, range(5)))),
        *(draw_resource(draw, workspace, *place) for place in places),
    ]


def healthy_keys(workspace: str) -> list[ApiKey]:
    """A user key and a service key with nothing wrong about them."""
    shared: dict[str, Any] = {"workspace": workspace, "created_at": NOW - DAY, "labels": {"env": "prod"}}
    slots = (SecretSlot(number=1, pepper_id="p", created_at=NOW - DAY),)
    scopes = tuple(sorted(SCOPES))
    name = workspace[:4].ljust(4, "x")
    return [
        ApiKey(id=f"serv{name}0000", principal_kind="service", principal_id="ci", scopes=scopes, slots=slots, **shared),
        ApiKey(id=f"user{name}0000", principal_kind="user", principal_id="ada", scopes=scopes, slots=slots, **shared),
    ]


def draw_teams(draw: st.DrawFn, workspace: str) -> list[Team]:
    """Nested or not: a team's parent is one that stands later in the list, or none."""
    parents = [pick(draw, (None, *TEAMS[number + 1 :])) for number in range(len(TEAMS))]
    return [Team(workspace=workspace, id=name, parent=parent) for name, parent in zip(TEAMS, parents, strict=True)]


def draw_binding(draw: st.DrawFn, workspace: str, identity: str) -> RoleBinding:
    """Of any role to a team or a user, over the workspace or one resource."""
    kind, subject = pick(draw, [("user", user) for user in USERS] + [("team", team) for team in TEAMS])
    place = pick(draw, ((None, None), ("pipeline", "etl-1"), ("pipeline", "team/x:y"), ("connection", "etl-1")))
    return RoleBinding(
        workspace=workspace,
        id=identity,
        role=pick(draw, ROLES),
        resource_type=place[0],
        resource_id=place[1],
        user=subject if kind == "user" else None,
        team=subject if kind == "team" else None,
    )


def draw_key(draw: st.DrawFn, workspace: str, number: int) -> ApiKey:
    """A key of either kind, in any stage of its life."""
    kind, principal = pick(draw, (("user", "ada"), ("user", "bob"), ("user", "gone"), ("service", "ci")))
    old = SecretSlot(number=1, pepper_id="p", created_at=0, expires_at=pick(draw, MOMENTS))
    current = SecretSlot(number=2, pepper_id="p", created_at=0)
    return ApiKey(
        id=f"drawn{workspace[:4].ljust(4, 'x')}{number:03d}",
        workspace=workspace,
        principal_kind=kind,
        principal_id=principal,
        scopes=tuple(sorted(some(draw, [*SCOPES, "gone:scope"], most=4))),
        slots=pick(draw, ((current,), (old, current))),
        created_at=pick(draw, MOMENTS),
        not_before=pick(draw, (None, None, *MOMENTS, MOMENTS[-1])),
        expires_at=pick(draw, (None, None, None, *MOMENTS)),
        revoked_at=pick(draw, MOMENTS) if coin(draw, of=6) else None,
        cidrs=tuple(sorted(some(draw, CIDRS, most=2))) if coin(draw) else (),
        labels=pick(draw, ({}, {"env": "prod"}, {"env": "dev", "team": "core"})),
    )


def draw_allowlist(draw: st.DrawFn, workspace: str) -> list[IpAllowlist]:
    """Missing, off, on, or on and empty."""
    form = pick(draw, ("missing", "missing", "missing", "off", "on", "on", "empty"))
    if form == "missing":
        return []
    cidrs = [] if form == "empty" else some(draw, CIDRS, most=3, least=1)
    entries = tuple(AllowlistEntry(cidr=cidr) for cidr in cidrs)
    return [IpAllowlist(workspace=workspace, enabled=form != "off", entries=entries)]


def draw_resource(draw: st.DrawFn, workspace: str, kind: str, identity: str) -> Resource:
    return Resource(
        workspace=workspace,
        type=kind,
        id=identity,
        owner=pick(draw, (None, "ada", "bob", "ci")),
        attributes=draw_claims(draw, ATTRIBUTES.get(kind, {}), wrong=coin(draw)),
    )


def draw_claims(draw: st.DrawFn, declared: dict[str, tuple[str, Any]], *, wrong: bool) -> dict[str, Any]:
    """Values for some of the declared names, mostly of their type, and for a name that nobody declared."""
    found: dict[str, Any] = {}
    for name in some(draw, [*declared, "undeclared"], most=6):
        kind = declared[name][0] if name in declared else "string"
        found[name] = draw_value(draw, kind, wrong=wrong and coin(draw))
    return found


def draw_value(draw: st.DrawFn, kind: str, *, wrong: bool) -> Any:
    """A JSON value of a declared type, or of another."""
    if not kind.startswith("list("):
        return pick(draw, (WRONG if wrong else RIGHT)[kind])
    element = kind[len("list(") : -1]
    right = some(draw, ("secret", *RIGHT["string"]) if element == "string" else RIGHT[element], most=3)
    if not wrong:
        return right
    return pick(draw, ([*right, pick(draw, WRONG[element])], None, "secret", {}))


def draw_request(draw: st.DrawFn, world: World) -> Request:
    """A request that some key of the world presents, with up to two things bad about it."""
    bad = some(draw, SECOND_THOUGHTS, most=2)
    keys = world.api_keys()
    key = pick(draw, keys if "key" in bad else keys[:2] * 3 + keys)
    kind, identity = draw_place(draw, bad="resource" in bad)
    return Request(
        credential=draw_credential(draw, key, bad="credential" in bad),
        scope=draw_scope(draw, kind, bad="scope" in bad),
        resource=ResourceRef(
            kind,
            identity,
            pick(draw, (None, *WORKSPACES, "")) if "workspace" in bad else key.workspace,
            pick(draw, (None, "ada", "bob")),
            draw_claims(draw, ATTRIBUTES.get(kind, {}), wrong="attributes" in bad),
        ),
        source_ip=pick(draw, (None, *ODD_IPS) if "ip" in bad else GOOD_IPS),
        context=draw_claims(draw, CONTEXT, wrong="context" in bad),
    )


def draw_place(draw: st.DrawFn, *, bad: bool) -> tuple[str, str]:
    """A resource that is registered, if anything is; or any place."""
    if bad:
        return pick(draw, (*IDS, "unheard-of")), pick(draw, ("etl-1", "etl-2", "b1", "adhoc", "e"))
    return pick(draw, (*(("pipeline", "etl-1"),) * 3, ("pipeline", "team/x:y"), ("connection", "etl-1")))


def draw_scope(draw: st.DrawFn, kind: str, *, bad: bool) -> str:
    """A scope that is on the type; or one that is not, or that nobody declared."""
    fitting = [scope for scope, entry in SCOPES.items() if kind in entry["on"]]
    others = [scope for scope in SCOPES if scope not in fitting] * 3 + ["gone:scope", "nobody:knows"]
    return pick(draw, others if bad or not fitting else fitting)


def draw_credential(draw: st.DrawFn, key: ApiKey, *, bad: bool) -> Credential:
    """The key's current secret; or any outcome of presenting something."""
    current = Credential("verified", key.id, key.slots[-1].number)
    if not bad:
        return current
    others = [MISSING, MALFORMED, UNKNOWN, Credential("unknown", key.id, 1), Credential("verified", "nobodysKey00", 1)]
    return pick(draw, others + [Credential("verified", key.id, number) for number in (None, 0, 1, 99)])
