"""Every reason, and every rule of order, by table. Each request is decided and explained, and the two agree."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from policy_service.engine.decide import decide
from policy_service.engine.snapshot import Snapshot
from policy_service.language.policy import BuiltinCheck, Policy
from policy_service.model.decision import Decision
from policy_service.model.errors import StoreError
from policy_service.model.facts import (
    AllowlistEntry,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    Team,
    User,
)
from policy_service.model.reasons import REASONS
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential, Request
from tests.unit.engine.asking import answer
from tests.unit.engine.worlds import NOW, Programs, World, api_key, ask, policy, resource_policy, rule, scope, user_key

ACME = {"workspace": "acme"}
ETL = Resource(**ACME, type="pipeline", id="etl-1")
ANN = User(**ACME, id="ann")
OPERATOR = RoleBinding(**ACME, id="b1", role="operator", user="ann")
BASE: tuple[Fact, ...] = (ETL, ANN, OPERATOR, api_key(), user_key())
EVERYTHING = policy(resource_policy(rule("everything", "allow"), unregistered="allow"))


def world(*facts: Fact, policy_: Policy = EVERYTHING) -> World:
    """The base facts, and `facts` over them."""
    made = World(policy_)
    made.put(*BASE)
    return made.put(*facts) if facts else made


def allowlist(*cidrs: str, enabled: bool = True) -> IpAllowlist:
    return IpAllowlist(**ACME, enabled=enabled, entries=tuple(AllowlistEntry(cidr=cidr) for cidr in cidrs))


def rotated(**first: Any) -> Fact:
    """The service key with an older secret in slot 1 and a current one in slot 2."""
    older = SecretSlot(number=1, pepper_id="p1", created_at=0, **first)
    return api_key(slots=[older, SecretSlot(number=2, pepper_id="p1", created_at=1)])


def as_credential(credential: Credential) -> Request:
    return msgspec.structs.replace(ask(), credential=credential)


CASES: list[tuple[str, list[Fact], Request, str]] = [
    ("a service key with its scope", [], ask(), "allowed"),
    ("a user key with scope and role", [], ask("userKey00001"), "allowed"),
    ("an implied scope", [], ask(scope="pipelines:read"), "allowed"),
    ("its own workspace claimed", [], ask(workspace="acme"), "allowed"),
    # credential
    ("no key", [], as_credential(MISSING), "missing_credentials"),
    ("a malformed key", [], as_credential(MALFORMED), "malformed_key"),
    ("an unknown key", [], as_credential(UNKNOWN), "unknown_key"),
    ("a key that this snapshot lacks", [], ask("laterKey0001"), "unknown_key"),
    ("a secret that this snapshot lacks", [], ask(slot=9), "unknown_key"),
    ("a key named without a secret", [], ask(slot=None), "allowed"),
    # revocation
    ("revoked", [api_key(revoked_at=5)], ask(), "revoked_key"),
    ("revoked later than now", [api_key(revoked_at=NOW + 1)], ask(), "revoked_key"),
    ("expires at this instant", [api_key(expires_at=NOW)], ask(), "expired_key"),
    ("expires a nanosecond later", [api_key(expires_at=NOW + 1)], ask(), "allowed"),
    ("valid from this instant", [api_key(not_before=NOW)], ask(), "allowed"),
    ("valid a nanosecond later", [api_key(not_before=NOW + 1)], ask(), "key_not_yet_valid"),
    ("the end of an old secret's grace", [rotated(expires_at=NOW)], ask(slot=1), "expired_key"),
    ("within an old secret's grace", [rotated(expires_at=NOW + 1)], ask(slot=1), "allowed"),
    ("the new secret", [rotated(expires_at=NOW)], ask(slot=2), "allowed"),
    ("no secret, after an old one's grace", [rotated(expires_at=NOW)], ask(slot=None), "allowed"),
    ("suspended", [User(**ACME, id="ann", suspended=True)], ask("userKey00001"), "principal_suspended"),
    (
        "a user of the same name suspended elsewhere",
        [User(workspace="b", id="ann", suspended=True)],
        ask("userKey00001"),
        "allowed",
    ),
    ("a suspended user's id on a service key", [User(**ACME, id="ci", suspended=True)], ask(), "allowed"),
    ("revoked before expired", [api_key(revoked_at=5, expires_at=5)], ask(), "revoked_key"),
    ("expired before not yet valid", [api_key(expires_at=5, not_before=NOW + 5)], ask(), "expired_key"),
    (
        "not yet valid before suspended",
        [user_key(not_before=NOW + 5), User(**ACME, id="ann", suspended=True)],
        ask("userKey00001"),
        "key_not_yet_valid",
    ),
    # workspace
    ("another workspace claimed", [], ask(workspace="beta"), "workspace_mismatch"),
    ("mismatch before unknown", [], ask(resource="pipeline:new", workspace="beta"), "workspace_mismatch"),
    ("unregistered, no workspace claimed", [], ask(resource="pipeline:new"), "unknown_resource"),
    ("unregistered, own workspace claimed", [], ask(resource="pipeline:new", workspace="acme"), "allowed"),
    (
        "unregistered, of a type that wants registration",
        [],
        ask(resource="connection:c", workspace="acme"),
        "unknown_resource",
    ),
    (
        "registered elsewhere only",
        [Resource(workspace="beta", type="connection", id="c")],
        ask(resource="connection:c"),
        "unknown_resource",
    ),
    # scope
    ("an undeclared scope", [], ask(scope="pipelines:fly"), "unknown_scope"),
    ("a scope of another type", [], ask(scope="connections:read"), "scope_resource_mismatch"),
    ("a scope the key lacks", [api_key(scopes=["pipelines:read"])], ask(), "insufficient_scope"),
    (
        "an undeclared scope that the key has",
        [api_key(scopes=["pipelines:fly"])],
        ask(scope="pipelines:fly"),
        "unknown_scope",
    ),
    ("a key without scopes", [api_key(scopes=[])], ask(), "insufficient_scope"),
    # rbac
    (
        "a role that grants less",
        [RoleBinding(**ACME, id="b1", role="viewer", user="ann")],
        ask("userKey00001"),
        "role_not_granted",
    ),
    (
        "a role nobody declared",
        [RoleBinding(**ACME, id="b1", role="ghost", user="ann")],
        ask("userKey00001"),
        "role_not_granted",
    ),
    (
        "another user's role",
        [RoleBinding(**ACME, id="b1", role="operator", user="bob")],
        ask("userKey00001"),
        "role_not_granted",
    ),
    ("scope by the role only", [user_key(scopes=["pipelines:read"])], ask("userKey00001"), "insufficient_scope"),
    ("a user who does not exist", [user_key(user="ghost")], ask("userKey00001"), "role_not_granted"),
    (
        "a binding of a user who does not exist",
        [user_key(user="ghost"), RoleBinding(**ACME, id="b2", role="operator", user="ghost")],
        ask("userKey00001"),
        "role_not_granted",
    ),
    # resource_policy
    (
        "a type without policy",
        [Resource(**ACME, type="connection", id="c"), api_key(scopes=["connections:read"])],
        ask(scope="connections:read", resource="connection:c"),
        "resource_not_allowed",
    ),
    # ip_allowlist
    ("an invalid address, no list", [], ask(source_ip="10.0.0.01"), "invalid_source_ip"),
    ("an empty address, no list", [], ask(source_ip=""), "invalid_source_ip"),
    ("a valid address, no list", [], ask(source_ip="10.0.0.1"), "allowed"),
    ("an address on the list", [allowlist("10.0.0.0/8")], ask(source_ip="10.0.0.1"), "allowed"),
    ("a mapped address on the list", [allowlist("10.0.0.0/8")], ask(source_ip="::ffff:10.0.0.1"), "allowed"),
    ("an address off the list", [allowlist("10.0.0.0/8")], ask(source_ip="11.0.0.1"), "ip_not_allowed"),
    ("no address, a list", [allowlist("10.0.0.0/8")], ask(), "invalid_source_ip"),
    ("an invalid address, a list", [allowlist("any")], ask(source_ip="1.2.3"), "invalid_source_ip"),
    ("a list that is off", [allowlist("10.0.0.0/8", enabled=False)], ask(source_ip="11.0.0.1"), "allowed"),
    ("no address, a list that is off", [allowlist("10.0.0.0/8", enabled=False)], ask(), "allowed"),
    ("an empty list that is on", [allowlist()], ask(source_ip="10.0.0.1"), "ip_not_allowed"),
    ("another workspace's list", [IpAllowlist(workspace="beta", enabled=True)], ask(source_ip="10.0.0.1"), "allowed"),
    ("in the key's CIDRs", [api_key(cidrs=("10.0.0.0/8",))], ask(source_ip="10.0.0.1"), "allowed"),
    ("outside the key's CIDRs", [api_key(cidrs=("10.0.0.0/8",))], ask(source_ip="11.0.0.1"), "ip_not_allowed"),
    ("no address, the key's CIDRs", [api_key(cidrs=("10.0.0.0/8",))], ask(), "invalid_source_ip"),
    (
        "on the list, outside the key's CIDRs",
        [allowlist("any"), api_key(cidrs=("10.0.0.0/8",))],
        ask(source_ip="11.0.0.1"),
        "ip_not_allowed",
    ),
    (
        "in the key's CIDRs, off the list",
        [allowlist("11.0.0.0/8"), api_key(cidrs=("10.0.0.0/8",))],
        ask(source_ip="10.0.0.1"),
        "ip_not_allowed",
    ),
]


@pytest.mark.parametrize(("facts", "request_", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_reasons(facts: list[Fact], request_: Request, reason: str) -> None:
    """Each built-in reason, on both sides of its line, with the check and status of the table."""
    decision = answer(world(*facts), request_)
    known = REASONS[reason]
    assert (decision.reason, decision.check, decision.rule) == (reason, known.check, None)
    assert (decision.allowed, decision.http_status) == (reason == "allowed", known.http_status)
    assert decision.message == known.message


def test_what_a_decision_carries() -> None:
    """A decision names its instant, revision, bundle and, once a key is verified, the key and its principal."""
    made = world()
    allowed = answer(made, ask("userKey00001"), NOW + 1)
    assert allowed == Decision(
        allowed=True,
        reason="allowed",
        http_status=200,
        message="The request is allowed.",
        check=None,
        rule=None,
        now=NOW + 1,
        revision=made.snapshot.revision,
        bundle=EVERYTHING.digest,
        key_id="userKey00001",
        principal_kind="user",
        principal_id="ann",
        workspace="acme",
    )
    unknown = answer(made, ask(slot=7))
    assert (unknown.key_id, unknown.principal_kind, unknown.principal_id, unknown.workspace) == (None,) * 4
    assert (unknown.now, unknown.revision, unknown.bundle) == (NOW, made.snapshot.revision, EVERYTHING.digest)


def test_no_policy() -> None:
    """Without an active bundle nothing is decided, and nothing is allowed."""
    with pytest.raises(StoreError) as caught:
        decide(ask(), Snapshot(Programs()), NOW)
    assert caught.value.code == "no_policy"


# ---- roles


@pytest.mark.parametrize(
    ("facts", "resource", "reason"),
    [
        pytest.param([Membership(**ACME, team="t", user="ann")], "etl-1", "allowed", id="a team's binding"),
        pytest.param([Membership(**ACME, team="child", user="ann")], "etl-1", "allowed", id="a parent's binding"),
        pytest.param([Membership(**ACME, team="grandchild", user="ann")], "etl-1", "allowed", id="an ancestor's"),
        pytest.param([Membership(**ACME, team="ghost", user="ann")], "etl-1", "role_not_granted", id="no such team"),
        pytest.param([Membership(**ACME, team="t", user="bob")], "etl-1", "role_not_granted", id="another member"),
        pytest.param([Membership(**ACME, team="child2", user="ann")], "etl-1", "allowed", id="a cycle of teams"),
        pytest.param([Membership(workspace="beta", team="t", user="ann")], "etl-1", "role_not_granted", id="elsewhere"),
        pytest.param(
            [RoleBinding(**ACME, id="n", role="operator", user="ann", resource_type="pipeline", resource_id="etl-1")],
            "etl-1",
            "allowed",
            id="a binding on this resource",
        ),
        pytest.param(
            [RoleBinding(**ACME, id="n", role="operator", user="ann", resource_type="pipeline", resource_id="etl-1")],
            "etl-2",
            "role_not_granted",
            id="a binding on another resource",
        ),
        pytest.param(
            [
                RoleBinding(**ACME, id="n", role="viewer", user="ann", resource_type="pipeline", resource_id="etl-1"),
                RoleBinding(**ACME, id="w", role="operator", user="ann"),
            ],
            "etl-1",
            "allowed",
            id="a wide binding beside a narrow one",
        ),
    ],
)
def test_roles_in_force(facts: list[Fact], resource: str, reason: str) -> None:
    """A user has the roles of their own, of their teams and of all ancestors, wide or on the very resource."""
    made = World(EVERYTHING)
    made.put(ETL, Resource(**ACME, type="pipeline", id="etl-2"), ANN, user_key())
    made.put(
        Team(**ACME, id="t"),
        Team(**ACME, id="child", parent="t"),
        Team(**ACME, id="grandchild", parent="child"),
        Team(**ACME, id="child2", parent="round"),
        Team(**ACME, id="round", parent="child2"),
        RoleBinding(**ACME, id="bt", role="operator", team="t"),
        RoleBinding(**ACME, id="br", role="operator", team="round"),
        RoleBinding(**ACME, id="bg", role="operator", team="ghost"),
    )
    made.put(*facts)
    assert answer(made, ask("userKey00001", resource=f"pipeline:{resource}")).reason == reason


# ---- the order of the chain


def test_the_first_failing_check_gives_the_reason() -> None:
    """Where several checks fail, each order of the chain gives the reason of its first one."""
    failing = {
        "scope": "insufficient_scope",
        "rbac": "role_not_granted",
        "resource_policy": "resource_not_allowed",
        "ip_allowlist": "ip_not_allowed",
    }
    fixed = [BuiltinCheck(name) for name in ("credential", "revocation", "workspace")]
    for first, reason in failing.items():
        names = [first, *(name for name in failing if name != first)]
        made = World(policy(resource_policy(), order=[*fixed, *map(BuiltinCheck, names)]))
        made.put(ETL, ANN, user_key(scopes=[]), allowlist())
        assert answer(made, ask("userKey00001", source_ip="10.0.0.1")).reason == reason


# ---- rules without conditions


@pytest.mark.parametrize(
    ("rules", "asked", "rule_"),
    [
        ([], "etl-1", ("resource_not_allowed", None)),
        ([rule("a", "allow")], "etl-1", ("allowed", None)),
        ([rule("a", "allow", scopes=["pipelines:run"])], "etl-1", ("allowed", None)),
        ([rule("a", "allow", scopes=["pipelines:read"])], "etl-1", ("resource_not_allowed", None)),
        ([rule("a", "allow", scopes=[])], "etl-1", ("resource_not_allowed", None)),
        ([rule("a", "allow", ids=["etl-1"])], "etl-1", ("allowed", None)),
        ([rule("a", "allow", ids=["etl-"])], "etl-1", ("resource_not_allowed", None)),
        ([rule("a", "allow", ids=["etl-*"])], "etl-1", ("allowed", None)),
        ([rule("a", "allow", ids=["etl-1*"])], "etl-1", ("allowed", None)),
        ([rule("a", "allow", ids=["etl-12*"])], "etl-1", ("resource_not_allowed", None)),
        ([rule("a", "allow", ids=["*"])], "etl-1", ("allowed", None)),
        ([rule("a", "allow", ids=["x", "y*", "etl-1"])], "etl-1", ("allowed", None)),
        ([rule("a", "allow", ids=[])], "etl-1", ("resource_not_allowed", None)),
        ([rule("a", "allow"), rule("d", "deny")], "etl-1", ("resource_denied", "d")),
        ([rule("d", "deny")], "etl-1", ("resource_denied", "d")),
        ([rule("a", "allow"), rule("d", "deny", ids=["etl-2"])], "etl-1", ("allowed", None)),
        ([rule("z", "deny", ids=["etl-1"]), rule("m", "deny")], "etl-1", ("resource_denied", "m")),
        ([rule("m", "deny", ids=["etl-1"]), rule("z", "deny")], "etl-1", ("resource_denied", "m")),
        (
            [rule("m", "deny", scopes=["pipelines:run"], ids=["e*"]), rule("z", "deny")],
            "etl-1",
            ("resource_denied", "m"),
        ),
        ([rule("d", "deny", reason="own_code", message="No.")], "etl-1", ("own_code", "d")),
    ],
)
def test_rules(rules: list[Any], asked: str, rule_: tuple[str, str | None]) -> None:
    """Rules apply by exact scope, by id or prefix; deny overrides allow; the first deny by name gives the reason."""
    for order in (rules, rules[::-1]):
        decision = answer(world(policy_=policy(resource_policy(*order))), ask(resource=f"pipeline:{asked}"))
        assert (decision.reason, decision.rule) == rule_
        assert decision.check == (None if decision.allowed else "resource_policy")


def test_default_allow() -> None:
    """With `default: allow` only deny rules count."""
    open_type = resource_policy(rule("a", "allow", ids=["none"]), rule("d", "deny", ids=["etl-9*"]), default="allow")
    made = world(Resource(**ACME, type="pipeline", id="etl-99"), policy_=policy(open_type))
    assert answer(made, ask()).reason == "allowed"
    assert answer(made, ask(resource="pipeline:etl-99")).reason == "resource_denied"


def test_authors_words() -> None:
    """An author's reason and message are given as they are; without a message, the built-in one."""
    rules = [
        rule("d", "deny", ids=["etl-1"], reason="own_code", message="Ask ops."),
        rule("e", "deny", reason="own_code"),
    ]
    made = world(Resource(**ACME, type="pipeline", id="etl-2"), policy_=policy(resource_policy(*rules)))
    first, second = answer(made, ask()), answer(made, ask(resource="pipeline:etl-2"))
    assert (first.reason, first.message, first.http_status) == ("own_code", "Ask ops.", 403)
    assert (second.reason, second.message) == ("own_code", "A rule denies this request.")


def test_two_types_with_similar_names() -> None:
    """Types whose names differ only in a hyphen keep their own rules."""
    closed, opened = resource_policy(type_="data-set"), resource_policy(rule("a", "allow"), type_="data_set")
    both = policy(closed, opened, scopes=[scope("sets:read", "data-set", "data_set")])
    made = World(both)
    made.put(api_key(scopes=["sets:read"]))
    made.put(Resource(**ACME, type="data-set", id="x"), Resource(**ACME, type="data_set", id="x"))
    assert answer(made, ask(scope="sets:read", resource="data-set:x")).reason == "resource_not_allowed"
    assert answer(made, ask(scope="sets:read", resource="data_set:x")).reason == "allowed"
