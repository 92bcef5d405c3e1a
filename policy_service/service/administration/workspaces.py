"""Workspaces: the tenants. Made by the operator alone."""

from __future__ import annotations

from policy_service.model.errors import RequestError
from policy_service.model.facts import Workspace
from policy_service.service.administration.desk import Desk, existing_workspace, page
from policy_service.service.administration.paging import DEFAULT_LIMIT, check_limit, decode_cursor
from policy_service.service.caller import Caller
from policy_service.service.checks import check_id, check_text
from policy_service.service.effects import draft, put
from policy_service.service.ports import FactReader
from policy_service.service.results import Found, Page, Planned, Written


class WorkspaceAdministration(Desk):
    """Create, show and list workspaces."""

    def create_workspace(self, caller: Caller, workspace: str, *, name: str = "") -> Written[Workspace]:
        """Make a workspace.

        Raises:
            RequestError: 403 `operator_only`; 409 `conflict`, it exists; 400 `invalid_id`, `invalid_text`.
        """
        self._operator_only(caller, "workspaces")
        now = self._clock.now()
        made = Workspace(id=check_id("workspace", workspace), name=check_text("`name`", name), created_at=now)

        def plan(reader: FactReader) -> Planned[Workspace]:
            return plan_workspace(reader, made)

        return self._write(caller, now, plan)

    def get_workspace(self, caller: Caller, workspace: str) -> Found[Workspace]:
        """One workspace. Raises RequestError 403 `workspace_mismatch`, 404 `not_found`."""
        self._enter(caller, workspace)
        revision = self._store.head()
        return Found(fact=self._store.read(lambda reader: existing_workspace(reader, workspace)), revision=revision)

    def list_workspaces(
        self, caller: Caller, *, cursor: str | None = None, limit: int | None = None
    ) -> Page[Workspace]:
        """All workspaces. Raises RequestError 403 `operator_only`, 400 `invalid_cursor`, `invalid_limit`."""
        self._operator_only(caller, "workspaces")
        size = check_limit(DEFAULT_LIMIT if limit is None else limit)
        after = decode_cursor(Workspace.entity, cursor, 1)
        revision = self._store.head()
        found = self._store.read(lambda reader: reader.find(Workspace, after=after, limit=size + 1))
        return page(Workspace, found, size, revision)


def plan_workspace(reader: FactReader, made: Workspace) -> Planned[Workspace]:
    """Make `made`, unless there is one of that id: RequestError 409 `conflict`."""
    if reader.get(Workspace, made.key()) is not None:
        raise RequestError("conflict", f"workspace `{made.id}` exists already", status=409)
    return Planned(draft=draft("create", made, [put(made)], workspace=made.id), fact=made, created=True)
