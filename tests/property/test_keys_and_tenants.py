"""Theorems about keys, users, workspaces and addresses."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy_service.model.facts import AllowlistEntry, ApiKey, Fact, IpAllowlist, RoleBinding, User
from tests.oracle import addresses
from tests.oracle.oracle import Oracle, Verdict
from tests.oracle.rule_files import RuleFiles
from tests.property.judging import judged
from tests.property.strategies import CIDRS, MOMENTS, WORKSPACES, Case, cases, workspace_facts

F = TypeVar("F", bound=Fact)


def altered(facts: list[Fact], kind: type[F], **fields: Any) -> list[Fact]:
    """The facts, with these fields set in all of a kind."""
    return [msgspec.structs.replace(fact, **fields) if isinstance(fact, kind) else fact for fact in facts]


def key_of(case: Case, position: int) -> ApiKey | None:
    """The key that a request presents."""
    wanted = case.asked[position][0].credential.key_id
    return next((key for key in case.world.api_keys() if key.id == wanted), None)


def verdicts(case: Case, facts: list[Fact] | None = None) -> list[Verdict]:
    return judged(case.world.documents, case.world.facts if facts is None else facts, case.asked)


@given(cases(), st.data())
def test_no_decision_crosses_workspaces(case: Case, data: st.DataObject) -> None:
    """With the facts of all other workspaces changed at will, or gone, a key's requests are decided alike."""
    mine = data.draw(st.sampled_from(WORKSPACES))
    own = [fact for fact in case.world.facts if workspace_of(fact) == mine]
    others = [data.draw(workspace_facts(name)) for name in WORKSPACES if name != mine]
    elsewhere = own + [fact for facts in others for fact in facts]
    before, after, alone = verdicts(case), verdicts(case, elsewhere), verdicts(case, own)
    for position, verdict in enumerate(before):
        key = key_of(case, position)
        if key is not None and key.workspace == mine:
            assert after[position] == verdict
            assert alone[position] == verdict


def workspace_of(fact: Fact) -> str:
    return fact.key()[0] if not isinstance(fact, ApiKey) else fact.workspace


@given(cases())
def test_no_request_is_allowed_on_a_resource_of_another_workspace(case: Case) -> None:
    """An allowed request claims the key's workspace or none."""
    for position, verdict in enumerate(verdicts(case)):
        key, claimed = key_of(case, position), case.asked[position][0].resource.workspace
        assert not verdict.allowed or (key is not None and claimed in (None, key.workspace))


@given(cases(), st.sampled_from(MOMENTS))
def test_a_revoked_key_is_never_allowed(case: Case, moment: int) -> None:
    """Whenever it was revoked, before or after the instant decided for."""
    for verdict in verdicts(case, altered(case.world.facts, ApiKey, revoked_at=moment)):
        assert not verdict.allowed
        assert verdict.check == "credential" or verdict.reason == "revoked_key"


@given(cases())
def test_a_suspended_user_s_key_is_never_allowed(case: Case) -> None:
    """All users suspended: only service keys pass."""
    for position, verdict in enumerate(verdicts(case, altered(case.world.facts, User, suspended=True))):
        key = key_of(case, position)
        assert not verdict.allowed or (key is not None and key.principal_kind == "service")


@given(cases())
def test_a_key_is_never_allowed_outside_its_time(case: Case) -> None:
    """`not_before <= now < expires_at`, for the key and for the secret that was shown."""
    for position, verdict in enumerate(verdicts(case)):
        key, (request, now) = key_of(case, position), case.asked[position]
        if verdict.allowed:
            assert key is not None
            assert (key.not_before or now) <= now < (key.expires_at or now + 1)
            shown = [slot for slot in key.slots if slot.number == request.credential.slot]
            assert all(now < (slot.expires_at or now + 1) for slot in shown)


@given(cases())
def test_a_user_key_never_exceeds_its_user_nor_its_own_scopes(case: Case) -> None:
    """An allowed scope is in the closure of the key's scopes, and of what the user's bindings grant there."""
    rules = RuleFiles(case.world.files())
    for (request, now), verdict in zip(case.asked, verdicts(case), strict=True):
        if verdict.allowed:
            oracle = Oracle(rules, case.world.facts, request, now)
            assert request.scope in rules.scope_closure(set(oracle.key.scopes))
            if oracle.key.principal_kind == "user":
                assert request.scope in rules.role_scopes(oracle.bound_roles())


@given(cases())
def test_a_user_without_bindings_is_never_allowed(case: Case) -> None:
    """Nothing is granted by being there."""
    bare = [fact for fact in case.world.facts if not isinstance(fact, RoleBinding)]
    for position, verdict in enumerate(verdicts(case, bare)):
        key = key_of(case, position)
        assert not verdict.allowed or (key is not None and key.principal_kind == "service")


@given(cases(), st.lists(st.sampled_from(CIDRS), max_size=2, unique=True))
def test_an_address_outside_an_enabled_list_is_never_allowed(case: Case, cidrs: list[str]) -> None:
    """Nor an absent or invalid one; and the key's own CIDRs bind as well. An empty list denies all."""
    entries = tuple(AllowlistEntry(cidr=cidr) for cidr in cidrs)
    rest = [fact for fact in case.world.facts if not isinstance(fact, IpAllowlist)]
    lists = [IpAllowlist(workspace=name, enabled=True, entries=entries) for name in WORKSPACES]
    for position, verdict in enumerate(verdicts(case, [*rest, *lists])):
        if verdict.allowed:
            key, text = key_of(case, position), case.asked[position][0].source_ip
            address = addresses.parse_address(text or "")
            assert key is not None
            assert address is not None
            assert any(addresses.contains(cidr, address) for cidr in cidrs)
            assert not key.cidrs or any(addresses.contains(cidr, address) for cidr in key.cidrs)
