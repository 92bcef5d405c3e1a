"""Facts in the form that decisions want them: one view per key, resource and workspace.

Views belong to one snapshot and are changed by nobody else. Whatever depends on the active policy is computed when it
is first needed and forgotten when another bundle becomes active.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw

from policy_service.engine.base_rows import NO_MORE, CommonRow, KeyRow, MoreRow, SlotRow, UserRow, read_key
from policy_service.engine.closures import Closures
from policy_service.engine.fact_table import FactTable
from policy_service.engine.fold import Verifiers
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
from policy_service.model.facts import ApiKey, Fact, IpAllowlist, Key, Membership, Resource, RoleBinding, Team, User
from policy_service.model.values import ABSENT

FOREVER: Final = 1 << 100
"""Later than every instant, in nanoseconds."""
_NO_VERIFIERS: Final[Verifiers] = {}


class Common:
    """What many keys have alike, resolved. What a key has for itself besides is in a Common of its own.

    Attributes:
        starts: valid from here on; -FOREVER where the key names no limit.
        ends: slot number → the instant at which that secret has ended, by itself, with its key, or (-FOREVER) by
            revocation. None stands for a key that was named without showing a secret.
        networks: the key's own CIDRs; None when it has none.
        closure: its scopes and all they imply; None until first needed under the active policy.
    """

    __slots__ = (
        "closure",
        "ends",
        "expires_at",
        "is_user",
        "kind",
        "labels",
        "networks",
        "row",
        "scopes",
        "starts",
        "workspace",
        "workspace_id",
    )

    def __init__(
        self, row: CommonRow, workspace: WorkspaceView, slots: Iterable[SlotRow], more: MoreRow = NO_MORE
    ) -> None:
        self.row = row
        self.workspace = workspace
        self.workspace_id = row.workspace
        self.is_user = row.is_user
        self.kind = "user" if row.is_user else "service"
        self.scopes = row.scopes
        self.labels = row.labels if more.labels is None else more.labels
        self.expires_at: object = ABSENT if more.expires_at is None else more.expires_at
        self.starts = -FOREVER if more.not_before is None else more.not_before
        self.ends = _ends(slots, more)
        self.networks = Intervals.of_cidrs(row.cidrs) if row.cidrs else None
        self.closure: frozenset[str] | None = None

    def name(self) -> object:
        """All that it says, to be compared."""
        row, ends, labels = self.row, tuple(self.ends.items()), tuple(self.labels.items())
        return (row.workspace, row.is_user, row.scopes, row.cidrs, labels, self.expires_at, self.starts, ends)


class _NoCommon(Common):
    """Stands in a row that was read and is not resolved yet."""

    __slots__ = ()

    def __init__(self) -> None:
        """Without anything."""


class KeyView(KeyRow, array_like=True, gc=False):
    """An API key, resolved: a row as a base has it, with what it refers to.

    The collector does not look at it: nothing that it refers to refers to it.

    Args:
        common: what it has alike with others; for the generated code.
        standing: what its user stands on, unless the workspace knows better (`WorkspaceView.moved`); as above.
        known: the key and its verifiers, where they are at hand.

    INVARIANT: one of a row is equal to that of the fact in the row (test_base: a view of a row).
    """

    common: Common = _NoCommon()
    standing: Standing = UNKNOWN
    known: tuple[ApiKey, Verifiers] | None = None

    @classmethod
    def of_fact(cls, fact: ApiKey, workspace: WorkspaceView, verifiers: Verifiers = _NO_VERIFIERS) -> KeyView:
        """The view of a key that stands in no base."""
        is_user = fact.principal_kind == "user"
        row = CommonRow(fact.workspace, is_user, fact.scopes, fact.cidrs, fact.labels, 0, "")
        slots = tuple(SlotRow(slot.number, slot.pepper_id, None, None, slot.expires_at) for slot in fact.slots)
        more = MoreRow(slots, None, fact.not_before, fact.expires_at, fact.revoked_at, fact.revoke_reason)
        common = Common(row, workspace, slots, more)
        return cls(fact.id, row, fact.principal_id, None, fact.created_at, None, common=common, known=(fact, verifiers))

    def secrets(self) -> Iterable[tuple[int, str, bytes | None]]:
        """Of each secret the slot, the pepper and the verifier; None where the change feed came without it."""
        if self.known is not None:
            fact, verifiers = self.known
            return [(slot.number, slot.pepper_id, verifiers.get(slot.number)) for slot in fact.slots]
        row = self.common.row
        if self.more is None or self.more.slots is None:
            return ((row.slot, row.pepper_id, self.verifier),)
        return [(slot.number, slot.pepper_id, slot.verifier) for slot in self.more.slots]

    def unpacked(self) -> tuple[ApiKey, Verifiers]:
        """`fact` and `verifiers`, for the price of one of them."""
        return self.known or read_key(self, self.common.row)

    @property
    def fact(self) -> ApiKey:
        """The key itself. Cost: 2 µs over a base."""
        return self.unpacked()[0]

    @property
    def verifiers(self) -> Verifiers:
        """Of its secrets by slot number; empty where the change feed came without them. Cost: 2 µs over a base."""
        return self.unpacked()[1]

    @property
    def workspace(self) -> WorkspaceView:
        """Its workspace."""
        return self.common.workspace

    @property
    def workspace_id(self) -> str:
        """The id of its workspace."""
        return self.common.workspace_id

    @property
    def kind(self) -> str:
        """`user` or `service`."""
        return self.common.kind

    @property
    def is_user(self) -> bool:
        """Whether it acts as a user."""
        return self.common.is_user

    @property
    def scopes(self) -> tuple[str, ...]:
        """As issued."""
        return self.common.scopes

    @property
    def labels(self) -> dict[str, str]:
        """As issued."""
        return self.common.labels

    @property
    def expires_at(self) -> object:
        """When it ends; ABSENT where nothing is said of it."""
        return self.common.expires_at

    @property
    def starts(self) -> int:
        """As in `Common`."""
        return self.common.starts

    @property
    def slots(self) -> dict[int | None, int]:
        """`Common.ends`."""
        return self.common.ends

    @property
    def networks(self) -> Intervals | None:
        """As in `Common`."""
        return self.common.networks

    @property
    def closure(self) -> frozenset[str] | None:
        """As in `Common`."""
        return self.common.closure

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """The last four fields of a Decision: key id, principal kind and id, workspace."""
        return self.id, self.common.kind, self.principal_id, self.common.workspace_id

    def grants(self) -> Grants:
        """What the key's user has now; NOBODY for a service key."""
        common = self.common
        return common.workspace.grants_of(self.principal_id, self.standing) if common.is_user else NOBODY


read_key_view: Final = msgspec.msgpack.Decoder(KeyView).decode


def _ends(slots: Iterable[SlotRow], more: MoreRow) -> dict[int | None, int]:
    """When each secret of a key has ended."""
    end = FOREVER if more.expires_at is None else more.expires_at
    if more.revoked_at is not None:
        end = -FOREVER
    ends: dict[int | None, int] = {None: end}
    for slot in slots:
        ends[slot.number] = end if slot.expires_at is None else min(end, slot.expires_at)
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
