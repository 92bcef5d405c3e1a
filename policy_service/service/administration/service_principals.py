"""Service principals: programs. They share one id space with users."""

from __future__ import annotations

from policy_service.model.facts import ServicePrincipal
from policy_service.service.administration.desk import Desk, existing
from policy_service.service.administration.principals import cleared_owner, plan_principal, revoked_keys
from policy_service.service.caller import Caller
from policy_service.service.checks import check_id, check_text
from policy_service.service.effects import draft, remove
from policy_service.service.ports import FactReader
from policy_service.service.results import Found, Page, Planned, Written


class ServicePrincipalAdministration(Desk):
    """Put, show, list and delete service principals."""

    def put_service_principal(
        self, caller: Caller, workspace: str, service: str, *, name: str = ""
    ) -> Written[ServicePrincipal]:
        """Make or replace a service principal. Raises as `put_user` does."""
        self._enter(caller, workspace)
        after = ServicePrincipal(
            workspace=workspace, id=check_id("service principal", service), name=check_text("`name`", name)
        )

        def plan(reader: FactReader) -> Planned[ServicePrincipal]:
            return plan_principal(reader, reader.get(ServicePrincipal, after.key()), after)

        return self._write(caller, self._clock.now(), plan)

    def get_service_principal(self, caller: Caller, workspace: str, service: str) -> Found[ServicePrincipal]:
        """One service principal. Raises RequestError 404 `not_found`."""
        self._enter(caller, workspace)
        return self._get(workspace, ServicePrincipal, (workspace, check_id("service principal", service)))

    def list_service_principals(
        self, caller: Caller, workspace: str, *, cursor: str | None = None, limit: int | None = None
    ) -> Page[ServicePrincipal]:
        """The service principals of a workspace, by id."""
        self._enter(caller, workspace)
        return self._list(workspace, ServicePrincipal, cursor=cursor, limit=limit)

    def delete_service_principal(
        self, caller: Caller, workspace: str, service: str, *, force: bool = False
    ) -> Written[ServicePrincipal]:
        """Delete a service principal for good: revokes its keys, clears it as owner.

        Raises:
            RequestError: 404 `not_found`; 409 `would_lock_out`.
        """
        self._enter(caller, workspace)
        check_id("service principal", service)
        now = self._clock.now()

        def plan(reader: FactReader) -> Planned[ServicePrincipal]:
            gone = existing(reader, workspace, ServicePrincipal, (workspace, service))
            effects = [
                *revoked_keys(reader, workspace, "service", service, now),
                *cleared_owner(reader, workspace, service),
                remove(gone),
            ]
            return Planned(draft=draft("delete", gone, effects, workspace=workspace), fact=None)

        return self._write(caller, now, plan, force=force)
