"""Theorems about the fixed chain: how the service guards itself."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.guard import authorize, effective_scopes
from policy_service.engine.snapshot import Snapshot
from policy_service.model.facts import ApiKey, Fact, IpAllowlist, Resource, RoleBinding, User
from policy_service.model.request import Credential
from tests.oracle import fixed_chain
from tests.oracle.rule_files import RuleFiles
from tests.property.drawing import pick
from tests.property.policies import SCOPES, Documents, documents, render
from tests.property.strategies import GOOD_IPS, MOMENTS, ODD_IPS, Case, cases, draw_credential
from tests.worlds import Feed, fold, program_of, snapshot_of

WANTED = (*SCOPES, "gone:scope", "keys:own")
PEERS = (None, *GOOD_IPS, *ODD_IPS[:4])


@st.composite
def knocks(draw: st.DrawFn, case: Case) -> tuple[Credential, str, str | None, int]:
    """Somebody at the door: what they show, what they want, where they come from, when."""
    key = pick(draw, case.world.api_keys())
    credential = draw_credential(draw, key, bad=pick(draw, (False, False, False, True)))
    return credential, pick(draw, WANTED), pick(draw, PEERS), pick(draw, MOMENTS)


def reasons(snapshot: Snapshot, asked: list[Any]) -> list[str]:
    """What the guard says to each; allowed and its reason go together."""
    verdicts = [authorize(credential, scope, peer, snapshot, now) for credential, scope, peer, now in asked]
    assert all(verdict.allowed == (verdict.reason == "allowed") for verdict in verdicts)
    return [verdict.reason for verdict in verdicts]


@given(cases(max_requests=1), st.data())
def test_the_guard_decides_as_the_oracle_does(case: Case, data: st.DataObject) -> None:
    """The same reason for everybody at the door."""
    asked = [data.draw(knocks(case)) for _ in range(8)]
    rules = RuleFiles(case.world.files())
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    assert reasons(snapshot, asked) == [fixed_chain.authorize(rules, case.world.facts, *one) for one in asked]


@given(cases(max_requests=1), documents(), st.data())
def test_no_rule_and_no_allowlist_locks_anybody_out(case: Case, other: Documents, data: st.DataObject) -> None:
    """Other rules, another chain, no allowlists, other resources: the guard says the same."""
    asked = [data.draw(knocks(case)) for _ in range(8)]
    kept = {name: case.world.documents[name] for name in ("scopes.yaml", "roles.yaml")}
    facts = [fact for fact in case.world.facts if not isinstance(fact, IpAllowlist | Resource)]
    before = snapshot_of(program_of(case.world.files()), case.world.facts)
    after = snapshot_of(program_of(render({**other, **kept})), facts)
    assert reasons(after, asked) == reasons(before, asked)


@given(cases(max_requests=1))
def test_effective_scopes_are_what_the_guard_grants(case: Case) -> None:
    """For every key and scope: in the set if and only if scope and rbac have nothing against it."""
    rules = RuleFiles(case.world.files())
    snapshot = snapshot_of(program_of(case.world.files()), case.world.facts)
    plain = [with_no_limits(fact) for fact in case.world.facts]
    for key in case.world.api_keys():
        for scope in WANTED:
            slot = Credential("verified", key.id, key.slots[-1].number)
            reason = fixed_chain.authorize(rules, plain, slot, scope, None, MOMENTS[0])
            assert (scope in effective_scopes(key, snapshot)) == (reason == "allowed")


def with_no_limits(fact: Fact) -> Fact:
    """Keys for ever, users not suspended: what is left is scopes and roles."""
    if isinstance(fact, ApiKey):
        return type(fact)(
            id=fact.id,
            workspace=fact.workspace,
            principal_kind=fact.principal_kind,
            principal_id=fact.principal_id,
            scopes=fact.scopes,
            slots=fact.slots[-1:],
            created_at=0,
        )
    return User(workspace=fact.workspace, id=fact.id) if isinstance(fact, User) else fact


@given(cases(max_requests=1), st.data())
def test_without_a_policy_only_service_keys_have_scopes(case: Case, data: st.DataObject) -> None:
    """Nothing is implied and no role grants anything: a key has just what it was issued with."""
    asked = [data.draw(knocks(case)) for _ in range(8)]
    feed = Feed()
    feed.put(*case.world.facts)
    none: Documents = {"scopes.yaml": {"scopes": {}}, "chain.yaml": {"chain": []}}
    bare = [fact for fact in case.world.facts if not isinstance(fact, RoleBinding)]
    expected = [fixed_chain.authorize(RuleFiles(render(none)), bare, *one) for one in asked]
    assert reasons(fold(feed.changes), asked) == expected
