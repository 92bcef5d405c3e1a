"""Small worlds, all of them: no luck involved."""

from __future__ import annotations

import itertools
import json
from typing import Any

from policy_service.engine.decide import decide
from policy_service.model.facts import ApiKey, Fact, SecretSlot, ServicePrincipal, Workspace
from policy_service.model.request import Credential, Request, ResourceRef
from tests.oracle.oracle import ALLOWED, Oracle, Verdict
from tests.oracle.rule_files import RuleFiles
from tests.property.judging import verdict_of
from tests.property.policies import FIXED, FREE
from tests.worlds import program_of, snapshot_of

OUTCOMES = {"satisfied": "true", "not": "false", "fault": "1 / request.context.zero == 1"}
KINDS = tuple(itertools.product(("allow", "deny"), OUTCOMES))
CONTEXT = {"context": {"zero": "int"}}
BUILT_IN = [{"check": name} for name in FIXED + FREE]
KEY = ApiKey(
    id="serviceKey01",
    workspace="acme",
    principal_kind="service",
    principal_id="ci",
    scopes=("things:use",),
    slots=(SecretSlot(number=1, pepper_id="p", created_at=0),),
    created_at=0,
)
FACTS: list[Fact] = [Workspace(id="acme"), ServicePrincipal(workspace="acme", id="ci"), KEY]
NOW = 1


def request_on(resource_type: str) -> Request:
    resource = ResourceRef(resource_type, "one", "acme")
    return Request(Credential("verified", KEY.id, 1), "things:use", resource, context={"zero": 0})


def policy_files(chain: list[Any], types: dict[str, Any]) -> dict[str, str]:
    """Rule files with these checks and these resource documents."""
    documents = {
        "chain.yaml": {"chain": chain},
        "scopes.yaml": {"scopes": {"things:use": {"on": list(types)}}},
        "context.yaml": CONTEXT,
        **{f"resources/{name}.yaml": document for name, document in types.items()},
    }
    return {name: json.dumps(document) for name, document in documents.items()}


def resource_document(name: str, default: str, kinds: tuple[tuple[str, str], ...]) -> Any:
    rules = [
        {"name": f"rule-{number}", "effect": effect, "when": OUTCOMES[outcome]}
        for number, (effect, outcome) in enumerate(kinds)
    ]
    return {"resource": name, "unregistered": "allow", "default": default, "rules": rules}


def plainly(default: str, kinds: tuple[tuple[str, str], ...]) -> Verdict:
    """What the design says of rules named in this order, in one breath."""
    for wanted, reason in (("satisfied", "resource_denied"), ("fault", "policy_error")):
        for number, kind in enumerate(kinds):
            if kind == ("deny", wanted):
                return Verdict(False, reason, "resource_policy", f"rule-{number}", 403)
    if default == "allow" or ("allow", "satisfied") in kinds:
        return ALLOWED
    return Verdict(False, "resource_not_allowed", "resource_policy", None, 403)


def test_up_to_four_rules_of_every_kind_decide_as_the_design_says() -> None:
    """{allow, deny} x {satisfied, not, fault}, up to four rules, under both defaults: engine, oracle and formula agree.

    One policy holds them all, a resource type for each of the 3,110 worlds.
    """
    worlds = [kinds for size in range(5) for kinds in itertools.product(KINDS, repeat=size)]
    named = {f"world-{n}": pair for n, pair in enumerate(itertools.product(("allow", "deny"), worlds))}
    files = policy_files(BUILT_IN, {name: resource_document(name, *pair) for name, pair in named.items()})
    snapshot, rules = snapshot_of(program_of(files), FACTS), RuleFiles(files)
    assert len(named) == 3110
    for name, (default, kinds) in named.items():
        request, expected = request_on(name), plainly(default, kinds)
        assert verdict_of(decide(request, snapshot, NOW)) == expected, (default, kinds)
        assert Oracle(rules, FACTS, request, NOW).verdict() == expected, (default, kinds)


def condition_check(name: str, when: str | None, require: str) -> Any:
    guard = {} if when is None else {"when": OUTCOMES[when]}
    return {"check": "condition", "name": name, "require": OUTCOMES[require], "reason": f"{name}_reason", **guard}


def plainly_checked(checks: tuple[tuple[str | None, str], ...]) -> Verdict:
    """What the design says of condition checks in this order."""
    for number, (when, require) in enumerate(checks):
        if when == "not":
            continue
        if "fault" in (when, require):
            return Verdict(False, "policy_error", "condition", f"check{number}", 403)
        if require == "not":
            return Verdict(False, f"check{number}_reason", "condition", f"check{number}", 403)
    return ALLOWED


def test_up_to_two_condition_checks_of_every_kind_decide_as_the_design_says() -> None:
    """{no when, satisfied, not, fault} x {satisfied, not, fault}, none, one or two of them in the chain."""
    kinds = list(itertools.product((None, *OUTCOMES), OUTCOMES))
    types = {"thing": resource_document("thing", "allow", ())}
    for checks in [checks for size in range(3) for checks in itertools.product(kinds, repeat=size)]:
        entries = [condition_check(f"check{number}", *check) for number, check in enumerate(checks)]
        files = policy_files([*BUILT_IN, *entries], types)
        request, expected = request_on("thing"), plainly_checked(checks)
        assert verdict_of(decide(request, snapshot_of(program_of(files), FACTS), NOW)) == expected, checks
        assert Oracle(RuleFiles(files), FACTS, request, NOW).verdict() == expected, checks


def test_the_chain_s_order_decides_only_which_reason_is_given() -> None:
    """In all 24 orders of the free checks: denied in each, with the reason of the first that fails."""
    reasons = {
        "scope": "unknown_scope",
        "rbac": "role_not_granted",
        "resource_policy": "resource_not_allowed",
        "ip_allowlist": "invalid_source_ip",
    }
    types = {"thing": resource_document("thing", "deny", ())}
    user_key = ApiKey(**{**{f: getattr(KEY, f) for f in KEY.__struct_fields__}, "principal_kind": "user"})
    request = Request(Credential("verified", KEY.id, 1), "no:scope", ResourceRef("thing", "one", "acme"), "1.2.3")
    for order in itertools.permutations(FREE):
        files = policy_files([{"check": name} for name in FIXED + order], types)
        decision = decide(request, snapshot_of(program_of(files), [user_key]), NOW)
        assert (decision.allowed, decision.check, decision.reason) == (False, order[0], reasons[order[0]])
        assert Oracle(RuleFiles(files), [user_key], request, NOW).verdict() == verdict_of(decision)
