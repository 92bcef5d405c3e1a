"""Explanations: the trace of every check, with the values it looked at, ready for JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from policy_service.engine.explain import explain
from policy_service.engine.facts_read import instant_text, jsonable
from policy_service.engine.snapshot import Snapshot
from policy_service.language.ir import BOOL, DOUBLE, IP, LABELS, STRING, STRINGS, TIMESTAMP, Type
from policy_service.language.policy import Attribute, ConditionCheck
from policy_service.model.decision import CheckTrace
from policy_service.model.errors import StoreError
from policy_service.model.facts import (
    AllowlistEntry,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    Team,
    User,
)
from policy_service.model.request import Request
from tests.unit.engine.asking import equals, is_true
from tests.unit.engine.worlds import (
    NOW,
    SPAN,
    Programs,
    World,
    api_key,
    ask,
    policy,
    resource_policy,
    rule,
    user_key,
    with_conditions,
)

ACME = {"workspace": "acme"}
RULES = [
    rule("a-broken", "allow", when=is_true("resource.attr.missing")),
    rule("b-open", "allow", scopes=["pipelines:run"]),
    rule("c-locked", "deny", when=equals("resource.attr.env", "prod"), reason="locked"),
    rule("d-elsewhere", "deny", ids=["other*"]),
    rule("e-reading", "deny", scopes=["pipelines:read"]),
]
ATTRIBUTES = [Attribute("env", STRING), Attribute("missing", BOOL), Attribute("wrong", STRING)]
FREEZE = ConditionCheck(
    "freeze",
    equals("request.time", NOW, TIMESTAMP),
    "frozen",
    None,
    equals("request.scope", "pipelines:run"),
    None,
    SPAN,
)
OTHER = ConditionCheck("other", is_true("request.context.x"), "no", None, None, "connection", SPAN)
POLICY = policy(
    resource_policy(*RULES, attributes=ATTRIBUTES, unregistered="allow"),
    order=with_conditions(OTHER, FREEZE),
    context=[Attribute("x", BOOL)],
)


def world() -> World:
    made = World(POLICY)
    return made.put(
        User(**ACME, id="ann"),
        Team(**ACME, id="data"),
        Team(**ACME, id="ml", parent="data"),
        Membership(**ACME, team="ml", user="ann"),
        RoleBinding(**ACME, id="b1", role="operator", team="data"),
        RoleBinding(**ACME, id="b2", role="viewer", user="ann", resource_type="pipeline", resource_id="etl-1"),
        RoleBinding(**ACME, id="b3", role="viewer", user="ann", resource_type="pipeline", resource_id="etl-2"),
        Resource(**ACME, type="pipeline", id="etl-1", attributes={"env": "dev"}),
        IpAllowlist(**ACME, enabled=True, entries=(AllowlistEntry(cidr="10.0.0.0/8"), AllowlistEntry(cidr="any"))),
        user_key(cidrs=("10.0.0.0/16", "11.0.0.0/16")),
        api_key(),
    )


def traces(made: World, request: Request, now: int = NOW) -> dict[str, CheckTrace]:
    explanation = explain(request, made.snapshot, now)
    json.dumps(msgspec.to_builtins(explanation), allow_nan=False)
    assert all(trace.detail for trace in explanation.checks)
    return {trace.name: trace for trace in explanation.checks}


def test_every_check_is_told() -> None:
    """An allowed request has one trace for each check, in chain order, each with what it looked at."""
    found = traces(world(), ask("userKey00001", source_ip="10.0.0.7", workspace="acme"))
    assert list(found) == [check.name for check in POLICY.chain]
    outcomes = {name: trace.outcome for name, trace in found.items()}
    assert outcomes == {name: "not_applicable" if name == "other" else "passed" for name in outcomes}
    assert found["credential"].values == {"outcome": "verified", "key_id": "userKey00001", "slot": 1}
    assert found["revocation"].values == {
        "now": "2027-01-15T08:00:00Z",
        "revoked_at": None,
        "not_before": None,
        "expires_at": None,
        "secret_expires_at": None,
        "suspended": False,
    }
    assert found["workspace"].values == {
        "workspace": "acme",
        "claimed": "acme",
        "resource": "pipeline:etl-1",
        "registered": True,
        "unregistered": "allow",
    }
    assert found["scope"].values == {
        "scope": "pipelines:run",
        "on": ["pipeline"],
        "key_scopes": ["pipelines:run"],
        "with_implied": ["pipelines:read", "pipelines:run"],
    }
    assert found["rbac"].values == {
        "user": "ann",
        "teams": ["data", "ml"],
        "bindings": [
            {"id": "b1", "role": "operator", "team": "data", "resource": None},
            {"id": "b2", "role": "viewer", "user": "ann", "resource": "pipeline:etl-1"},
        ],
        "roles": ["operator", "viewer"],
        "granted_by": ["operator"],
    }
    assert found["ip_allowlist"].values == {
        "source_ip": "10.0.0.7",
        "allowlist_enabled": True,
        "allowlist_matches": ["10.0.0.0/8", "any"],
        "key_cidrs": ["10.0.0.0/16", "11.0.0.0/16"],
        "key_cidrs_matches": ["10.0.0.0/16"],
    }
    assert found["freeze"].values["when"]["outcome"] == "satisfied"
    assert found["freeze"].values["require"]["reads"] == {"request.time": {"value": "2027-01-15T08:00:00Z"}}


def test_rules_are_told_with_their_faults() -> None:
    """Every rule that applies is shown, an allow rule that faulted too."""
    found = traces(world(), ask(source_ip="10.0.0.7"))["resource_policy"]
    assert (found.outcome, found.detail) == ("passed", "The allow rule `b-open` is satisfied.")
    rules = {one["rule"]: one for one in found.values["rules"]}
    assert {name: (one["effect"], one["outcome"]) for name, one in rules.items()} == {
        "a-broken": ("allow", "faulted"),
        "b-open": ("allow", "satisfied"),
        "c-locked": ("deny", "unsatisfied"),
    }
    assert set(rules["a-broken"]["fault"]) == {"message", "offset"}
    assert rules["a-broken"]["reads"] == {"resource.attr.missing": {"absent": True}}
    assert rules["c-locked"]["reads"] == {"resource.attr.env": {"value": "dev"}}


def test_a_denial_is_told() -> None:
    """The check that denied has the reason and rule; those behind it are not reached and show nothing."""
    made = world().put(Resource(**ACME, type="pipeline", id="etl-1", attributes={"env": "prod"}))
    found = traces(made, ask())
    denied = found["resource_policy"]
    assert (denied.outcome, denied.reason, denied.rule) == ("failed", "locked", "c-locked")
    behind = [found[name] for name in ("ip_allowlist", "other", "freeze")]
    assert all((one.outcome, one.reason, one.values) == ("not_reached", None, {}) for one in behind)
    assert found["freeze"].check == "condition"


def test_a_fault_is_told() -> None:
    """A deny rule that cannot be evaluated is `faulted`, and its wrong value is shown as such, not quoted."""
    made = world().put(Resource(**ACME, type="pipeline", id="etl-1", attributes={"env": 7}))
    found = traces(made, ask())["resource_policy"]
    assert (found.outcome, found.reason, found.rule) == ("faulted", "policy_error", "c-locked")
    [locked] = [one for one in found.values["rules"] if one["rule"] == "c-locked"]
    assert locked["reads"] == {"resource.attr.env": {"wrong_type": True}}


@pytest.mark.parametrize(
    ("request_", "check", "detail"),
    [
        (ask(), "rbac", "A service key has just its own scopes; roles do not apply."),
        (ask("userKey00001"), "rbac", "The scope is granted by the role `operator`."),
        (ask("userKey00001"), "credential", "The API key `userKey00001` is known."),
        (ask(slot=8), "credential", "The API key is not known."),
        (ask(slot=8), "scope", "An earlier check has already denied."),
        (ask(resource="pipeline:new"), "workspace", "names the key's workspace"),
        (ask(resource="pipeline:new", workspace="acme"), "workspace", "its type allows that, and the request names"),
        (ask(resource="connection:new", workspace="acme"), "workspace", "not registered in the workspace"),
        (ask(source_ip="9.9.9.9"), "ip_allowlist", "The source address is allowed."),
        (ask("userKey00001", source_ip="9.9.9.9"), "ip_allowlist", "not in the CIDRs of the API key"),
        (ask(), "ip_allowlist", "absent or not a valid IP address"),
    ],
)
def test_details(request_: Request, check: str, detail: str) -> None:
    """Each check says in a sentence what it found."""
    assert detail in traces(world(), request_)[check].detail


def test_details_of_addresses() -> None:
    """The workspace's list and the absence of any are told apart from the key's CIDRs."""
    made = world().put(IpAllowlist(**ACME, enabled=True, entries=(AllowlistEntry(cidr="10.0.0.0/8"),)))
    assert "the workspace's allowlist" in traces(made, ask(source_ip="9.9.9.9"))["ip_allowlist"].detail
    made.put(IpAllowlist(**ACME, enabled=False, entries=(AllowlistEntry(cidr="10.0.0.0/8"),)))
    assert "No allowlist is on" in traces(made, ask(source_ip="9.9.9.9"))["ip_allowlist"].detail


def test_a_type_without_policy_is_told() -> None:
    """Nothing allows a request on a type without policy, and the explanation says why."""
    made = World(policy()).put(Resource(**ACME, type="pipeline", id="etl-1"), api_key())
    assert "has no policy" in traces(made, ask())["resource_policy"].detail


def test_a_secret_in_its_grace_is_told() -> None:
    """The end of an old secret's grace is shown beside the key's own expiry."""
    slots = [
        SecretSlot(number=1, pepper_id="p", created_at=0, expires_at=NOW),
        SecretSlot(number=2, pepper_id="p", created_at=0),
    ]
    values = traces(world().put(api_key(slots=slots, expires_at=NOW + 10**9)), ask())["revocation"].values
    assert (values["secret_expires_at"], values["expires_at"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:01Z")


def test_condition_details() -> None:
    """A condition check tells which of its two conditions was not satisfied or could not be evaluated."""
    flags = [Attribute("when", BOOL), Attribute("require", BOOL)]
    check = ConditionCheck(
        "c", is_true("request.context.require"), "no", None, is_true("request.context.when"), None, SPAN
    )
    made = World(policy(resource_policy(default="allow"), order=with_conditions(check), context=flags))
    made.put(Resource(**ACME, type="pipeline", id="etl-1"), api_key())

    def told(**context: Any) -> tuple[str, str, list[str]]:
        trace = traces(made, ask(context=context))["c"]
        return trace.outcome, trace.detail, list(trace.values)

    assert told(when=None) == ("faulted", "Its `when` could not be evaluated.", ["when"])
    assert told(when=False) == ("not_applicable", "Its `when` is not satisfied.", ["when"])
    assert told(when=True) == ("faulted", "Its `require` could not be evaluated.", ["when", "require"])
    assert told(when=True, require=False) == ("failed", "Its `require` is not satisfied.", ["when", "require"])
    assert told(when=True, require=True) == ("passed", "Its `require` is satisfied.", ["when", "require"])


@pytest.mark.parametrize(
    ("value", "declared", "expected"),
    [
        ("x", STRING, "x"),
        (0, TIMESTAMP, "1970-01-01T00:00:00Z"),
        ((0,), Type("list", TIMESTAMP), ["1970-01-01T00:00:00Z"]),
        (("a", "b"), STRINGS, ["a", "b"]),
        ({"a": "b"}, LABELS, {"a": "b"}),
        (1, IP, "0.0.0.1"),
        (1.5, DOUBLE, 1.5),
        (float("inf"), DOUBLE, "inf"),
    ],
)
def test_jsonable(value: Any, declared: Type, expected: object) -> None:
    """Run-time values become what JSON can carry."""
    assert jsonable(value, declared) == expected


def test_instants_beyond_the_calendar() -> None:
    """An instant without an RFC 3339 spelling is shown in digits, and does not break an explanation."""
    assert instant_text(None) is None
    assert instant_text(1 << 80) == str(1 << 80)
    assert traces(world(), ask(), 1 << 80)["revocation"].values["now"] == str(1 << 80)


def test_no_policy() -> None:
    """Without an active bundle there is nothing to explain."""
    with pytest.raises(StoreError) as caught:
        explain(ask(), Snapshot(Programs()), NOW)
    assert caught.value.code == "no_policy"
