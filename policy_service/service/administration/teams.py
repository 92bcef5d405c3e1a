"""Teams: groups of users that may nest."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from policy_service.model.errors import RequestError
from policy_service.model.facts import Membership, RoleBinding, Team
from policy_service.service.administration.desk import Desk, existing, existing_workspace
from policy_service.service.caller import Caller
from policy_service.service.checks import check_id, check_text
from policy_service.service.effects import draft, put, remove, same
from policy_service.service.ports import FactReader
from policy_service.service.results import Found, Page, Planned, Written

MAX_DEPTH = 16
"""How deep teams may nest: a bound on the walk that every decision for a member makes."""


class TeamAdministration(Desk):
    """Put, show, list and delete teams."""

    def put_team(
        self,
        caller: Caller,
        workspace: str,
        team: str,
        *,
        name: str = "",
        parent: str | None = None,
        force: bool = False,
    ) -> Written[Team]:
        """Make or replace a team; `parent` None makes it a root.

        Raises:
            RequestError: 400 `unknown_team` (the parent); 409 `team_cycle`, `would_lock_out`; 400 `team_too_deep`; 404
                `not_found` (the workspace); 400 `invalid_id`, `invalid_text`.
        """
        self._enter(caller, workspace)
        after = Team(
            workspace=workspace,
            id=check_id("team", team),
            name=check_text("`name`", name),
            parent=None if parent is None else check_id("parent", parent),
        )

        def plan(reader: FactReader) -> Planned[Team]:
            existing_workspace(reader, workspace)
            before = reader.get(Team, after.key())
            if same(before, after):
                return Planned(draft=None, fact=after)
            _check_nesting(reader, after)
            change = draft("put", after, [put(after, before)], workspace=workspace)
            return Planned(draft=change, fact=after, created=before is None)

        return self._write(caller, self._clock.now(), plan, force=force)

    def get_team(self, caller: Caller, workspace: str, team: str) -> Found[Team]:
        """One team. Raises RequestError 404 `not_found`."""
        self._enter(caller, workspace)
        return self._get(workspace, Team, (workspace, check_id("team", team)))

    def list_teams(
        self, caller: Caller, workspace: str, *, cursor: str | None = None, limit: int | None = None
    ) -> Page[Team]:
        """The teams of a workspace, by id."""
        self._enter(caller, workspace)
        return self._list(workspace, Team, cursor=cursor, limit=limit)

    def delete_team(self, caller: Caller, workspace: str, team: str, *, force: bool = False) -> Written[Team]:
        """Delete a team: its memberships and bindings go, its children become roots.

        Raises:
            RequestError: 404 `not_found`; 409 `would_lock_out`.
        """
        self._enter(caller, workspace)
        check_id("team", team)

        def plan(reader: FactReader) -> Planned[Team]:
            gone = existing(reader, workspace, Team, (workspace, team))
            children = reader.find(Team, workspace=workspace, parent=team)
            effects = [
                *(put(msgspec.structs.replace(child, parent=None), child) for child in children),
                *map(remove, reader.find(Membership, workspace=workspace, team=team)),
                *map(remove, reader.find(RoleBinding, workspace=workspace, team=team)),
                remove(gone),
            ]
            return Planned(draft=draft("delete", gone, effects, workspace=workspace), fact=None)

        return self._write(caller, self._clock.now(), plan, force=force)


def _check_nesting(reader: FactReader, team: Team) -> None:
    if team.parent is None:
        return
    path = [team.id]
    for ancestor in _upwards(reader, team.workspace, team.parent):
        path.append(ancestor.id)
        if ancestor.id == team.id:
            shown = " → ".join(f"`{name}`" for name in path)
            raise RequestError("team_cycle", f"a team cannot be its own ancestor: {shown}", status=409)
        if len(path) > MAX_DEPTH:
            break
    if len(path) + _height(reader, team) > MAX_DEPTH:
        raise RequestError("team_too_deep", f"teams nest at most {MAX_DEPTH} deep; choose a parent nearer the root")


def _upwards(reader: FactReader, workspace: str, start: str) -> Iterator[Team]:
    """A team and its ancestors. The stored teams have no cycle, so this ends."""
    name: str | None = start
    while name is not None:
        team = reader.get(Team, (workspace, name))
        if team is None:
            raise RequestError("unknown_team", f"there is no team `{name}` to be the parent; make it first")
        yield team
        name = team.parent


def _height(reader: FactReader, team: Team) -> int:
    """How many levels of teams stand below this one, looking no deeper than the bound."""
    level = [team.id]
    for height in range(MAX_DEPTH):
        level = [child.id for name in level for child in reader.find(Team, workspace=team.workspace, parent=name)]
        if not level:
            return height
    return MAX_DEPTH
