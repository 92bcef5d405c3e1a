"""The fixed chain by which the service guards itself."""

from __future__ import annotations

import pytest

from policy_service.engine.guard import Verdict, authorize, effective_scopes
from policy_service.model.facts import (
    AllowlistEntry,
    ApiKey,
    Fact,
    IpAllowlist,
    Membership,
    RoleBinding,
    SecretSlot,
    Team,
    User,
)
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential
from tests.unit.engine.worlds import NOW, World, api_key, policy, resource_policy, role, rule, scope, user_key

ACME = {"workspace": "acme"}
ADMIN = "admin:organization"
POLICY = policy(
    resource_policy(rule("nobody", "deny")),
    scopes=[scope("root:all", implies=[ADMIN]), scope(ADMIN), scope("pipelines:run", "pipeline")],
    roles=[role("administrator", ADMIN), role("runner", "pipelines:run")],
)
CI = api_key(scopes=[ADMIN])
ANN_KEY = user_key(scopes=[ADMIN, "pipelines:run"])
WIDE = RoleBinding(**ACME, id="b", role="administrator", user="ann")
BASE: tuple[Fact, ...] = (CI, ANN_KEY, User(**ACME, id="ann"), WIDE)
SERVICE = Credential("verified", CI.id, 1)
PERSON = Credential("verified", ANN_KEY.id, 1)


def rotated() -> ApiKey:
    old = SecretSlot(number=1, pepper_id="p1", created_at=0, expires_at=NOW)
    return api_key(scopes=[ADMIN], slots=[old, SecretSlot(number=2, pepper_id="p1", created_at=0)])


@pytest.mark.parametrize(
    ("facts", "credential", "peer", "reason"),
    [
        pytest.param([], SERVICE, None, "allowed", id="a service key"),
        pytest.param([], PERSON, "10.0.0.1", "allowed", id="a user key"),
        pytest.param([], MISSING, None, "missing_credentials", id="no key"),
        pytest.param([], MALFORMED, None, "malformed_key", id="malformed"),
        pytest.param([], UNKNOWN, None, "unknown_key", id="unknown"),
        pytest.param([], Credential("verified", "laterKey0001", 1), None, "unknown_key", id="a key not there yet"),
        pytest.param([], Credential("verified", CI.id, 2), None, "unknown_key", id="a secret not there yet"),
        pytest.param([api_key(scopes=[ADMIN], revoked_at=1)], SERVICE, None, "revoked_key", id="revoked"),
        pytest.param([api_key(scopes=[ADMIN], expires_at=NOW)], SERVICE, None, "expired_key", id="expired"),
        pytest.param([rotated()], SERVICE, None, "expired_key", id="the end of a secret's grace"),
        pytest.param([rotated()], Credential("verified", CI.id, 2), None, "allowed", id="the new secret"),
        pytest.param([api_key(scopes=[ADMIN], not_before=NOW + 1)], SERVICE, None, "key_not_yet_valid", id="too early"),
        pytest.param([User(**ACME, id="ann", suspended=True)], PERSON, None, "principal_suspended", id="suspended"),
        pytest.param([api_key(scopes=["pipelines:run"])], SERVICE, None, "insufficient_scope", id="another scope"),
        pytest.param([api_key(scopes=["root:all"])], SERVICE, None, "allowed", id="an implying scope"),
        pytest.param(
            [RoleBinding(**ACME, id="b", role="runner", user="ann")],
            PERSON,
            None,
            "role_not_granted",
            id="another role",
        ),
        pytest.param(
            [
                RoleBinding(
                    **ACME, id="b", role="administrator", user="ann", resource_type="pipeline", resource_id="etl"
                )
            ],
            PERSON,
            None,
            "role_not_granted",
            id="a binding on a resource",
        ),
        pytest.param(
            [
                RoleBinding(**ACME, id="b", role="administrator", team="t"),
                Team(**ACME, id="t"),
                Membership(**ACME, team="t", user="ann"),
            ],
            PERSON,
            None,
            "allowed",
            id="a team's binding",
        ),
        pytest.param([api_key(scopes=[ADMIN], cidrs=("10.0.0.0/8",))], SERVICE, "10.0.0.1", "allowed", id="inside"),
        pytest.param([api_key(scopes=[ADMIN], cidrs=("10.0.0.0/8",))], SERVICE, "11.0.0.1", "ip_not_allowed", id="out"),
        pytest.param([api_key(scopes=[ADMIN], cidrs=("any",))], SERVICE, None, "invalid_source_ip", id="no peer"),
        pytest.param([api_key(scopes=[ADMIN], cidrs=("any",))], SERVICE, "?", "invalid_source_ip", id="a strange peer"),
        pytest.param(
            [IpAllowlist(**ACME, enabled=True, entries=(AllowlistEntry(cidr="10.0.0.0/8"),))],
            SERVICE,
            "11.0.0.1",
            "allowed",
            id="the workspace's list does not matter",
        ),
    ],
)
def test_reasons(facts: list[Fact], credential: Credential, peer: str | None, reason: str) -> None:
    """Each reason of the fixed chain; a verdict names the key as soon as it is known."""
    world = World(POLICY)
    world.put(*BASE)
    if facts:
        world.put(*facts)
    verdict = authorize(credential, ADMIN, peer, world.snapshot, NOW)
    assert (verdict.allowed, verdict.reason) == (reason == "allowed", reason)
    known = credential.outcome == "verified" and reason != "unknown_key"
    assert verdict.key_id == (credential.key_id if known else None)
    assert verdict.workspace == ("acme" if known else None)


def test_without_a_policy() -> None:
    """Before any bundle is active, a service key's own scopes hold, and no user has a role."""
    world = World()
    world.put(*BASE)
    verdict = authorize(SERVICE, ADMIN, None, world.snapshot, NOW)
    assert verdict == Verdict(True, "allowed", CI.id, "acme", "service", "ci")
    assert authorize(PERSON, ADMIN, None, world.snapshot, NOW).reason == "role_not_granted"


def test_effective_scopes() -> None:
    """A service has all its scopes imply; a user no more than workspace-wide bindings grant."""
    world = World(POLICY)
    world.put(*BASE)
    assert effective_scopes(api_key(scopes=["root:all", "own:thing"]), world.snapshot) == {
        "root:all",
        ADMIN,
        "own:thing",
    }
    assert effective_scopes(ANN_KEY, world.snapshot) == {ADMIN}
    assert effective_scopes(user_key(user="ghost"), world.snapshot) == frozenset()
    narrow = RoleBinding(**ACME, id="n", role="runner", user="ann", resource_type="pipeline", resource_id="etl")
    world.put(narrow)
    assert effective_scopes(ANN_KEY, world.snapshot) == {ADMIN}
