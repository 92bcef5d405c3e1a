"""Teams nest, never in a circle, never too deep; members come and go."""

from __future__ import annotations

import pytest

from policy_service.model.facts import Membership, RoleBinding, Team
from policy_service.service.administration import teams as teams_module
from policy_service.service.administration.teams import MAX_DEPTH
from tests.unit.service.house import TENANT, House
from tests.unit.service.refusals import refused


def _nest(house: House, *names: str) -> None:
    """Each team is the parent of the next."""
    parent = None
    for name in names:
        house.admin.put_team(TENANT, "acme", name, parent=parent)
        parent = name


def test_put_creates_and_replaces(house: House) -> None:
    """PUT replaces name and parent; without a parent the team is a root."""
    _nest(house, "all", "ops")
    written = house.admin.put_team(TENANT, "acme", "ops", name="Operations")
    assert not written.created
    assert written.fact == Team(workspace="acme", id="ops", name="Operations", parent=None)
    assert house.admin.put_team(TENANT, "acme", "ops", name="Operations").change is None
    assert house.admin.get_team(TENANT, "acme", "ops").fact == written.fact
    assert [team.id for team in house.admin.list_teams(TENANT, "acme").items] == ["all", "ops"]


def test_a_parent_must_be_there(house: House) -> None:
    """An unknown parent is the body's fault: 400."""
    with refused(house, "unknown_team"):
        house.admin.put_team(TENANT, "acme", "ops", parent="nobody")


@pytest.mark.parametrize(("team", "parent"), [("a", "a"), ("a", "b"), ("a", "c"), ("b", "c")])
def test_a_cycle_is_refused_and_shown(house: House, team: str, parent: str) -> None:
    """A team can be neither its own parent nor its own ancestor."""
    _nest(house, "a", "b", "c")
    with refused(house, "team_cycle", 409):
        house.admin.put_team(TENANT, "acme", team, parent=parent)


def test_a_new_team_cannot_be_its_own_parent(house: House) -> None:
    """The team that is being made is not there yet, so it cannot be a parent."""
    with refused(house, "unknown_team"):
        house.admin.put_team(TENANT, "acme", "a", parent="a")


def test_moving_a_team_sideways_is_no_cycle(house: House) -> None:
    """A child may go to a sibling's side."""
    _nest(house, "a", "b")
    house.admin.put_team(TENANT, "acme", "c", parent="a")
    assert house.admin.put_team(TENANT, "acme", "c", parent="b").change is not None


def test_teams_nest_so_deep_and_no_deeper(house: House) -> None:
    """The bound counts the ancestors above and the teams below."""
    names = [f"t{i}" for i in range(MAX_DEPTH)]
    _nest(house, *names)
    with refused(house, "team_too_deep"):
        house.admin.put_team(TENANT, "acme", "below", parent=names[-1])
    _nest(house, "x", "y")
    with refused(house, "team_too_deep"):
        house.admin.put_team(TENANT, "acme", "x", parent=names[-2])
    assert house.admin.put_team(TENANT, "acme", "x", parent=names[-3]).change is not None


def test_teams_deeper_than_the_bound_are_not_walked_to_their_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as those made while the bound was another."""
    _nest(house, "a", "b", "c", "d")
    house.admin.put_team(TENANT, "acme", "x")
    monkeypatch.setattr(teams_module, "MAX_DEPTH", 2)
    with refused(house, "team_too_deep"):
        house.admin.put_team(TENANT, "acme", "a", parent="x")
    with refused(house, "team_too_deep"):
        house.admin.put_team(TENANT, "acme", "x", parent="d")


def test_deleting_a_team_takes_memberships_and_bindings_and_frees_children(house: House) -> None:
    """Grandchildren keep their parent; other teams keep everything."""
    _nest(house, "a", "b", "c")
    house.admin.put_user(TENANT, "acme", "ada")
    for team in ("a", "c"):
        house.admin.add_member(TENANT, "acme", team, "ada")
        house.admin.create_binding(TENANT, "acme", "viewer", team=team)
    house.admin.delete_team(TENANT, "acme", "a")
    teams = {team.id: team.parent for team in house.store.read(lambda r: r.find(Team))}
    assert teams == {"b": None, "c": "b"}
    assert [m.team for m in house.store.read(lambda r: r.find(Membership))] == ["c"]
    assert [b.team for b in house.store.read(lambda r: r.find(RoleBinding))] == ["c"]
    with refused(house, "not_found", 404):
        house.admin.delete_team(TENANT, "acme", "a")


def test_a_member_is_added_once(house: House) -> None:
    """Adding a member again changes nothing."""
    _nest(house, "ops")
    house.admin.put_user(TENANT, "acme", "ada")
    first = house.admin.add_member(TENANT, "acme", "ops", "ada")
    again = house.admin.add_member(TENANT, "acme", "ops", "ada")
    assert first.created
    assert first.change is not None
    assert (again.created, again.change, again.revision) == (False, None, first.revision)
    assert house.admin.get_member(TENANT, "acme", "ops", "ada").fact == first.fact
    assert house.admin.list_members(TENANT, "acme", "ops").items == (first.fact,)


def test_a_member_is_removed_once(house: House) -> None:
    """Removing a member who is not there is 404."""
    _nest(house, "ops")
    house.admin.put_user(TENANT, "acme", "ada")
    house.admin.add_member(TENANT, "acme", "ops", "ada")
    written = house.admin.remove_member(TENANT, "acme", "ops", "ada")
    assert written.change is not None
    assert written.change.action == "membership.delete"
    with refused(house, "not_found", 404):
        house.admin.remove_member(TENANT, "acme", "ops", "ada")
    with refused(house, "not_found", 404):
        house.admin.get_member(TENANT, "acme", "ops", "ada")


def test_both_team_and_user_must_be_there(house: House) -> None:
    """They stand in the path, so 404; a service principal cannot be a member."""
    _nest(house, "ops")
    house.admin.put_user(TENANT, "acme", "ada")
    house.admin.put_service_principal(TENANT, "acme", "ci")
    for team, user in (("none", "ada"), ("ops", "bob"), ("ops", "ci")):
        with refused(house, "not_found", 404):
            house.admin.add_member(TENANT, "acme", team, user)
    with refused(house, "not_found", 404):
        house.admin.list_members(TENANT, "acme", "none")


@pytest.mark.parametrize(("team", "user"), [("a b", "ada"), ("ops", "a/b")])
def test_ids_of_another_form_are_refused(house: House, team: str, user: str) -> None:
    """For members both ids are checked; for teams also the parent."""
    with refused(house, "invalid_id"):
        house.admin.add_member(TENANT, "acme", team, user)
    with refused(house, "invalid_id"):
        house.admin.put_team(TENANT, "acme", "ops", parent="a b")
