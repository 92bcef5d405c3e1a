"""What is proved survives thousands of random and boundary requests; `make soundness` asks a hundred thousand of each.

Besides: the requests are such that what is false does not survive them, at the limits least of all.
"""

from __future__ import annotations

from random import Random

import pytest

from policy_service.language.invariants import load_invariants
from policy_service.language.load import load_policy
from policy_service.service.policies.policy_folder import read_folder
from tests.property.soundness import SHIPPED, findings, held, random_files
from tests.unit.analysis.policies import statement


def test_no_request_breaks_what_is_proved_of_the_shipped_policies() -> None:
    """The built-in invariants and those of policies/invariants.yaml; and the situation of each was met."""
    policy, found = findings(read_folder(SHIPPED))
    assert {one.outcome for one in found} == {"proved"}
    tried = held(policy, [one.invariant for one in found], 5_000, Random("shipped"))
    assert tried.broken == []
    assert {one.invariant.name for one in found} == set(+tried.met)
    assert tried.reasons["allowed"] > 50
    assert len(tried.reasons) >= 18


@pytest.mark.parametrize("seed", range(1, 6))
def test_no_request_breaks_what_is_proved_of_a_random_policy(seed: int) -> None:
    """With random statements, of which some hold."""
    policy, found = findings(random_files(Random(seed)), seconds=15)
    proved = [one.invariant for one in found if one.outcome == "proved"]
    assert {one.invariant.name for one in found if one.invariant.is_builtin} <= {one.name for one in proved}
    assert all(one.witness is not None for one in found if one.outcome == "refuted")
    assert held(policy, proved, 2_000, Random(seed)).broken == []


@pytest.mark.parametrize(
    "text",
    [
        'decision.allowed && has(key.expires_at) && key.expires_at - request.time == duration("0.000000001s")',
        "decision.reason == 'expired_key' && has(key.expires_at) && key.expires_at == request.time",
        "decision.reason == 'expired_key' && !has(key.expires_at)",
        "decision.allowed && facts.on_allowlist && has(request.ip) && request.ip.inCidr('203.0.113.0/32')",
        "decision.allowed && facts.on_allowlist && has(request.ip) && request.ip.inCidr('203.0.113.255/32')",
        "decision.reason == 'ip_not_allowed' && has(request.ip) && request.ip.inCidr('203.0.114.0/32')",
        "decision.allowed && facts.in_key_cidrs && has(request.ip) && request.ip.inCidr('2001:db8::/128')",
        "decision.allowed && !has(request.ip)",
        "decision.reason == 'invalid_source_ip' && !has(request.ip)",
        "decision.allowed && !facts.registered",
        "decision.allowed && facts.registered && !facts.claims_own_workspace",
        "decision.reason == 'revoked_key' && facts.scope_granted && facts.registered",
        "decision.reason == 'workspace_mismatch' && facts.scope_granted",
        "decision.reason == 'principal_suspended'",
        "decision.reason == 'policy_error' && has(decision.rule) && decision.rule == 'retired-pipelines-do-not-run'",
        "decision.allowed && has(request.context.ticket) && request.context.ticket.matches('^OPS-[0-9]+$')",
        "decision.reason == 'resource_not_allowed' && has(request.context.ticket) && request.context.ticket == 'OPS-'",
        "decision.allowed && request.scope == 'pipelines:run' && 'prod-operators' in principal.teams",
        "decision.allowed && size(principal.roles) == 1",
        "decision.allowed && size(principal.teams) > 2",
        "decision.allowed && has(resource.owner) && resource.owner == principal.id",
    ],
)
def test_what_is_false_does_not_survive(text: str) -> None:
    """Each is false in some corner only; the requests reach that corner."""
    files = read_folder(SHIPPED)
    policy = load_policy(files)
    loaded = load_invariants(files | {"invariants.yaml": statement(text)}, policy)
    assert loaded.diagnostics == ()
    rounds = (held(policy, loaded.invariants, 3_000, Random(f"{text} {number}")) for number in range(15))
    assert any(tried.broken for tried in rounds)
