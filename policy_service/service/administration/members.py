"""Members of teams."""

from __future__ import annotations

from policy_service.model.facts import Membership, Team, User
from policy_service.service.administration.desk import Desk, existing, page
from policy_service.service.administration.paging import DEFAULT_LIMIT, check_limit, decode_cursor
from policy_service.service.caller import Caller
from policy_service.service.checks import check_id
from policy_service.service.effects import draft, put, remove
from policy_service.service.ports import FactReader
from policy_service.service.results import Found, Page, Planned, Written


class MemberAdministration(Desk):
    """Add, show, list and remove members."""

    def add_member(self, caller: Caller, workspace: str, team: str, user: str) -> Written[Membership]:
        """Make a user a member of a team; nothing changes for one who is. Raises 404 `not_found` (team, user)."""
        made = self._membership(caller, workspace, team, user)

        def plan(reader: FactReader) -> Planned[Membership]:
            existing(reader, workspace, Team, (workspace, team))
            existing(reader, workspace, User, (workspace, user))
            if reader.get(Membership, made.key()) is not None:
                return Planned(draft=None, fact=made)
            return Planned(draft=draft("put", made, [put(made)], workspace=workspace), fact=made, created=True)

        return self._write(caller, self._clock.now(), plan)

    def remove_member(
        self, caller: Caller, workspace: str, team: str, user: str, *, force: bool = False
    ) -> Written[Membership]:
        """End a membership. Raises RequestError 404 `not_found`, 409 `would_lock_out`."""
        key = self._membership(caller, workspace, team, user).key()

        def plan(reader: FactReader) -> Planned[Membership]:
            gone = existing(reader, workspace, Membership, key)
            return Planned(draft=draft("delete", gone, [remove(gone)], workspace=workspace), fact=None)

        return self._write(caller, self._clock.now(), plan, force=force)

    def get_member(self, caller: Caller, workspace: str, team: str, user: str) -> Found[Membership]:
        """One direct membership. Raises RequestError 404 `not_found`."""
        key = self._membership(caller, workspace, team, user).key()
        return self._get(workspace, Membership, key)

    def list_members(
        self, caller: Caller, workspace: str, team: str, *, cursor: str | None = None, limit: int | None = None
    ) -> Page[Membership]:
        """The direct members of a team, by user id. Raises RequestError 404 `not_found`."""
        self._enter(caller, workspace)
        check_id("team", team)
        size = check_limit(DEFAULT_LIMIT if limit is None else limit)
        after = decode_cursor(Membership.entity, cursor, 3)
        revision = self._store.head()

        def query(reader: FactReader) -> list[Membership]:
            existing(reader, workspace, Team, (workspace, team))
            return reader.find(Membership, after=after, limit=size + 1, workspace=workspace, team=team)

        return page(Membership, self._store.read(query), size, revision)

    def _membership(self, caller: Caller, workspace: str, team: str, user: str) -> Membership:
        self._enter(caller, workspace)
        return Membership(workspace=workspace, team=check_id("team", team), user=check_id("user", user))
