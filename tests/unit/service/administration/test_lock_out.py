"""An edit that would bar its own author needs to be meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from policy_service.model.facts import AllowlistEntry
from policy_service.service.access import may_use
from policy_service.service.administration import NewKey
from policy_service.service.caller import Caller
from tests.unit.service.house import OPERATOR, House
from tests.unit.service.refusals import refused

ADMIN = "admin:organization"


def _caller(house: House, text: str) -> Caller:
    house.replica.catch_up()
    return house.gate.admit(text, ADMIN, None)


def _may_still(house: House, caller: Caller) -> bool:
    policy = house.bundles.policy(house.bundles.active() or "")
    found: bool = house.store.read(lambda reader: may_use(reader, policy, caller.key_id or "", ADMIN))
    return found


@pytest.fixture
def ada(house: House) -> Caller:
    """Ada, who administers `acme` as a member of `staff`, whose parent `org` has the role."""
    issued = house.key(kind="user", principal="ada", scopes=(ADMIN,))
    house.admin.put_team(OPERATOR, "acme", "org")
    house.admin.put_team(OPERATOR, "acme", "staff", parent="org")
    house.admin.add_member(OPERATOR, "acme", "staff", "ada")
    house.admin.create_binding(OPERATOR, "acme", "everything", team="org")
    return _caller(house, issued.text)


Edit = Callable[[House, Caller, str, bool], Any]
"""House, author, the id of ada's key, force."""

EDITS: list[Edit] = [
    lambda h, c, _, force: h.admin.put_user(c, "acme", "ada", suspended=True, force=force),
    lambda h, c, _, force: h.admin.delete_user(c, "acme", "ada", force=force),
    lambda h, c, _, force: h.admin.remove_member(c, "acme", "staff", "ada", force=force),
    lambda h, c, _, force: h.admin.put_team(c, "acme", "staff", force=force),
    lambda h, c, _, force: h.admin.delete_team(c, "acme", "staff", force=force),
    lambda h, c, _, force: h.admin.delete_team(c, "acme", "org", force=force),
    lambda h, c, _, force: h.admin.delete_binding(
        c, "acme", h.admin.list_bindings(OPERATOR, "acme").items[0].id, force=force
    ),
    lambda h, c, key, force: h.admin.revoke_key(c, "acme", key, force=force),
]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_that_ends_its_authors_access_needs_force(house: House, ada: Caller, edit: Edit) -> None:
    """Its key, its principal, its last grant, in whatever way: refused, and made when it is meant."""
    with refused(house, "would_lock_out", 409):
        edit(house, ada, ada.key_id or "", False)
    assert _may_still(house, ada)
    edit(house, ada, ada.key_id or "", True)
    assert not _may_still(house, ada)


@pytest.mark.parametrize("by_command", [True, False])
@pytest.mark.parametrize("edit", EDITS)
def test_somebody_else_may_bar_it(house: House, ada: Caller, edit: Edit, by_command: bool) -> None:
    """Another administrator keeps its own access; a local command has no key to lose."""
    other = OPERATOR if by_command else _caller(house, house.key(principal="root", scopes=(ADMIN,)).text)
    edit(house, other, ada.key_id or "", False)
    assert not _may_still(house, ada)


def test_a_service_cannot_delete_itself_unawares(house: House) -> None:
    """Its key would be revoked with it."""
    caller = _caller(house, house.key(principal="root", scopes=(ADMIN,)).text)
    with refused(house, "would_lock_out", 409):
        house.admin.delete_service_principal(caller, "acme", "root")
    house.admin.delete_service_principal(caller, "acme", "root", force=True)
    assert not _may_still(house, caller)


def test_a_grant_that_is_not_the_last_may_go(house: House, ada: Caller) -> None:
    """With a second binding, each of the two may go, but not both."""
    mine = house.admin.create_binding(OPERATOR, "acme", "everything", user="ada").fact
    assert mine is not None
    house.admin.remove_member(ada, "acme", "staff", "ada")
    with refused(house, "would_lock_out", 409):
        house.admin.delete_binding(ada, "acme", mine.id)


def test_an_allowlist_bars_nobody_from_here(house: House, ada: Caller) -> None:
    """Neither the workspace's, on and empty, nor any other edit that access does not rest on."""
    house.admin.put_allowlist(ada, "acme", enabled=True)
    house.admin.put_allowlist(ada, "acme", enabled=True, entries=[AllowlistEntry(cidr="192.0.2.0/24")])
    house.admin.put_user(ada, "acme", "ada", name="Ada")
    house.admin.revoke_key(ada, "acme", house.key().api_key.id)
    assert _may_still(house, ada)


def test_whoever_lost_its_access_already_is_told_nothing_new(house: House, ada: Caller) -> None:
    """A change that was let in before the access went is not refused as the one that would end it."""
    house.admin.revoke_key(OPERATOR, "acme", ada.key_id or "")
    house.admin.delete_user(ada, "acme", "ada")


def test_only_what_let_the_author_in_is_judged(house: House, ada: Caller) -> None:
    """Another key of the same user may end."""
    new = NewKey(principal_kind="user", principal_id="ada", scopes=[ADMIN])
    other = house.admin.create_key(ada, "acme", new).api_key
    house.admin.revoke_key(ada, "acme", other.id)
    assert _may_still(house, ada)
