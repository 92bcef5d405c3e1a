"""Role bindings: one role, for one team or user, over the workspace or one resource."""

from __future__ import annotations

from typing import Any

import pytest

from policy_service.model.errors import RequestError
from tests.unit.service.house import OPERATOR, TENANT, House
from tests.unit.service.refusals import refused


@pytest.fixture
def peopled(house: House) -> House:
    """A house with a user, a team and a registered pipeline in `acme`."""
    house.admin.put_user(TENANT, "acme", "ada")
    house.admin.put_team(TENANT, "acme", "ops")
    house.admin.put_resource(TENANT, "acme", "pipeline", "etl")
    return house


@pytest.mark.parametrize(
    "to",
    [
        {"team": "ops"},
        {"user": "ada"},
        {"team": "ops", "resource": ("pipeline", "etl")},
        {"user": "ada", "resource": ("pipeline", "etl")},
    ],
)
def test_each_kind_of_binding_can_be_made_shown_and_deleted(peopled: House, to: dict[str, Any]) -> None:
    """Its id is the service's; it says exactly what was asked."""
    made = peopled.admin.create_binding(TENANT, "acme", "viewer", **to).fact
    assert made is not None
    resource = to.get("resource", (None, None))
    assert (made.role, made.team, made.user) == ("viewer", to.get("team"), to.get("user"))
    assert (made.resource_type, made.resource_id) == resource
    assert peopled.admin.get_binding(TENANT, "acme", made.id).fact == made
    assert peopled.admin.list_bindings(TENANT, "acme").items == (made,)
    peopled.admin.delete_binding(TENANT, "acme", made.id)
    with refused(peopled, "not_found", 404):
        peopled.admin.delete_binding(TENANT, "acme", made.id)
    with refused(peopled, "not_found", 404):
        peopled.admin.get_binding(TENANT, "acme", made.id)


@pytest.mark.parametrize("to", [{"team": "ops"}, {"user": "ada", "resource": ("pipeline", "etl")}])
def test_the_same_binding_twice_is_a_conflict_that_names_the_first(peopled: House, to: dict[str, Any]) -> None:
    """Otherwise taking a role back would need two deletions."""
    made = peopled.admin.create_binding(TENANT, "acme", "viewer", **to).fact
    assert made is not None
    with refused(peopled, "conflict", 409):
        peopled.admin.create_binding(TENANT, "acme", "viewer", **to)
    with pytest.raises(RequestError) as raised:
        peopled.admin.create_binding(TENANT, "acme", "viewer", **to)
    assert raised.value.details == {"id": made.id}


def test_bindings_that_differ_in_anything_stand_beside_each_other(peopled: House) -> None:
    """Another role, another holder or another reach is another binding."""
    peopled.admin.create_binding(TENANT, "acme", "viewer", team="ops")
    peopled.admin.create_binding(TENANT, "acme", "operator", team="ops")
    peopled.admin.create_binding(TENANT, "acme", "viewer", user="ada")
    peopled.admin.create_binding(TENANT, "acme", "viewer", team="ops", resource=("pipeline", "etl"))
    assert len(peopled.admin.list_bindings(TENANT, "acme").items) == 4
    assert len(peopled.admin.list_bindings(TENANT, "acme", team="ops").items) == 3
    assert len(peopled.admin.list_bindings(TENANT, "acme", user="ada").items) == 1


@pytest.mark.parametrize(
    ("role", "to", "code"),
    [
        ("viewer", {}, "invalid_binding"),
        ("viewer", {"team": "ops", "user": "ada"}, "invalid_binding"),
        ("viewr", {"team": "ops"}, "unknown_role"),
        ("viewer", {"team": "none"}, "unknown_team"),
        ("viewer", {"user": "none"}, "unknown_user"),
        ("viewer", {"team": "ops", "resource": ("pipeline", "none")}, "unknown_resource"),
        ("viewer", {"team": "ops", "resource": ("Pipeline", "etl")}, "invalid_id"),
        ("viewer", {"team": "ops", "resource": ("pipeline", "e l")}, "invalid_id"),
        ("Viewer", {"team": "ops"}, "invalid_id"),
        ("viewer", {"team": "o ps"}, "invalid_id"),
        ("viewer", {"user": "a/da"}, "invalid_id"),
    ],
)
def test_a_binding_that_makes_no_sense_is_refused(peopled: House, role: str, to: dict[str, Any], code: str) -> None:
    """Role, holder and resource must all be there, in this workspace."""
    with refused(peopled, code):
        peopled.admin.create_binding(TENANT, "acme", role, **to)


def test_a_resource_of_another_workspace_is_unknown(peopled: House) -> None:
    """Bindings never reach over the wall."""
    peopled.admin.put_resource(OPERATOR, "zeta", "pipeline", "theirs")
    with refused(peopled, "unknown_resource"):
        peopled.admin.create_binding(OPERATOR, "acme", "viewer", team="ops", resource=("pipeline", "theirs"))


def test_a_role_near_the_mark_is_suggested(peopled: House) -> None:
    """The message names the near match."""
    with pytest.raises(RequestError, match="did you mean `operator`"):
        peopled.admin.create_binding(TENANT, "acme", "operater", team="ops")
