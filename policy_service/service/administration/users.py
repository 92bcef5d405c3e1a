"""Users: people, who may be suspended, and whose deletion is final."""

from __future__ import annotations

from policy_service.model.facts import Membership, RoleBinding, User
from policy_service.service.administration.desk import Desk, existing
from policy_service.service.administration.principals import cleared_owner, plan_principal, revoked_keys
from policy_service.service.caller import Caller
from policy_service.service.checks import check_id, check_text
from policy_service.service.effects import draft, remove
from policy_service.service.ports import FactReader
from policy_service.service.results import Found, Page, Planned, Written


class UserAdministration(Desk):
    """Put, show, list and delete users."""

    def put_user(
        self,
        caller: Caller,
        workspace: str,
        user: str,
        *,
        name: str = "",
        suspended: bool | None = None,
        force: bool = False,
    ) -> Written[User]:
        """Make or replace a user. `suspended` None keeps what is (a new user is not suspended).

        Raises:
            RequestError: 409 `conflict`, a service principal has the id; 409 `id_is_owner`, a new user's id is
                already some resource's owner; 409 `would_lock_out`; 404 `not_found`, no such workspace; 400
                `invalid_id`, `invalid_text`.
        """
        self._enter(caller, workspace)
        check_id("user", user)
        check_text("`name`", name)

        def plan(reader: FactReader) -> Planned[User]:
            before = reader.get(User, (workspace, user))
            kept = before is not None and before.suspended
            after = User(workspace=workspace, id=user, name=name, suspended=kept if suspended is None else suspended)
            return plan_principal(reader, before, after)

        return self._write(caller, self._clock.now(), plan, force=force)

    def get_user(self, caller: Caller, workspace: str, user: str) -> Found[User]:
        """One user. Raises RequestError 404 `not_found`."""
        self._enter(caller, workspace)
        return self._get(workspace, User, (workspace, check_id("user", user)))

    def list_users(
        self, caller: Caller, workspace: str, *, cursor: str | None = None, limit: int | None = None
    ) -> Page[User]:
        """The users of a workspace, by id."""
        self._enter(caller, workspace)
        return self._list(workspace, User, cursor=cursor, limit=limit)

    def delete_user(self, caller: Caller, workspace: str, user: str, *, force: bool = False) -> Written[User]:
        """Delete a user for good: revokes their keys, removes memberships and bindings, clears them as owner.

        Raises:
            RequestError: 404 `not_found`; 409 `would_lock_out`.
        """
        self._enter(caller, workspace)
        check_id("user", user)
        now = self._clock.now()

        def plan(reader: FactReader) -> Planned[User]:
            gone = existing(reader, workspace, User, (workspace, user))
            memberships = reader.find(Membership, workspace=workspace, user=user)
            bindings = reader.find(RoleBinding, workspace=workspace, user=user)
            effects = [
                *revoked_keys(reader, workspace, "user", user, now),
                *map(remove, memberships),
                *map(remove, bindings),
                *cleared_owner(reader, workspace, user),
                remove(gone),
            ]
            return Planned(draft=draft("delete", gone, effects, workspace=workspace), fact=None)

        return self._write(caller, now, plan, force=force)
