"""Facts in the form that decisions want them: one view per key, resource and workspace.

Views belong to one snapshot and are changed by nobody else. Whatever depends on the active policy is computed when it
is first needed and forgotten when another bundle becomes active.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from msgspec import Raw

from policy_service.engine.base import read
from policy_service.engine.base_rows import KeyRow, UserRow, Words, read_key, read_key_row
from policy_service.engine.closures import Closures
from policy_service.engine.fact_table import FactTable
from policy_service.engine.fold import Verifiers
from policy_service.engine.grants import NOBODY, Grants, ResourceKey, grants_from, with_ancestors
from policy_service.engine.intervals import Intervals
from policy_service.engine.kept import Kept, Room
from policy_service.model.facts import ApiKey, Fact, IpAllowlist, Key, Membership, Resource, RoleBinding, Team, User
from policy_service.model.values import ABSENT

FOREVER: Final = 1 << 100
"""Later than every instant, in nanoseconds."""
_NO_VERIFIERS: Final[Verifiers] = {}
_SHARED: Final = 64


class KeyView:
    """An API key, resolved.

    Over a base it keeps the key's row and not its fact: that is asked for when a secret is first checked or a denial is
    explained, and takes five times the memory.

    Attributes:
        starts: valid from here on; -FOREVER where the key names no limit.
        slots: slot number → the instant at which that secret has ended, by itself, with its key, or (-FOREVER) by
            revocation. None stands for a key that was named without showing a secret.
        networks: the key's own CIDRs; None when it has none.
        closure: its scopes and all they imply; None until first needed under the active policy.
    """

    __slots__ = (
        "_known",
        "closure",
        "created_at",
        "expires_at",
        "id",
        "is_user",
        "kind",
        "labels",
        "networks",
        "principal_id",
        "scopes",
        "slots",
        "starts",
        "workspace",
        "workspace_id",
    )

    def __init__(self, fact: ApiKey, workspace: WorkspaceView, verifiers: Verifiers = _NO_VERIFIERS) -> None:
        self._known: tuple[ApiKey, Verifiers] | tuple[bytes, Words] = (fact, verifiers)
        self.workspace = workspace
        self.id = fact.id
        self.kind = fact.principal_kind
        self.is_user = fact.principal_kind == "user"
        self.principal_id = fact.principal_id
        self.workspace_id = fact.workspace
        self.scopes = fact.scopes
        self.labels = fact.labels
        self.created_at = fact.created_at
        self.expires_at: object = ABSENT if fact.expires_at is None else fact.expires_at
        self.starts = -FOREVER if fact.not_before is None else fact.not_before
        self.slots = _ends(fact)
        self.networks = Intervals.of_cidrs(fact.cidrs) if fact.cidrs else None
        self.closure: frozenset[str] | None = None

    @classmethod
    def of_row(cls, key_id: str, packed: bytes, words: Words, shared: SharedViews) -> KeyView:
        """The view of a key as a base has it: the same, in a third of the time and of the memory.

        INVARIANT: it is equal to the view of the fact in the row (test_base: a view of a row).
        """
        row, texts = read(read_key_row, packed), words.texts
        workspace, scopes, labels, cidrs = row.workspace, row.scopes, row.labels, row.cidrs
        view = cls.__new__(cls)
        view._known = (packed, words)
        view.id = key_id
        view.is_user = row.is_user
        view.kind = "user" if row.is_user else "service"
        view.principal_id = row.principal
        view.workspace_id = name = texts[workspace] if isinstance(workspace, int) else workspace
        view.workspace = shared.workspace(name)
        view.scopes = words.lists[scopes] if isinstance(scopes, int) else scopes
        view.labels = words.maps[labels] if isinstance(labels, int) else labels
        view.created_at = row.created_at
        view.expires_at = ABSENT if row.expires_at is None else row.expires_at
        view.starts = -FOREVER if row.not_before is None else row.not_before
        view.slots = shared.ends(row)
        networks = words.lists[cidrs] if isinstance(cidrs, int) else cidrs
        view.networks = Intervals.of_cidrs(networks) if networks else None
        view.closure = None
        return view

    def unpacked(self) -> tuple[ApiKey, Verifiers]:
        """`fact` and `verifiers`, for the price of one of them."""
        known = self._known
        if isinstance(known[0], bytes):
            return read(read_key, known[0], self.id, known[1])
        return known

    @property
    def fact(self) -> ApiKey:
        """The key itself. Cost: 3 µs over a base."""
        return self.unpacked()[0]

    @property
    def verifiers(self) -> Verifiers:
        """Of its secrets by slot number; empty where the change feed came without them. Cost: 3 µs over a base."""
        return self.unpacked()[1]

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """The last four fields of a Decision: key id, principal kind and id, workspace."""
        return self.id, self.kind, self.principal_id, self.workspace_id

    def grants(self) -> Grants:
        """What the key's user has now; NOBODY for a service key."""
        if not self.is_user:
            return NOBODY
        return self.workspace.grants.get(self.principal_id) or self.workspace.grants_of(self.principal_id)


class SharedViews(Protocol):
    """What many views have together."""

    def workspace(self, workspace_id: str, /) -> WorkspaceView: ...

    def ends(self, row: KeyRow, /) -> dict[int | None, int]: ...


def _ends(key: ApiKey | KeyRow) -> dict[int | None, int]:
    """When each secret of a key has ended."""
    end = FOREVER if key.expires_at is None else key.expires_at
    if key.revoked_at is not None:
        end = -FOREVER
    ends: dict[int | None, int] = {None: end}
    for slot in key.slots:
        ends[slot.number] = end if slot.expires_at is None else min(end, slot.expires_at)
    return ends


class Ends:
    """The `slots` of keys of one secret that nothing has ended: nearly all of them, and one object for all alike."""

    __slots__ = ("_by_number",)

    def __init__(self) -> None:
        self._by_number: dict[int, dict[int | None, int]] = {}

    def of(self, row: KeyRow) -> dict[int | None, int]:
        """When each secret of a key has ended; not to be changed."""
        if len(row.slots) != 1 or row.expires_at is not None or row.revoked_at is not None:
            return _ends(row)
        slot = row.slots[0]
        if slot.expires_at is not None or slot.number > _SHARED:
            return _ends(row)
        ends = self._by_number.get(slot.number)
        if ends is None:
            ends = self._by_number[slot.number] = _ends(row)
        return ends


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
        grants: by user id.

    INVARIANT: never differs from a view made anew from the same facts (test_snapshot: incremental fold).
    """

    __slots__ = ("_alike", "_closures", "_facts", "_name", "_room", "_teams", "allowlist", "grants", "resources")

    def __init__(self, name: str, facts: FactTable, closures: Closures, room: Room) -> None:
        self._name = name
        self._facts = facts
        self._closures = closures
        self._room = room
        self._teams: Kept[str, TeamView] = Kept(self._team_view, room)
        self.resources: Kept[ResourceKey, ResourceView] = Kept(self._resource_view, room)
        self.grants: dict[str, Grants] = {}
        self._alike: dict[tuple[bool, tuple[str, ...]], Grants] = {}
        self.allowlist = self._made_allowlist()

    def use(self, closures: Closures) -> None:
        """Another policy is active: forget what depended on the last one."""
        self._closures = closures
        self.grants.clear()
        self._alike.clear()
        for resource in self.resources.values():
            if resource is not None:
                resource.forget()

    def forget(self, entity: str, key: Key, facts: Iterable[Fact | None]) -> None:
        """A fact was replaced: forget what rested on it.

        Args:
            facts: as it was before and as it is now.
        """
        if entity == Resource.entity:
            self.resources.pop((key[1], key[2]), None)
        elif entity == IpAllowlist.entity:
            self.allowlist = self._made_allowlist()
        elif entity == User.entity:
            self.grants.pop(key[1], None)
        elif entity == Membership.entity:
            self.grants.pop(key[2], None)
        elif entity == Team.entity:
            self._forget_teams()
        else:
            self._forget_bindings(facts)

    def grants_of(self, user_id: str) -> Grants:
        """What a user has now, kept until a fact it rests on changes. A user who does not exist has nothing."""
        grants = self.grants_under(user_id, self._closures)
        if grants is not NOBODY:
            self.grants[user_id] = grants
            self._room.entered(self.grants, user_id)
        return grants

    def grants_under(self, user_id: str, closures: Closures) -> Grants:
        """What a user would have now under the policy of `closures`. Nothing is kept."""
        row = self._facts.standing_of(self._name, user_id)
        if row.suspended is None:
            return NOBODY
        if row.bindings or closures is not self._closures:
            return self._made_grants(user_id, row, closures)
        # Users of the same teams, without bindings of their own, have the same: one object for all of them.
        name = (row.suspended, row.teams)
        grants = self._alike.get(name)
        if grants is None:
            grants = self._alike[name] = self._made_grants(user_id, row, closures)
            self._room.entered(self._alike, name)
        return grants

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
        self._teams.clear()
        self.grants.clear()
        self._alike.clear()

    def _forget_bindings(self, facts: Iterable[Fact | None]) -> None:
        for binding in facts:
            if isinstance(binding, RoleBinding) and binding.team is not None:
                self._forget_teams()
            elif isinstance(binding, RoleBinding) and binding.user is not None:
                self.grants.pop(binding.user, None)

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
