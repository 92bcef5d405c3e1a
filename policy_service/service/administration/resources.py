"""Registered resources: identity, owner, attributes."""

from __future__ import annotations

from typing import Any

from policy_service.language.policy import Policy
from policy_service.model.errors import RequestError
from policy_service.model.facts import Resource, RoleBinding
from policy_service.model.names import NAME, RESOURCE_ID
from policy_service.service.administration.desk import Desk, existing, existing_workspace
from policy_service.service.caller import Caller
from policy_service.service.checks import check_attributes, check_id, near
from policy_service.service.effects import draft, put, remove, same
from policy_service.service.ports import FactReader
from policy_service.service.results import Found, Page, Planned, Written


class ResourceAdministration(Desk):
    """Put, show, list and delete registered resources."""

    def put_resource(
        self,
        caller: Caller,
        workspace: str,
        type: str,  # noqa: A002 - the word of the interface
        id: str,  # noqa: A002 - the word of the interface
        *,
        owner: str | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> Written[Resource]:
        """Register or replace a resource. The owner need not exist as a principal.

        Attributes are any JSON object within bounds; they are checked against the policy's types when read, because
        another policy may declare others.

        Raises:
            RequestError: 400 `unknown_type`, the active policy does not declare it; 400 `invalid_id`,
                `invalid_attributes`; 404 `not_found` (the workspace).
            StoreError: `no_policy`.
        """
        key = self._resource_key(caller, workspace, type, id)
        owned_by = None if owner is None else check_id("owner", owner)
        after = Resource(
            workspace=workspace, type=type, id=key[2], owner=owned_by, attributes=check_attributes(attributes or {})
        )

        def plan(reader: FactReader) -> Planned[Resource]:
            existing_workspace(reader, workspace)
            _check_type(self._policy(reader), type)
            before = reader.get(Resource, key)
            if same(before, after):
                return Planned(draft=None, fact=after)
            change = draft("put", after, [put(after, before)], workspace=workspace)
            return Planned(draft=change, fact=after, created=before is None)

        return self._write(caller, self._clock.now(), plan)

    def get_resource(self, caller: Caller, workspace: str, type: str, id: str) -> Found[Resource]:  # noqa: A002 - as above
        """One registered resource. Raises RequestError 404 `not_found`."""
        return self._get(workspace, Resource, self._resource_key(caller, workspace, type, id))

    def list_resources(
        self,
        caller: Caller,
        workspace: str,
        *,
        type: str | None = None,  # noqa: A002 - as above
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[Resource]:
        """The registered resources of a workspace, of one type or all, by type and id."""
        self._enter(caller, workspace)
        where = {} if type is None else {"type": check_id("type", type, NAME)}
        return self._list(workspace, Resource, cursor=cursor, limit=limit, **where)

    def delete_resource(self, caller: Caller, workspace: str, type: str, id: str) -> Written[Resource]:  # noqa: A002 - as above
        """Delete a resource and the role bindings on it. Raises RequestError 404 `not_found`."""
        key = self._resource_key(caller, workspace, type, id)

        def plan(reader: FactReader) -> Planned[Resource]:
            gone = existing(reader, workspace, Resource, key)
            bindings = reader.find(RoleBinding, workspace=workspace, resource_type=type, resource_id=id)
            effects = [*map(remove, bindings), remove(gone)]
            return Planned(draft=draft("delete", gone, effects, workspace=workspace), fact=None)

        return self._write(caller, self._clock.now(), plan)

    def _resource_key(self, caller: Caller, workspace: str, type: str, id: str) -> tuple[str, str, str]:  # noqa: A002 - as above
        self._enter(caller, workspace)
        return workspace, check_id("type", type, NAME), check_id("resource", id, RESOURCE_ID)


def declared_types(policy: Policy) -> frozenset[str]:
    """Every resource type the policy knows: by a file of its own, or by a scope that is *on* it."""
    return frozenset(policy.resources).union(*(scope.on for scope in policy.scopes.values()))


def _check_type(policy: Policy, name: str) -> None:
    known = declared_types(policy)
    if name not in known:
        hint = near(name, known) or f"; it declares {', '.join(f'`{kind}`' for kind in sorted(known)) or 'none'}"
        raise RequestError("unknown_type", f"the active policy declares no resource type `{name}`{hint}")
