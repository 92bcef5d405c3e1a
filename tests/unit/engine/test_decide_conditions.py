"""Conditions in rules and in the chain: satisfied, unsatisfied, faulting; and what they can see."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from policy_service.language.ir import (
    BOOL,
    DOUBLE,
    INT,
    IP,
    LABELS,
    STRING,
    STRINGS,
    TIMESTAMP,
    Call,
    Condition,
    Const,
    InNetworks,
    Read,
    Type,
)
from policy_service.language.policy import Attribute, BuiltinCheck, ConditionCheck
from policy_service.model.address import Network
from policy_service.model.facts import ActiveBundle, Fact, Membership, Resource, RoleBinding, Team, User
from policy_service.model.request import Request
from tests.unit.engine.asking import answer, equals, has, is_true, within
from tests.unit.engine.worlds import (
    NOW,
    ORDER,
    SPAN,
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
ETL = Resource(**ACME, type="pipeline", id="etl-1")
FLAGS = {"yes": True, "no": False, "fault": "not a bool"}
"""Values of a declared bool with which a condition on it is satisfied, unsatisfied or faults."""

SHAPES = [
    shape
    for size in range(4)
    for shape in itertools.product(itertools.product(("allow", "deny"), ("always", "flag")), repeat=size)
]
"""All sets of up to three rules, {allow, deny} × {unconditional, with a condition on an attribute of its own}."""


@pytest.mark.parametrize("default", ["allow", "deny"])
def test_small_worlds(default: Any) -> None:
    """Every rule of every shape satisfied, not, or faulting: the order inside the check."""
    for shape in SHAPES:
        rules = [
            rule(f"r{place}", effect, when=None if kind == "always" else is_true(f"resource.attr.f{place}"))
            for place, (effect, kind) in enumerate(shape)
        ]
        attributes = [Attribute(f"f{place}", BOOL) for place in range(len(shape))]
        made = World(policy(resource_policy(*reversed(rules), default=default, attributes=attributes)))
        made.put(ETL, api_key())
        for outcomes in itertools.product(*(("always",) if kind == "always" else FLAGS for _, kind in shape)):
            combination = [(effect, outcome) for (effect, _), outcome in zip(shape, outcomes, strict=True)]
            claims = {f"f{place}": FLAGS.get(outcome) for place, outcome in enumerate(outcomes)}
            decision = answer(made, ask(attributes=claims))
            assert (decision.reason, decision.rule) == expected(combination, default), combination


def expected(combination: Any, default: str) -> tuple[str, str | None]:
    """What the design says, for rules named by their place."""
    satisfied = [place for place, one in enumerate(combination) if one in (("deny", "always"), ("deny", "yes"))]
    faulted = [place for place, one in enumerate(combination) if one == ("deny", "fault")]
    if satisfied:
        return "resource_denied", f"r{satisfied[0]}"
    if faulted:
        return "policy_error", f"r{faulted[0]}"
    allowed = default == "allow" or ("allow", "always") in combination or ("allow", "yes") in combination
    return ("allowed" if allowed else "resource_not_allowed"), None


def test_a_faulting_rule_is_named() -> None:
    """`policy_error` names the rule in its message too, whatever the author's own words."""
    locked = rule("locked", "deny", when=is_true("resource.attr.flag"), reason="own_code", message="Own words.")
    made = World(policy(resource_policy(locked, attributes=[Attribute("flag", BOOL)]))).put(ETL, api_key())
    fault, denied = answer(made, ask()), answer(made, ask(attributes={"flag": True}))
    assert (fault.reason, fault.check, fault.rule, fault.http_status) == (
        "policy_error",
        "resource_policy",
        "locked",
        403,
    )
    assert fault.message == "The rule `locked` could not be evaluated, so the request is denied."
    assert (denied.reason, denied.message) == ("own_code", "Own words.")


# ---- condition checks


@pytest.mark.parametrize(
    ("when", "require", "reason"),
    [
        (None, "yes", "allowed"),
        (None, "no", "frozen"),
        (None, "fault", "policy_error"),
        ("yes", "yes", "allowed"),
        ("yes", "no", "frozen"),
        ("yes", "fault", "policy_error"),
        ("no", "no", "allowed"),
        ("no", "fault", "allowed"),
        ("fault", "yes", "policy_error"),
        ("fault", "no", "policy_error"),
    ],
)
@pytest.mark.parametrize("message", [None, "Changes are frozen."])
def test_condition_checks(when: str | None, require: str, reason: str, message: str | None) -> None:
    """An unsatisfied `require` denies with the author's code, a fault of either too; `when` says whether it applies."""
    check = ConditionCheck(
        name="freeze",
        require=is_true("request.context.require"),
        reason="frozen",
        message=message,
        when=None if when is None else is_true("request.context.when"),
        resource_type=None,
        span=SPAN,
    )
    declared = [Attribute("when", BOOL), Attribute("require", BOOL)]
    made = World(policy(resource_policy(rule("a", "allow")), order=with_conditions(check), context=declared))
    context = {"require": FLAGS[require]} | ({"when": FLAGS[when]} if when else {})
    decision = answer(made.put(ETL, api_key()), ask(context=context))
    assert decision.reason == reason
    if reason == "allowed":
        assert (decision.check, decision.rule) == (None, None)
    else:
        assert (decision.check, decision.rule, decision.http_status) == ("condition", "freeze", 403)
    if reason == "frozen":
        assert decision.message == (message or "The condition `freeze` is not met.")
    if reason == "policy_error":
        assert decision.message == "The condition `freeze` could not be evaluated, so the request is denied."


def check(
    name: str, require: Condition, *, resource_type: str | None = None, when: Condition | None = None
) -> ConditionCheck:
    return ConditionCheck(name, require, f"not_{name.replace('-', '_')}", None, when, resource_type, SPAN)


def test_a_check_on_one_type() -> None:
    """A condition check on a type reads its attributes and does not apply to others."""
    flagged = check("flagged", is_true("resource.attr.flag"), resource_type="pipeline")
    other = check("other", is_true("request.context.never"), resource_type="connection")
    made = World(
        policy(
            resource_policy(rule("a", "allow"), attributes=[Attribute("flag", BOOL)]),
            order=with_conditions(other, flagged),
            context=[Attribute("never", BOOL)],
        )
    ).put(ETL, api_key())
    assert answer(made, ask(attributes={"flag": True})).reason == "allowed"
    assert answer(made, ask(attributes={"flag": False})).reason == "not_flagged"
    assert answer(made, ask()).reason == "policy_error"


def test_a_check_stands_anywhere_after_the_fixed_ones() -> None:
    """Conditions between the built-in checks give the reason when they fail first, and have all they read."""
    early = check("early", is_true("request.context.flag"))
    late = check("late-one", is_true("request.context.flag"))
    twin = check("late_one", has("request.ip"))
    order = [*ORDER[:3], early, twin, *ORDER[3:], late]
    made = World(policy(resource_policy(), order=order, context=[Attribute("flag", BOOL)])).put(ETL, api_key(scopes=[]))
    assert answer(made, ask(context={"flag": False}, source_ip="10.0.0.1")).reason == "not_early"
    assert answer(made, ask(context={"flag": True})).reason == "not_late_one"
    assert answer(made, ask(context={"flag": True}, source_ip="10.0.0.1")).reason == "insufficient_scope"


# ---- what conditions see


OFFICE = Network(0, 1 << 25, "office")
IN_OFFICE = Condition(
    'request.ip.inNetwork("office")',
    InNetworks(type=BOOL, operand=Read(type=IP, path="request.ip"), networks=(OFFICE,), label="office"),
)
LABELLED = Condition(
    'key.labels["team"] == "data"',
    Call(
        type=BOOL,
        overload="equals",
        args=(
            Call(
                type=STRING,
                overload="index_map",
                args=(Read(type=LABELS, path="key.labels"), Const(type=STRING, value="team")),
            ),
            Const(type=STRING, value="data"),
        ),
    ),
)
USER_FACTS: list[Fact] = [
    User(**ACME, id="ann"),
    Team(**ACME, id="data"),
    Team(**ACME, id="ml", parent="data"),
    Membership(**ACME, team="ml", user="ann"),
    RoleBinding(**ACME, id="b1", role="operator", team="data"),
    RoleBinding(**ACME, id="b2", role="administrator", user="ann", resource_type="pipeline", resource_id="etl-2"),
    user_key(expires_at=NOW + 5, labels={"team": "data"}),
    api_key(),
    ETL,
    Resource(**ACME, type="pipeline", id="etl-2", owner="bob"),
]
USER, SERVICE = ask("userKey00001"), ask()
ETL_2 = ask("userKey00001", resource="pipeline:etl-2", owner="ann")


@pytest.mark.parametrize(
    ("condition", "request_", "outcome"),
    [
        (equals("request.scope", "pipelines:run"), USER, "yes"),
        (equals("request.scope", "pipelines:read"), USER, "no"),
        (equals("request.time", NOW, TIMESTAMP), USER, "yes"),
        (has("request.ip"), USER, "no"),
        (has("request.ip"), ask(source_ip="1.2.3.4"), "yes"),
        (IN_OFFICE, ask(source_ip="1.2.3.4"), "yes"),
        (IN_OFFICE, ask(source_ip="9.2.3.4"), "no"),
        (IN_OFFICE, ask(), "fault"),
        (equals("key.id", "userKey00001"), USER, "yes"),
        (equals("key.kind", "user"), USER, "yes"),
        (equals("key.kind", "service"), SERVICE, "yes"),
        (within("pipelines:run", "key.scopes"), USER, "yes"),
        (within("pipelines:read", "key.scopes"), USER, "no"),
        (equals("key.created_at", 0, TIMESTAMP), USER, "yes"),
        (equals("key.expires_at", NOW + 5, TIMESTAMP), USER, "yes"),
        (has("key.expires_at"), SERVICE, "no"),
        (equals("key.expires_at", NOW, TIMESTAMP), SERVICE, "fault"),
        (LABELLED, USER, "yes"),
        (LABELLED, SERVICE, "fault"),
        (equals("principal.id", "ann"), USER, "yes"),
        (equals("principal.kind", "user"), USER, "yes"),
        (within("ml", "principal.teams"), USER, "yes"),
        (within("data", "principal.teams"), USER, "yes"),
        (within("data", "principal.teams"), SERVICE, "no"),
        (within("operator", "principal.roles"), USER, "yes"),
        (within("viewer", "principal.roles"), USER, "yes"),
        (within("administrator", "principal.roles"), USER, "no"),
        (within("administrator", "principal.roles"), ETL_2, "yes"),
        (within("operator", "principal.roles"), ETL_2, "yes"),
        (within("operator", "principal.roles"), SERVICE, "no"),
        (equals("resource.type", "pipeline"), USER, "yes"),
        (equals("resource.id", "etl-1"), USER, "yes"),
        (equals("resource.workspace", "acme"), USER, "yes"),
        (has("resource.owner"), ask(owner="ann"), "no"),
        (equals("resource.owner", "ann"), ask(owner="ann"), "fault"),
        (equals("resource.owner", "bob"), ETL_2, "yes"),
        (equals("resource.owner", "ann"), ask(resource="pipeline:new", workspace="acme", owner="ann"), "yes"),
        (equals("workspace.id", "acme"), USER, "yes"),
    ],
    ids=lambda value: value.text if isinstance(value, Condition) else None,
)
def test_what_conditions_see(condition: Condition, request_: Request, outcome: str) -> None:
    """Every standard variable, present and absent, in a rule and in a condition check alike."""
    in_rule = policy(resource_policy(rule("d", "deny", when=condition), default="allow", unregistered="allow"))
    in_check = policy(
        resource_policy(default="allow", unregistered="allow"),
        # Before ip_allowlist, which would refuse an invalid address first.
        order=[*ORDER[:-1], check("c", condition), BuiltinCheck("ip_allowlist")],
    )
    by_rule = answer(World(in_rule).put(*USER_FACTS), request_).reason
    by_check = answer(World(in_check).put(*USER_FACTS), request_).reason
    assert by_rule == {"yes": "resource_denied", "no": "allowed", "fault": "policy_error"}[outcome]
    assert by_check == {"yes": "allowed", "no": "not_c", "fault": "policy_error"}[outcome]


def test_an_invalid_address_is_present_and_wrong() -> None:
    """In a condition `has(request.ip)` is true of an invalid address, and reading it faults."""
    for condition, reason in ((has("request.ip"), "resource_denied"), (IN_OFFICE, "policy_error")):
        made = World(policy(resource_policy(rule("d", "deny", when=condition)))).put(ETL, api_key())
        assert answer(made, ask(source_ip="1.2.3")).reason == reason


TYPED = [
    Attribute("s", STRING),
    Attribute("i", INT),
    Attribute("d", DOUBLE),
    Attribute("b", BOOL, has_default=True, default=True),
    Attribute("t", TIMESTAMP, has_default=True, default=5),
    Attribute("l", STRINGS, from_store=True),
    Attribute("l2", Type("list", DOUBLE), has_default=True, default=(1.5, float("inf"))),
]


@pytest.mark.parametrize(
    ("condition", "stored", "claimed", "outcome"),
    [
        (equals("resource.attr.s", "x"), {"s": "x"}, {"s": "y"}, "yes"),
        (equals("resource.attr.s", "x"), {}, {"s": "x"}, "yes"),
        (equals("resource.attr.s", "x"), {"s": None}, {"s": "x"}, "fault"),
        (has("resource.attr.s"), {"s": None}, {}, "yes"),
        (has("resource.attr.s"), {}, {}, "no"),
        (equals("resource.attr.i", 3, INT), {"i": 3}, {}, "yes"),
        (equals("resource.attr.i", 3, INT), {"i": 3.0}, {}, "fault"),
        (equals("resource.attr.d", 3.0, DOUBLE), {"d": 3}, {}, "yes"),
        (is_true("resource.attr.b"), {}, {}, "yes"),
        (is_true("resource.attr.b"), {}, {"b": False}, "no"),
        (equals("resource.attr.t", 5, TIMESTAMP), {}, {}, "yes"),
        (equals("resource.attr.t", 0, TIMESTAMP), {}, {"t": "1970-01-01T00:00:00Z"}, "yes"),
        (within("x", "resource.attr.l"), {"l": ["x"]}, {}, "yes"),
        (within("x", "resource.attr.l"), {}, {"l": ["x"]}, "fault"),
        (has("resource.attr.l2"), {}, {}, "yes"),
    ],
)
def test_attributes(condition: Condition, stored: dict[str, Any], claimed: dict[str, Any], outcome: str) -> None:
    """Attributes reach conditions in their declared type, from the store first, then the caller, then the default."""
    made = World(policy(resource_policy(rule("d", "deny", when=condition), default="allow", attributes=TYPED)))
    made.put(Resource(**ACME, type="pipeline", id="etl-1", attributes=stored), api_key())
    expected_reason = {"yes": "resource_denied", "no": "allowed", "fault": "policy_error"}[outcome]
    for _ in range(2):
        assert answer(made, ask(attributes=claimed)).reason == expected_reason


def test_what_was_read_is_forgotten() -> None:
    """Attributes kept for a resource go when it changes, and when a bundle with other types becomes active."""
    condition = equals("resource.attr.x", "3")
    text = resource_policy(rule("d", "deny", when=condition), default="allow", attributes=[Attribute("x", STRING)])
    number = resource_policy(
        rule("d", "deny", when=equals("resource.attr.x", 3, INT)), default="allow", attributes=[Attribute("x", INT)]
    )
    made = World(policy(text, digest="sha256:text"), policy(number, digest="sha256:number"))
    made.put(Resource(**ACME, type="pipeline", id="etl-1", attributes={"x": "3"}), api_key())
    assert answer(made, ask()).reason == "resource_denied"
    made.put(Resource(**ACME, type="pipeline", id="etl-1", attributes={"x": 3}))
    assert answer(made, ask()).reason == "policy_error"
    made.put(ActiveBundle(digest="sha256:number"))
    assert answer(made, ask()).reason == "resource_denied"
    made.remove(ActiveBundle(digest="sha256:number"))
    made.put(ActiveBundle(digest="sha256:text"))
    assert answer(made, ask()).reason == "policy_error"
