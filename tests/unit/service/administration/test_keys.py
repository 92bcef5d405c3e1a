"""API keys: issued once, shown once, revoked for good."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policy_service.model.api_key import parse_api_key
from policy_service.model.errors import StoreError
from policy_service.model.facts import SecretSlot
from policy_service.model.instants import MAX_NS
from policy_service.service.administration import NewKey
from policy_service.service.administration.keys import MAX_CIDRS, MAX_SCOPES
from tests.fakes import START
from tests.unit.service.house import OPERATOR, TENANT, House
from tests.unit.service.refusals import refused

SECOND = 1_000_000_000


def _new(**more: Any) -> NewKey:
    return NewKey(**{"principal_kind": "service", "principal_id": "ci", "scopes": ["pipelines:run"], **more})


@pytest.fixture
def peopled(house: House) -> House:
    """A house with a service principal `ci` and a user `ada` in `acme`."""
    house.admin.put_service_principal(TENANT, "acme", "ci")
    house.admin.put_user(TENANT, "acme", "ada")
    return house


def test_a_key_is_what_was_asked_for(peopled: House) -> None:
    """Scopes sorted and each once, CIDRs canonical, labels sorted, one secret slot under the current pepper."""
    new = _new(
        scopes=["pipelines:run", "decisions:evaluate", "pipelines:run"],
        not_before=START - 5,
        expires_at=START + SECOND,
        cidrs=["192.0.2.1", "any"],
        labels={"b": "2", "a": ""},
    )
    issued = peopled.admin.create_key(TENANT, "acme", new)
    key = issued.api_key
    assert key == issued.written.fact == peopled.admin.get_key(TENANT, "acme", key.id).fact
    assert (key.workspace, key.principal_kind, key.principal_id) == ("acme", "service", "ci")
    assert key.scopes == ("decisions:evaluate", "pipelines:run")
    assert (key.created_at, key.not_before, key.expires_at) == (START, START - 5, START + SECOND)
    assert key.cidrs == ("192.0.2.1/32", "any")
    assert list(key.labels.items()) == [("a", ""), ("b", "2")]
    assert key.slots == (SecretSlot(number=1, pepper_id="p1", created_at=START),)


def test_the_text_of_a_key_is_well_formed_and_stands_nowhere(peopled: House) -> None:
    """The store has a verifier, in the sealed part of the change, and no secret anywhere."""
    issued = peopled.admin.create_key(TENANT, "acme", _new())
    parts = parse_api_key(issued.text)
    assert parts is not None
    assert (parts.prefix, parts.id) == ("psx", issued.api_key.id)
    change = issued.written.change
    assert change is not None
    assert change.sealed is not None
    verifier = peopled.peppers.verifier("p1", issued.text).hex()
    assert json.loads(change.sealed) == {"verifiers": {issued.api_key.id: {"1": verifier}}}
    everything = f"{peopled.store.changes_after(0, 1000)} {list(peopled.store.facts())} {issued!r}"
    assert parts.secret not in everything
    assert issued.text not in everything
    assert verifier not in str(change.effects)


def test_a_user_may_get_scopes_that_no_role_grants_yet(peopled: House) -> None:
    """Bindings are judged when a decision is made, not when the key is."""
    issued = peopled.admin.create_key(TENANT, "acme", _new(principal_kind="user", principal_id="ada"))
    assert issued.api_key.principal_kind == "user"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"scopes": []}, "invalid_scopes"),
        ({"scopes": [f"a:s{i}" for i in range(MAX_SCOPES + 1)]}, "invalid_scopes"),
        ({"scopes": ["pipelines:rum"]}, "unknown_scope"),
        ({"scopes": ["pipelines:*"]}, "unknown_scope"),
        ({"scopes": ["a\n" + "b" * 2000]}, "unknown_scope"),
        ({"principal_id": "nobody"}, "unknown_principal"),
        ({"principal_id": "no body"}, "invalid_id"),
        ({"principal_kind": "user"}, "unknown_principal"),
        ({"principal_id": "ada"}, "unknown_principal"),
        ({"expires_at": START}, "invalid_expiry"),
        ({"expires_at": START - 1}, "invalid_expiry"),
        ({"expires_at": MAX_NS + 1}, "invalid_expiry"),
        ({"not_before": START + 2, "expires_at": START + 2}, "invalid_expiry"),
        ({"cidrs": ["10.0.0.1/8"]}, "invalid_cidr"),
        ({"cidrs": ["10.0.0.1", "10.0.0.1/32"]}, "duplicate_cidr"),
        ({"cidrs": ["any"] * (MAX_CIDRS + 1)}, "too_many_entries"),
        ({"labels": {"": "x"}}, "invalid_labels"),
        ({"labels": {"a": "b" * 65}}, "invalid_labels"),
        ({"labels": {"a": "b\n"}}, "invalid_labels"),
        ({"labels": {f"l{i}": "" for i in range(33)}}, "invalid_labels"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(peopled: House, more: dict[str, Any], code: str) -> None:
    """Each mistake has its code."""
    with refused(peopled, code):
        peopled.admin.create_key(TENANT, "acme", _new(**more))


def test_a_principal_of_another_workspace_is_unknown(peopled: House) -> None:
    """A key belongs to the workspace of its principal."""
    with refused(peopled, "unknown_principal"):
        peopled.admin.create_key(OPERATOR, "zeta", _new())
    with refused(peopled, "not_found", 404):
        peopled.admin.create_key(OPERATOR, "nowhere", _new())


def test_the_services_own_scopes_need_no_policy(bare: House) -> None:
    """So that the operator gets a key before any policy is there; other scopes must wait for one."""
    bare.admin.create_workspace(OPERATOR, "system")
    bare.admin.put_service_principal(OPERATOR, "system", "ci")
    assert bare.admin.create_key(OPERATOR, "system", _new(scopes=["keys:own"])).api_key.scopes == ("keys:own",)
    with pytest.raises(StoreError) as raised:
        bare.admin.create_key(OPERATOR, "system", _new())
    assert raised.value.code == "no_policy"


def test_an_id_that_is_taken_is_never_given_twice(peopled: House) -> None:
    """A collision is our trouble, and nothing is overwritten."""
    first = peopled.admin.create_key(TENANT, "acme", _new()).api_key
    peopled.ids.key_id = lambda: first.id  # type: ignore[method-assign]  # a source that repeats itself
    head = peopled.store.head()
    with pytest.raises(StoreError) as raised:
        peopled.admin.create_key(TENANT, "acme", _new())
    assert raised.value.code == "key_id_collision"
    assert peopled.store.head() == head


def test_revoking_ends_a_key_for_good_and_only_once(peopled: House) -> None:
    """The first revocation stands with its instant and reason."""
    key = peopled.admin.create_key(TENANT, "acme", _new()).api_key
    peopled.clock.advance(5)
    first = peopled.admin.revoke_key(TENANT, "acme", key.id, reason="leaked")
    peopled.clock.advance(5)
    again = peopled.admin.revoke_key(TENANT, "acme", key.id, reason="again")
    assert first.fact is not None
    assert (first.fact.revoked_at, first.fact.revoke_reason) == (START + 5 * SECOND, "leaked")
    assert first.change is not None
    assert first.change.action == "api_key.revoke"
    assert again.change is None
    assert again.fact == first.fact


def test_a_revocation_needs_no_reason_but_a_clean_one(peopled: House) -> None:
    """No reason is kept as none."""
    key = peopled.admin.create_key(TENANT, "acme", _new()).api_key
    with refused(peopled, "invalid_text"):
        peopled.admin.revoke_key(TENANT, "acme", key.id, reason="a\0")
    revoked = peopled.admin.revoke_key(TENANT, "acme", key.id).fact
    assert revoked is not None
    assert revoked.revoke_reason is None


def test_another_workspaces_key_is_not_to_be_told_from_none(peopled: House) -> None:
    """The same 404, with the same words."""
    theirs = peopled.key("zeta").api_key
    for key_id in (theirs.id, "K99999999999"):
        with refused(peopled, "not_found", 404):
            peopled.admin.get_key(TENANT, "acme", key_id)
        with refused(peopled, "not_found", 404):
            peopled.admin.revoke_key(TENANT, "acme", key_id)
    with refused(peopled, "invalid_id"):
        peopled.admin.get_key(TENANT, "acme", "short")


def test_lists_show_revoked_keys_too_and_can_be_narrowed(peopled: House) -> None:
    """By id; of one principal when it is named."""
    first = peopled.admin.create_key(TENANT, "acme", _new()).api_key
    second = peopled.admin.create_key(TENANT, "acme", _new(principal_kind="user", principal_id="ada")).api_key
    peopled.admin.revoke_key(TENANT, "acme", first.id)
    peopled.key("zeta")
    assert [key.id for key in peopled.admin.list_keys(TENANT, "acme").items] == [first.id, second.id]
    assert peopled.admin.list_keys(TENANT, "acme", principal=("user", "ada")).items == (second,)
