"""Facts in the form that decisions want them: one view per resource, team and workspace; keys: `key_view`.

Views belong to one snapshot and are changed by nobody else. Whatever depends on the active policy is computed when it
is first needed and forgotten when another bundle becomes active.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import Raw

from policy_service.engine.base_rows import UserRow
from policy_service.engine.closures import Closures
from policy_service.engine.fact_table import FactTable
from policy_service.engine.grants import (
    NOBODY,
    UNKNOWN,
    Grants,
    ResourceKey,
    Standing,
    grants_from,
    with_ancestors,
)
from policy_service.engine.intervals import Intervals
from policy_service.engine.kept import Kept, Room
from policy_service.model.facts import Fact, IpAllowlist, Key, Membership, Resource, RoleBinding, Team, User


class ResourceView:
    """A registered resource.

    `known` and `unclaimed` are its reader's (see `AttributeReader`), `declared` and `written` belong to `seen`.
    """

    __slots__ = ("declared", "fact", "known", "unclaimed", "written")

    def __init__(self, fact: Resource) -> None:
        self.fact = fact
        self.forget()

    def forget(self) -> None:
        """Drop what was read under another policy."""
        self.known: tuple[Any, ...] | None = None
        self.unclaimed: tuple[Any, ...] = ()
        self.declared: dict[str, Any] | None = None
        self.written: Raw | None = None


class TeamView:
    """A team, and the bindings that name it."""

    __slots__ = ("bindings", "fact")

    def __init__(self, fact: Team, bindings: tuple[RoleBinding, ...]) -> None:
        self.fact = fact
        self.bindings = bindings


class WorkspaceView:
    """What follows from the facts of one workspace. All of it is made when it is asked for, and forgotten when a fact
    changes that it rests on.

    Attributes:
        allowlist: None when off.
        resources: views by type and id.
        moved: on what those users stand of whom the base says something else, or nothing; by id.

    INVARIANT: never differs from a view made anew from the same facts (test_snapshot: incremental fold).
    """

    __slots__ = (
        "_alike",
        "_closures",
        "_facts",
        "_grants",
        "_name",
        "_numbered",
        "_teams",
        "allowlist",
        "moved",
        "resources",
    )

    def __init__(self, name: str, facts: FactTable, closures: Closures, room: Room) -> None:
        self._name = name
        self._facts = facts
        self._closures = closures
        self._teams: Kept[str, TeamView] = Kept(self._team_view, room)
        self.resources: Kept[ResourceKey, ResourceView] = Kept(self._resource_view, room)
        self.moved = facts.moved[name]
        self._numbered: list[Standing] = []
        self._grants: Kept[str, Grants] = Kept(self._made_for, room)
        self._alike: Kept[tuple[bool, tuple[str, ...]], Grants] = Kept(self._made_alike, room)
        self.allowlist = self._made_allowlist()
        # A view before this one may have left there what is so no longer.
        self._forget_grants()

    def use(self, closures: Closures) -> None:
        """Another policy is active: forget what depended on the last one."""
        self._closures = closures
        self._forget_grants()
        for resource in self.resources.there():
            resource.forget()

    def _forget_grants(self) -> None:
        """All of them rest on something else now."""
        self._grants.forget_all()
        self._alike.forget_all()
        for standings in (self.moved.values(), self._numbered):
            for standing in standings:
                standing.grants = None

    def forget(self, entity: str, key: Key, facts: Iterable[Fact | None]) -> None:
        """A fact was replaced: forget what rested on it.

        Args:
            facts: as it was before and as it is now.
        """
        if entity == Resource.entity:
            self.resources.forget((key[1], key[2]))
        elif entity == IpAllowlist.entity:
            self.allowlist = self._made_allowlist()
        elif entity == User.entity:
            self._forget_user(key[1])
        elif entity == Membership.entity:
            self._forget_user(key[2])
        elif entity == Team.entity:
            self._forget_teams()
        else:
            self._forget_bindings(facts)

    def grants_of(self, user_id: str, standing: Standing = UNKNOWN) -> Grants:
        """What a user has now, kept until a fact it rests on changes. One who does not exist has nothing.

        Args:
            standing: of a key of this user.
        """
        standing = self.moved.get(user_id, standing)
        if standing is UNKNOWN:
            return self._grants[user_id] or NOBODY
        if standing.grants is None:
            standing.grants = self.grants_under(user_id, self._closures)
        return standing.grants

    def standing(self, user_id: str) -> Standing:
        """On what a user stands of whom no base tells."""
        standing = self.moved.get(user_id)
        if standing is None:
            standing = self.moved[user_id] = Standing()
        return standing

    def numbered(self) -> Standing:
        """On what those users stand who have the same number in the base, and have not moved since."""
        self._numbered.append(Standing())
        return self._numbered[-1]

    def grants_under(self, user_id: str, closures: Closures) -> Grants:
        """What a user would have now under the policy of `closures`. Nothing is kept."""
        row = self._facts.standing_of(self._name, user_id)
        if row.suspended is None:
            return NOBODY
        if row.bindings or closures is not self._closures:
            return self._made_grants(user_id, row, closures)
        # Users of the same teams, without bindings of their own, have the same: one object for all of them.
        return self._alike[row.suspended, row.teams] or NOBODY

    def _made_for(self, user_id: str) -> Grants | None:
        grants = self.grants_under(user_id, self._closures)
        return None if grants is NOBODY else grants

    def _made_alike(self, name: tuple[bool, tuple[str, ...]]) -> Grants:
        suspended, teams = name
        return self._made_grants("", UserRow(suspended, teams, ()), self._closures)

    def _made_grants(self, user_id: str, row: UserRow, closures: Closures) -> Grants:
        teams = with_ancestors(row.teams, self._parent)
        return grants_from(
            suspended=bool(row.suspended),
            teams=teams,
            bindings=self._bindings(user_id, teams, row),
            closures=closures,
        )

    def bindings_of(self, user_id: str) -> list[RoleBinding]:
        """The bindings that reach a user, direct and by team, sorted by id. For explanations."""
        row = self._facts.standing_of(self._name, user_id)
        if row.suspended is None:
            return []
        teams = with_ancestors(row.teams, self._parent)
        return sorted(self._bindings(user_id, teams, row), key=lambda binding: binding.id)

    def team(self, name: str) -> TeamView | None:
        """A team with its bindings. For explanations."""
        return self._teams[name]

    def _bindings(self, user_id: str, teams: frozenset[str], row: UserRow) -> Iterator[RoleBinding]:
        if row.bindings:
            yield from self._facts.bindings_of_user(self._name, user_id)
        for team in teams:
            view = self._teams[team]
            if view is not None:
                yield from view.bindings

    def _parent(self, team: str) -> Team | None:
        view = self._teams[team]
        return None if view is None else view.fact

    def _forget_teams(self) -> None:
        self._teams.forget_all()
        self._forget_grants()

    def _forget_bindings(self, facts: Iterable[Fact | None]) -> None:
        for binding in facts:
            if isinstance(binding, RoleBinding) and binding.team is not None:
                self._forget_teams()
            elif isinstance(binding, RoleBinding) and binding.user is not None:
                self._forget_user(binding.user)

    def _forget_user(self, user_id: str) -> None:
        self._grants.forget(user_id)
        standing = self.moved.get(user_id)
        if standing is not None:
            standing.grants = None

    def _team_view(self, team: str) -> TeamView | None:
        fact = self._facts.fact(Team.entity, (self._name, team))
        return TeamView(fact, tuple(self._facts.bindings_of_team(self._name, team))) if isinstance(fact, Team) else None

    def _resource_view(self, place: ResourceKey) -> ResourceView | None:
        fact = self._facts.fact(Resource.entity, (self._name, *place))
        return ResourceView(fact) if isinstance(fact, Resource) else None

    def _made_allowlist(self) -> Intervals | None:
        fact = self._facts.fact(IpAllowlist.entity, (self._name,))
        if not isinstance(fact, IpAllowlist) or not fact.enabled:
            return None
        return Intervals.of_cidrs(entry.cidr for entry in fact.entries)


WORKSPACE_FACTS: Final = frozenset(fact.entity for fact in (User, Team, Membership, RoleBinding, Resource, IpAllowlist))
"""The entities that a workspace view rests on."""
