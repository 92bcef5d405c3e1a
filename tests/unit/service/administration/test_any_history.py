"""Whatever administrators do, in whatever order: the facts hang together, and the feed tells them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from policy_service.model.errors import RequestError
from policy_service.model.facts import ApiKey, RoleBinding, ServicePrincipal, Team, User
from policy_service.service.administration import NewKey
from tests.unit.service.house import OPERATOR, House

WORKSPACES = st.sampled_from(["acme", "zeta"])
PRINCIPALS = st.sampled_from(["ann", "bob", "cy"])
TEAMS = st.sampled_from(["t1", "t2", "t3"])
RESOURCES = st.sampled_from(["r1", "r2"])
KINDS = st.sampled_from(["user", "service"])
ROLES = st.sampled_from(["viewer", "operator"])


class AnyHistory(RuleBasedStateMachine):
    """Two small workspaces, and every use case of administration. A refusal must leave no trace.

    That no effect lies about the past and no reference is left dangling is asserted by the store in memory itself.
    """

    house: House

    @initialize()
    def furnish(self) -> None:
        self.house = House().furnish()

    def attempt(self, act: Callable[[], Any]) -> None:
        head = self.house.store.head()
        facts = sorted(map(repr, self.house.store.facts()))
        try:
            written = act()
        except RequestError:
            assert self.house.store.head() == head
            return
        change = written.change
        assert self.house.store.head() == head + (change is not None) == written.revision
        assert (change is None) == (sorted(map(repr, self.house.store.facts())) == facts)

    @rule(workspace=WORKSPACES, user=PRINCIPALS, suspended=st.sampled_from([None, True, False]))
    def put_user(self, workspace: str, user: str, suspended: bool | None) -> None:
        self.attempt(lambda: self.house.admin.put_user(OPERATOR, workspace, user, suspended=suspended))

    @rule(workspace=WORKSPACES, user=PRINCIPALS)
    def delete_user(self, workspace: str, user: str) -> None:
        self.attempt(lambda: self.house.admin.delete_user(OPERATOR, workspace, user))

    @rule(workspace=WORKSPACES, service=PRINCIPALS)
    def put_service_principal(self, workspace: str, service: str) -> None:
        self.attempt(lambda: self.house.admin.put_service_principal(OPERATOR, workspace, service))

    @rule(workspace=WORKSPACES, service=PRINCIPALS)
    def delete_service_principal(self, workspace: str, service: str) -> None:
        self.attempt(lambda: self.house.admin.delete_service_principal(OPERATOR, workspace, service))

    @rule(workspace=WORKSPACES, team=TEAMS, parent=st.none() | TEAMS)
    def put_team(self, workspace: str, team: str, parent: str | None) -> None:
        self.attempt(lambda: self.house.admin.put_team(OPERATOR, workspace, team, parent=parent))

    @rule(workspace=WORKSPACES, team=TEAMS)
    def delete_team(self, workspace: str, team: str) -> None:
        self.attempt(lambda: self.house.admin.delete_team(OPERATOR, workspace, team))

    @rule(workspace=WORKSPACES, team=TEAMS, user=PRINCIPALS, adding=st.booleans())
    def change_members(self, workspace: str, team: str, user: str, adding: bool) -> None:
        act = self.house.admin.add_member if adding else self.house.admin.remove_member
        self.attempt(lambda: act(OPERATOR, workspace, team, user))

    @rule(workspace=WORKSPACES, name=RESOURCES, owner=st.none() | PRINCIPALS)
    def put_resource(self, workspace: str, name: str, owner: str | None) -> None:
        self.attempt(lambda: self.house.admin.put_resource(OPERATOR, workspace, "pipeline", name, owner=owner))

    @rule(workspace=WORKSPACES, name=RESOURCES)
    def delete_resource(self, workspace: str, name: str) -> None:
        self.attempt(lambda: self.house.admin.delete_resource(OPERATOR, workspace, "pipeline", name))

    @rule(workspace=WORKSPACES, role=ROLES, team=st.none() | TEAMS, user=PRINCIPALS, on=st.none() | RESOURCES)
    def create_binding(self, workspace: str, role: str, team: str | None, user: str, on: str | None) -> None:
        to: dict[str, str] = {"user": user} if team is None else {"team": team}
        resource = None if on is None else ("pipeline", on)
        self.attempt(lambda: self.house.admin.create_binding(OPERATOR, workspace, role, resource=resource, **to))

    @rule(workspace=WORKSPACES, data=st.data())
    def delete_binding(self, workspace: str, data: st.DataObject) -> None:
        bindings = self.house.store.read(lambda reader: reader.find(RoleBinding, workspace=workspace))
        if bindings:
            chosen = data.draw(st.sampled_from(bindings)).id
            self.attempt(lambda: self.house.admin.delete_binding(OPERATOR, workspace, chosen))

    @rule(workspace=WORKSPACES, kind=KINDS, principal=PRINCIPALS)
    def create_key(self, workspace: str, kind: Any, principal: str) -> None:
        new = NewKey(principal_kind=kind, principal_id=principal, scopes=["pipelines:run"])
        self.attempt(lambda: self.house.admin.create_key(OPERATOR, workspace, new).written)

    @rule(workspace=WORKSPACES, data=st.data())
    def revoke_key(self, workspace: str, data: st.DataObject) -> None:
        keys = self.house.store.read(lambda reader: reader.find(ApiKey))
        if keys:
            chosen = data.draw(st.sampled_from(keys)).id
            self.attempt(lambda: self.house.admin.revoke_key(OPERATOR, workspace, chosen))

    @rule(workspace=WORKSPACES, data=st.data(), grace_s=st.sampled_from([0, 3600]))
    def rotate_key(self, workspace: str, data: st.DataObject, grace_s: int) -> None:
        keys = self.house.store.read(lambda reader: reader.find(ApiKey))
        if keys:
            chosen = data.draw(st.sampled_from(keys)).id
            self.attempt(lambda: self.house.admin.rotate_key(OPERATOR, workspace, chosen, grace_s=grace_s).written)

    @invariant()
    def the_snapshot_is_the_tables(self) -> None:
        """fold(changes) = tables, advanced step by step."""
        self.house.replica.catch_up()
        folded = sorted(map(repr, self.house.replica.view().facts()))
        assert folded == sorted(map(repr, self.house.store.facts()))

    @invariant()
    def a_key_that_is_not_revoked_has_its_principal(self) -> None:
        """Deletion is final."""
        kinds = {"user": User, "service": ServicePrincipal}
        for key in self._all(ApiKey):
            principal = (key.workspace, key.principal_id)
            there = self.house.store.read(lambda r, k=key, p=principal: r.get(kinds[k.principal_kind], p))
            assert there is not None or key.revoked_at is not None

    @invariant()
    def users_and_services_share_no_id(self) -> None:
        """One id space in each workspace."""
        assert not {user.key() for user in self._all(User)} & {service.key() for service in self._all(ServicePrincipal)}

    @invariant()
    def no_team_is_its_own_ancestor(self) -> None:
        """Every walk upwards ends."""
        teams = {team.key(): team for team in self._all(Team)}
        for team in teams.values():
            steps, here = 0, team
            while here.parent is not None:
                here, steps = teams[(here.workspace, here.parent)], steps + 1
                assert steps <= len(teams)

    @invariant()
    def no_two_bindings_say_the_same(self) -> None:
        """Taking a role back needs one deletion."""
        said = [(b.workspace, b.role, b.team, b.user, b.resource_type, b.resource_id) for b in self._all(RoleBinding)]
        assert len(said) == len(set(said))

    def _all(self, entity: Any) -> list[Any]:
        found: list[Any] = self.house.store.read(lambda reader: reader.find(entity))
        return found


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)
