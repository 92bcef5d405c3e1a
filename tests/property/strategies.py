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
from tests.property.policies import ATTRIBUTES, CONTEXT, SCOPES, Documents, documents, render

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

    def keys(self) -> list[ApiKey]:
        return [fact for fact in self.facts if isinstance(fact, ApiKey)]


class Case(msgspec.Struct, frozen=True):
    """A world and what is asked of it: `(request, now)` pairs."""

    world: World
    asked: list[tuple[Request, int]]


@st.composite
def cases(draw: st.DrawFn, max_requests: int = 12) -> Case:
    """A world with requests."""
    world = draw(worlds())
    asked = st.lists(st.tuples(requests(world), st.sampled_from(MOMENTS[1:4])), min_size=min(4, max_requests), max_size=max_requests)
    return Case(world, draw(asked))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Valid rule files and the facts of three workspaces, of which `acme` is the interesting one."""
    facts: list[Fact] = []
    for workspace in WORKSPACES:
        facts += draw(workspace_facts(workspace, rich=workspace == "acme"))
    return World(draw(documents()), facts)


@st.composite
def workspace_facts(draw: st.DrawFn, workspace: str, *, rich: bool) -> list[Fact]:
    """Everything that belongs to one workspace. The same ids are used in all of them."""
    facts: list[Fact] = [
        Workspace(id=workspace),
        ServicePrincipal(workspace=workspace, id="ci"),
        User(workspace=workspace, id="ada", suspended=draw(st.sampled_from((False,) * 9 + (True,)))),
        Membership(workspace=workspace, team="core", user="ada"),
        good_binding(workspace),
    ]
    facts += draw(teams(workspace))
    facts += [draw(resources(workspace, "pipeline", "etl-1")), *draw(allowlists(workspace))]
    facts += healthy_keys(workspace)
    if rich:
        facts.append(User(workspace=workspace, id="bob", suspended=draw(st.booleans())))
        facts += draw(memberships(workspace))
        facts += draw(st.lists(bindings(workspace), max_size=4, unique_by=lambda b: b.id))
        facts += [draw(api_keys(workspace, number)) for number in range(draw(st.integers(0, 3)))]
        for kind, identity in (("pipeline", "team/x:y"), ("connection", "etl-1"), ("bucket", "b1")):
            if draw(st.booleans()):
                facts.append(draw(resources(workspace, kind, identity)))
    return facts


def good_binding(workspace: str) -> RoleBinding:
    return RoleBinding(workspace=workspace, id="b0", role="operator", team="core")


def healthy_keys(workspace: str) -> list[ApiKey]:
    """A user key and a service key with nothing wrong about them."""
    shared: dict[str, Any] = {"workspace": workspace, "created_at": NOW - DAY, "labels": {"env": "prod"}}
    slots = (SecretSlot(number=1, pepper_id="p", created_at=NOW - DAY),)
    scopes = tuple(sorted(SCOPES))
    name = workspace[:4].ljust(4, "x")
    return [
        ApiKey(id=f"user{name}0000", principal_kind="user", principal_id="ada", scopes=scopes, slots=slots, **shared),
        ApiKey(id=f"serv{name}0000", principal_kind="service", principal_id="ci", scopes=scopes, slots=slots, **shared),
    ]


@st.composite
def teams(draw: st.DrawFn, workspace: str) -> list[Team]:
    """Nested or not: a team's parent is one that stands later in the list, or none."""
    found = []
    for number, name in enumerate(TEAMS):
        parent = draw(st.sampled_from((None, *TEAMS[number + 1 :])))
        found.append(Team(workspace=workspace, id=name, parent=parent))
    return found


@st.composite
def memberships(draw: st.DrawFn, workspace: str) -> list[Membership]:
    pairs = draw(st.lists(st.sampled_from([(t, u) for t in TEAMS for u in USERS]), unique=True, max_size=3))
    return [Membership(workspace=workspace, team=t, user=u) for t, u in pairs if (t, u) != ("core", "ada")]


@st.composite
def bindings(draw: st.DrawFn, workspace: str) -> RoleBinding:
    """Of any role to a team or a user, over the workspace or one resource."""
    subject = draw(st.sampled_from((*({"team": t} for t in TEAMS), *({"user": u} for u in USERS))))
    place = draw(st.sampled_from((None, ("pipeline", "etl-1"), ("pipeline", "team/x:y"), ("connection", "etl-1"))))
    return RoleBinding(
        workspace=workspace,
        id=f"b{draw(st.integers(1, 9))}",
        role=draw(st.sampled_from(ROLES)),
        resource_type=place[0] if place else None,
        resource_id=place[1] if place else None,
        **subject,
    )


@st.composite
def api_keys(draw: st.DrawFn, workspace: str, number: int) -> ApiKey:
    """A key of either kind, in any stage of its life."""
    kind, principal = draw(st.sampled_from((("user", "ada"), ("user", "bob"), ("user", "gone"), ("service", "ci"))))
    old = SecretSlot(number=1, pepper_id="p", created_at=0, expires_at=draw(st.sampled_from(MOMENTS)))
    current = SecretSlot(number=2, pepper_id="p", created_at=0)
    rarely = draw(st.integers(0, 3))
    return ApiKey(
        id=f"drawn{workspace[:4].ljust(4, 'x')}{number:03d}",
        workspace=workspace,
        principal_kind=kind,
        principal_id=principal,
        scopes=tuple(draw(st.lists(st.sampled_from([*SCOPES, "gone:scope"]), unique=True, max_size=3).map(sorted))),
        slots=draw(st.sampled_from(((current,), (old, current)))),
        created_at=draw(st.sampled_from(MOMENTS)),
        not_before=draw(st.sampled_from((None, *MOMENTS))) if rarely == 0 else None,
        expires_at=draw(st.sampled_from((None, *MOMENTS))),
        revoked_at=draw(st.sampled_from((None, *MOMENTS))) if rarely == 1 else None,
        cidrs=tuple(draw(st.lists(st.sampled_from(CIDRS), unique=True, max_size=2).map(sorted))),
        labels=draw(st.sampled_from(({}, {"env": "prod"}, {"env": "dev", "team": "core"}))),
    )


@st.composite
def allowlists(draw: st.DrawFn, workspace: str) -> list[IpAllowlist]:
    """Missing, off, on, or on and empty."""
    form = draw(st.sampled_from(("missing", "missing", "off", "on", "empty")))
    if form == "missing":
        return []
    cidrs = draw(st.lists(st.sampled_from(CIDRS), unique=True, min_size=1, max_size=3))
    entries = () if form == "empty" else tuple(AllowlistEntry(cidr=cidr) for cidr in cidrs)
    return [IpAllowlist(workspace=workspace, enabled=form != "off", entries=entries)]


@st.composite
def resources(draw: st.DrawFn, workspace: str, kind: str, identity: str) -> Resource:
    return Resource(
        workspace=workspace,
        type=kind,
        id=identity,
        owner=draw(st.sampled_from((None, "ada", "bob"))),
        attributes=draw(claims(ATTRIBUTES.get(kind, {}), wrong=draw(st.booleans()))),
    )


@st.composite
def claims(draw: st.DrawFn, declared: dict[str, tuple[str, Any]], *, wrong: bool) -> dict[str, Any]:
    """Values for some of the declared names, mostly of their type, and for a name that nobody declared."""
    found: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from([*declared, "undeclared"]), unique=True, max_size=5)):
        kind = declared[name][0] if name in declared else "string"
        found[name] = draw(typed_values(kind, wrong=wrong and draw(st.booleans())))
    return found


def typed_values(kind: str, *, wrong: bool) -> st.SearchStrategy[Any]:
    """JSON values of a declared type, or of another."""
    if not kind.startswith("list("):
        return st.sampled_from((WRONG if wrong else RIGHT)[kind])
    element = kind[len("list(") : -1]
    right = st.lists(st.sampled_from((*RIGHT[element], "secret") if element == "string" else RIGHT[element]), max_size=3)
    if not wrong:
        return right
    with_wrong = st.tuples(right, st.sampled_from(WRONG[element])).map(lambda pair: [*pair[0], pair[1]])
    return st.one_of(with_wrong, st.sampled_from((None, "secret", {})))


@st.composite
def requests(draw: st.DrawFn, world: World) -> Request:
    """A request that some key of the world presents, with up to two things bad about it."""
    bad = draw(st.sets(st.sampled_from(SECOND_THOUGHTS), max_size=2))
    keys = world.keys()
    key = draw(st.sampled_from(keys if "key" in bad else keys[:2] * 3 + keys))
    kind, identity = draw(places(bad="resource" in bad))
    return Request(
        credential=draw(credentials(key, bad="credential" in bad)),
        scope=draw(scopes(kind, bad="scope" in bad)),
        resource=ResourceRef(
            kind,
            identity,
            draw(st.sampled_from((None, *WORKSPACES, ""))) if "workspace" in bad else key.workspace,
            draw(st.sampled_from((None, "ada", "bob"))),
            draw(claims(ATTRIBUTES.get(kind, {}), wrong="attributes" in bad)),
        ),
        source_ip=draw(st.sampled_from((None, *ODD_IPS) if "ip" in bad else GOOD_IPS)),
        context=draw(claims(CONTEXT, wrong="context" in bad)),
    )


def places(*, bad: bool) -> st.SearchStrategy[tuple[str, str]]:
    """A resource that is registered in acme, if anywhere; or any place."""
    if not bad:
        return st.sampled_from((("pipeline", "etl-1"), ("pipeline", "etl-1"), ("pipeline", "team/x:y"), ("connection", "etl-1")))
    return st.tuples(st.sampled_from((*IDS, "unheard-of")), st.sampled_from(("etl-1", "etl-2", "b1", "adhoc", "e")))


def scopes(kind: str, *, bad: bool) -> st.SearchStrategy[str]:
    """A scope that is on the type; or any, undeclared ones among them."""
    fitting = [scope for scope, entry in SCOPES.items() if kind in entry["on"]]
    return st.sampled_from([*SCOPES, "gone:scope", "nobody:knows"] if bad or not fitting else fitting)


@st.composite
def credentials(draw: st.DrawFn, key: ApiKey, *, bad: bool) -> Credential:
    """The key's current secret; or any outcome of presenting something."""
    current = Credential("verified", key.id, key.slots[-1].number)
    if not bad:
        return current
    others = [MISSING, MALFORMED, UNKNOWN, Credential("unknown", key.id, 1), Credential("verified", "nobodysKey00", 1)]
    others += [Credential("verified", key.id, number) for number in (None, 0, 1, 99)]
    return draw(st.sampled_from(others))
