"""Walls between workspaces: a tenant's administrator reaches nothing outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policy_service.model.errors import RequestError
from policy_service.service.administration import Administration, NewKey
from policy_service.service.caller import Caller, local_caller, target_workspace
from tests.unit.service.house import OPERATOR, TENANT, House
from tests.unit.service.refusals import refused

NEW = NewKey(principal_kind="user", principal_id="ada", scopes=["keys:own"])

CALLS: list[Callable[[Administration, Caller, str], object]] = [
    lambda a, c, w: a.get_workspace(c, w),
    lambda a, c, w: a.put_user(c, w, "ada"),
    lambda a, c, w: a.get_user(c, w, "ada"),
    lambda a, c, w: a.list_users(c, w),
    lambda a, c, w: a.delete_user(c, w, "ada"),
    lambda a, c, w: a.put_service_principal(c, w, "ci"),
    lambda a, c, w: a.get_service_principal(c, w, "ci"),
    lambda a, c, w: a.list_service_principals(c, w),
    lambda a, c, w: a.delete_service_principal(c, w, "ci"),
    lambda a, c, w: a.put_team(c, w, "ops"),
    lambda a, c, w: a.get_team(c, w, "ops"),
    lambda a, c, w: a.list_teams(c, w),
    lambda a, c, w: a.delete_team(c, w, "ops"),
    lambda a, c, w: a.add_member(c, w, "ops", "ada"),
    lambda a, c, w: a.get_member(c, w, "ops", "ada"),
    lambda a, c, w: a.list_members(c, w, "ops"),
    lambda a, c, w: a.remove_member(c, w, "ops", "ada"),
    lambda a, c, w: a.put_resource(c, w, "pipeline", "etl"),
    lambda a, c, w: a.get_resource(c, w, "pipeline", "etl"),
    lambda a, c, w: a.list_resources(c, w),
    lambda a, c, w: a.delete_resource(c, w, "pipeline", "etl"),
    lambda a, c, w: a.create_binding(c, w, "viewer", user="ada"),
    lambda a, c, w: a.get_binding(c, w, "B1"),
    lambda a, c, w: a.list_bindings(c, w),
    lambda a, c, w: a.delete_binding(c, w, "B1"),
    lambda a, c, w: a.put_allowlist(c, w, enabled=True),
    lambda a, c, w: a.get_allowlist(c, w),
    lambda a, c, w: a.create_key(c, w, NEW),
    lambda a, c, w: a.get_key(c, w, "K00000000001"),
    lambda a, c, w: a.list_keys(c, w),
    lambda a, c, w: a.rotate_key(c, w, "K00000000001"),
    lambda a, c, w: a.revoke_key(c, w, "K00000000001"),
    lambda a, c, w: a.list_changes(c, w),
]


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize("workspace", ["zeta", "system", "nowhere", "not an id"])
@pytest.mark.parametrize("call", CALLS)
def test_no_use_case_leaves_the_callers_workspace(
    house: House, call: Callable[[Administration, Caller, str], object], workspace: str
) -> None:
    """Permission is judged before existence and form: the same 403 whatever is named."""
    house.key("zeta", kind="user", principal="ada")
    with refused(house, "workspace_mismatch", 403):
        call(house.admin, TENANT, workspace)


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize("call", CALLS)
def test_a_workspace_of_another_form_is_refused(
    house: House, call: Callable[[Administration, Caller, str], object]
) -> None:
    """The operator may name any workspace that is one."""
    with refused(house, "invalid_id"):
        call(house.admin, OPERATOR, "not an id")


def test_workspaces_are_the_operators(house: House) -> None:
    """A tenant neither makes nor lists them; it may see its own."""
    with refused(house, "operator_only", 403):
        house.admin.create_workspace(TENANT, "mine")
    with refused(house, "operator_only", 403):
        house.admin.list_workspaces(TENANT)
    with refused(house, "operator_only", 403):
        house.admin.list_changes(TENANT)
    assert house.admin.get_workspace(TENANT, "acme").fact.id == "acme"


def test_the_operator_makes_a_workspace_once(house: House) -> None:
    """A second one of the same id is a conflict; ids and names have their form."""
    written = house.admin.create_workspace(OPERATOR, "new", name="New")
    assert written.created
    assert house.admin.get_workspace(OPERATOR, "new").fact == written.fact
    with refused(house, "conflict", 409):
        house.admin.create_workspace(OPERATOR, "new")
    with refused(house, "invalid_id"):
        house.admin.create_workspace(OPERATOR, "n/w")
    with refused(house, "invalid_text"):
        house.admin.create_workspace(OPERATOR, "newer", name="a\0")
    with refused(house, "not_found", 404):
        house.admin.get_workspace(OPERATOR, "nowhere")


def test_the_target_is_the_callers_own_workspace_unless_an_operator_names_one() -> None:
    """A tenant may name its own and no other."""
    assert target_workspace(TENANT, None) == target_workspace(TENANT, "acme") == "acme"
    assert target_workspace(OPERATOR, "zeta") == "zeta"
    assert target_workspace(local_caller(7), None) == "system"
    with pytest.raises(RequestError) as raised:
        target_workspace(TENANT, "zeta")
    assert (raised.value.code, raised.value.status) == ("workspace_mismatch", 403)
