"""Role bindings: a role for a team or a user, over the workspace or over one registered resource."""

from __future__ import annotations

import msgspec

from policy_service.language.policy import Policy
from policy_service.model.errors import RequestError
from policy_service.model.facts import Resource, RoleBinding, Team, User
from policy_service.model.names import NAME, RESOURCE_ID
from policy_service.service.administration.desk import Desk, existing, existing_workspace
from policy_service.service.caller import Caller
from policy_service.service.checks import check_id, near
from policy_service.service.effects import draft, put, remove
from policy_service.service.ports import FactReader
from policy_service.service.results import Found, Page, Planned, Written


class BindingAdministration(Desk):
    """Create, show, list and delete role bindings. A binding is never edited: replace it."""

    def create_binding(
        self,
        caller: Caller,
        workspace: str,
        role: str,
        *,
        team: str | None = None,
        user: str | None = None,
        resource: tuple[str, str] | None = None,
    ) -> Written[RoleBinding]:
        """Bind a role to exactly one of `team` and `user`.

        Args:
            resource: type and id of a registered resource; None: over the whole workspace.

        Raises:
            RequestError: 400 `invalid_binding`, neither or both of team and user; 400 `unknown_role`,
                `unknown_team`, `unknown_user`, `unknown_resource`; 409 `conflict`, the same binding exists (its `id`
                is in the details); 404 `not_found` (the workspace).
            StoreError: `no_policy`.
        """
        self._enter(caller, workspace)
        wanted = _wanted(workspace, role, team, user, resource)

        def plan(reader: FactReader) -> Planned[RoleBinding]:
            existing_workspace(reader, workspace)
            _check_role(self._policy(reader), role)
            _check_references(reader, wanted)
            _refuse_same(reader, wanted)
            made = msgspec.structs.replace(wanted, id=self._ids.binding_id())
            return Planned(draft=draft("create", made, [put(made)], workspace=workspace), fact=made, created=True)

        return self._write(caller, self._clock.now(), plan)

    def get_binding(self, caller: Caller, workspace: str, binding: str) -> Found[RoleBinding]:
        """One role binding. Raises RequestError 404 `not_found`."""
        self._enter(caller, workspace)
        return self._get(workspace, RoleBinding, (workspace, check_id("role binding", binding)))

    def list_bindings(
        self,
        caller: Caller,
        workspace: str,
        *,
        team: str | None = None,
        user: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[RoleBinding]:
        """The role bindings of a workspace, by id; those of one team or user when named."""
        self._enter(caller, workspace)
        where = {name: check_id(name, value) for name, value in (("team", team), ("user", user)) if value is not None}
        return self._list(workspace, RoleBinding, cursor=cursor, limit=limit, **where)

    def delete_binding(
        self, caller: Caller, workspace: str, binding: str, *, force: bool = False
    ) -> Written[RoleBinding]:
        """Delete a role binding. Raises RequestError 404 `not_found`, 409 `would_lock_out`."""
        self._enter(caller, workspace)
        check_id("role binding", binding)

        def plan(reader: FactReader) -> Planned[RoleBinding]:
            gone = existing(reader, workspace, RoleBinding, (workspace, binding))
            return Planned(draft=draft("delete", gone, [remove(gone)], workspace=workspace), fact=None)

        return self._write(caller, self._clock.now(), plan, force=force)


def _wanted(
    workspace: str, role: str, team: str | None, user: str | None, resource: tuple[str, str] | None
) -> RoleBinding:
    """The binding asked for, its names checked, without an id yet."""
    if (team is None) == (user is None):
        raise RequestError("invalid_binding", "a role binding needs exactly one of `team` and `user`")
    return RoleBinding(
        workspace=workspace,
        id="",
        role=check_id("role", role, NAME),
        team=None if team is None else check_id("team", team),
        user=None if user is None else check_id("user", user),
        resource_type=None if resource is None else check_id("type", resource[0], NAME),
        resource_id=None if resource is None else check_id("resource", resource[1], RESOURCE_ID),
    )


def _check_role(policy: Policy, role: str) -> None:
    if role not in policy.roles:
        hint = near(role, policy.roles) or "; `roles.yaml` declares the roles"
        raise RequestError("unknown_role", f"the active policy declares no role `{role}`{hint}")


def _check_references(reader: FactReader, wanted: RoleBinding) -> None:
    workspace = wanted.workspace
    if wanted.team is not None and reader.get(Team, (workspace, wanted.team)) is None:
        raise RequestError("unknown_team", f"there is no team `{wanted.team}`; make it first")
    if wanted.user is not None and reader.get(User, (workspace, wanted.user)) is None:
        raise RequestError("unknown_user", f"there is no user `{wanted.user}`; make it first")
    if wanted.resource_type is None or wanted.resource_id is None:
        return
    if reader.get(Resource, (workspace, wanted.resource_type, wanted.resource_id)) is None:
        name = f"{wanted.resource_type}:{wanted.resource_id}"
        raise RequestError("unknown_resource", f"resource `{name}` is not registered here; register it first")


def _refuse_same(reader: FactReader, wanted: RoleBinding) -> None:
    # Two bindings that say the same would need two deletions to take back: a trap for whoever revokes access.
    same = reader.find(
        RoleBinding,
        limit=1,
        workspace=wanted.workspace,
        role=wanted.role,
        team=wanted.team,
        user=wanted.user,
        resource_type=wanted.resource_type,
        resource_id=wanted.resource_id,
    )
    if same:
        raise RequestError(
            "conflict", f"this role binding exists already as `{same[0].id}`", {"id": same[0].id}, status=409
        )
