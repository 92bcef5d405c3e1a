"""Grants never exceed the granter, and deletion is final: theorems over random houses and sequences of calls."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from policy_service.model.facts import ApiKey, Fact, Membership, Resource, RoleBinding
from policy_service.model.names import ADMIN_ORGANIZATION
from tests.property.attackers import (
    ATTEMPTS,
    PLAIN,
    SCOPES,
    WORKSPACES,
    Held,
    attempt,
    deeds,
    furnish,
    hand_out,
    new_key,
    snapshot_with,
)
from tests.unit.service.house import OPERATOR, House

KINDS = st.sampled_from(["user", "service"])


class Attack(RuleBasedStateMachine):
    """Somebody holds some keys and calls what they like with them, in any order, as time passes."""

    workspaces: tuple[str, ...] = WORKSPACES
    scopes: tuple[str, ...] = PLAIN
    house: House
    hands: list[Held]

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.house = furnish(data.draw)
        places = data.draw(st.lists(st.sampled_from(self.workspaces), min_size=1, max_size=4))
        self.hands = [hand_out(self.house, data.draw, place, self.scopes) for place in places]
        self.others = [hand_out(self.house, data.draw, place, SCOPES[:-1]) for place in WORKSPACES]
        self.at_first = list(self.hands)
        self.pristine = [self.house.stored_key(one.key_id) for one in self.hands]
        self.started = self.house.store.head()
        self.expected = self._facts_elsewhere()

    @rule(data=st.data(), what=st.sampled_from(sorted(ATTEMPTS)))
    def call(self, data: st.DataObject, what: str) -> None:
        text = data.draw(st.sampled_from(self.hands)).text
        gained = attempt(self.house, text, what, data.draw)
        self.hands += [] if gained is None else [gained]

    @rule()
    def wait(self) -> None:
        self.house.clock.advance(20)

    def _facts_elsewhere(self) -> list[str]:
        """Every fact that is not of the first workspace."""
        first = self.workspaces[0]
        return sorted(repr(fact) for fact in self.house.store.facts() if getattr(fact, "workspace", "") != first)

    def _worth(self) -> set[Any]:
        """All that the secrets in hand can do."""
        self.house.replica.catch_up()
        snapshot, now = self.house.replica.view(), self.house.clock.now()
        credentials = (self.house.credentials.check(one.text, snapshot) for one in self.hands)
        return {deed for credential in credentials for deed in deeds(snapshot, credential, now)}


class WithoutAdministration(Attack):
    """No sequence of calls by keys without `admin:organization` yields one that could do what none of theirs could.

    Theirs are taken as they were, though the calls may have revoked or rotated them since.
    """

    @invariant()
    def nothing_is_gained(self) -> None:
        snapshot, now = snapshot_with(self.house, self.pristine), self.house.clock.now()
        could = {deed for one in self.at_first for deed in deeds(snapshot, one.credential(), now)}
        assert self._worth() <= could

    @invariant()
    def nobody_else_is_touched(self) -> None:
        """The only changes are of keys of the very users whose keys they hold."""
        users = {(key.workspace, key.principal_id) for key in self.pristine if key.principal_kind == "user"}
        for change in self.house.store.changes[self.started :]:
            assert change.action in ("api_key.create", "api_key.rotate", "api_key.revoke")
            touched = self.house.stored_key(change.subject)
            assert (touched.workspace, touched.principal_id) in users


class WithAdministration(Attack):
    """A key with `admin:organization` never reaches beyond its workspace."""

    workspaces = ("acme",)
    scopes = (*PLAIN, ADMIN_ORGANIZATION, ADMIN_ORGANIZATION)

    @invariant()
    def other_workspaces_are_as_they_were(self) -> None:
        assert self._facts_elsewhere() == self.expected
        assert {change.workspace for change in self.house.store.changes[self.started :]} <= {"acme"}

    @invariant()
    def nothing_in_hand_works_elsewhere(self) -> None:
        assert {deed[0] for deed in self._worth()} <= {"acme"}


MODEST = settings(max_examples=25, stateful_step_count=12, deadline=None)
TestWithoutAdministration = WithoutAdministration.TestCase
TestWithoutAdministration.settings = MODEST
TestWithAdministration = WithAdministration.TestCase
TestWithAdministration.settings = MODEST


@settings(max_examples=25, deadline=None)
@given(st.data(), KINDS)
def test_deletion_is_final(data: st.DataObject, again: Any) -> None:
    """The same id made again, as whatever kind, starts with nothing: no grants, no ownership, and no old key works."""
    house = furnish(data.draw)
    house.admin.put_resource(OPERATOR, "acme", "pipeline", "hers", owner="ann")
    house.admin.create_binding(OPERATOR, "acme", "viewer", user="ann", resource=("pipeline", "hers"))
    made = [hand_out(house, data.draw, "acme", SCOPES[:-1]) for _ in range(4)]
    anns = [one for one in made if house.stored_key(one.key_id).principal_id == "ann"]
    house.admin.delete_user(OPERATOR, "acme", "ann")
    if again == "user":
        house.admin.put_user(OPERATOR, "acme", "ann")
    else:
        house.admin.put_service_principal(OPERATOR, "acme", "ann")
    house.replica.catch_up()
    snapshot, now = house.replica.view(), house.clock.now()
    assert not [fact for fact in house.store.facts() if _names(fact, "ann")]
    for one in anns:
        assert house.decide(one.text).decision.reason in ("revoked_key", "expired_key")
        assert list(deeds(snapshot, one.credential(), now)) == []
    if again == "user":
        fresh = new_key(data.draw, now, PLAIN, ("user", "ann"))
        fresh = msgspec.structs.replace(fresh, expires_at=None, cidrs=())
        issued = house.admin.create_key(OPERATOR, "acme", fresh)
        house.replica.catch_up()
        credential = house.credentials.check(issued.text, house.replica.view())
        assert list(deeds(house.replica.view(), credential, now)) == []


def _names(fact: Fact, user: str) -> bool:
    """Whether a fact of `acme` gives this user something."""
    if isinstance(fact, ApiKey):
        return (fact.workspace, fact.principal_id) == ("acme", user) and fact.revoked_at is None
    if isinstance(fact, Membership | RoleBinding):
        return (fact.workspace, fact.user) == ("acme", user)
    return isinstance(fact, Resource) and (fact.workspace, fact.owner) == ("acme", user)
