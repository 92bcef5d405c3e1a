"""Facts in the form that decisions want them: one view per key, resource and workspace.

Views belong to one snapshot and are changed by nobody else. Whatever depends on the active policy is computed when it
is first needed and forgotten when another bundle becomes active.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from policy_service.engine.closures import Closures
from policy_service.engine.grants import NOBODY, Grants, ResourceKey, grants_from, with_ancestors
from policy_service.engine.intervals import Intervals
from policy_service.model.facts import ApiKey, Fact, IpAllowlist, Membership, Resource, RoleBinding, Team, User
from policy_service.model.values import ABSENT

FOREVER: Final = 1 << 100
"""Later than every instant, in nanoseconds."""


class KeyView:
    """An API key, resolved.

    Attributes:
        identity: the last four fields of a Decision: key id, principal kind and id, workspace.
        starts: valid from here on; -FOREVER where the key names no limit.
        slots: slot number → the instant at which that secret has ended, by itself, with its key, or (-FOREVER) by
            revocation. None stands for a key that was named without showing a secret.
        networks: the key's own CIDRs; None when it has none.
        closure: its scopes and all they imply; None until first needed under the active policy.
    """

    __slots__ = (
        "closure",
        "created_at",
        "expires_at",
        "fact",
        "id",
        "identity",
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

    def __init__(self, fact: ApiKey, workspace: WorkspaceView) -> None:
        self.fact = fact
        self.workspace = workspace
        self.id = fact.id
        self.kind = fact.principal_kind
        self.is_user = fact.principal_kind == "user"
        self.principal_id = fact.principal_id
        self.workspace_id = fact.workspace
        self.identity = (fact.id, fact.principal_kind, fact.principal_id, fact.workspace)
        self.scopes = fact.scopes
        self.labels = fact.labels
        self.created_at = fact.created_at
        self.expires_at: object = ABSENT if fact.expires_at is None else fact.expires_at
        self.starts = -FOREVER if fact.not_before is None else fact.not_before
        self.slots = _ends(fact)
        self.networks = Intervals.of_cidrs(fact.cidrs) if fact.cidrs else None
        self.closure: frozenset[str] | None = None

    def grants(self) -> Grants:
        """What the key's user has now; NOBODY for a service key."""
        if not self.is_user:
            return NOBODY
        return self.workspace.grants.get(self.principal_id) or self.workspace.grants_of(self.principal_id)


def _ends(key: ApiKey) -> dict[int | None, int]:
    """When each secret of a key has ended."""
    end = FOREVER if key.expires_at is None else key.expires_at
    if key.revoked_at is not None:
        end = -FOREVER
    ends: dict[int | None, int] = {None: end}
    for slot in key.slots:
        ends[slot.number] = end if slot.expires_at is None else min(end, slot.expires_at)
    return ends


class ResourceView:
    """A registered resource.

    `known` and `unclaimed` are its reader's (see `AttributeReader`), `declared` belongs to `seen`.
    """

    __slots__ = ("declared", "fact", "known", "unclaimed")

    def __init__(self, fact: Resource) -> None:
        self.fact = fact
        self.forget()

    def forget(self) -> None:
        """Drop what was read under another policy."""
        self.known: tuple[Any, ...] | None = None
        self.unclaimed: tuple[Any, ...] = ()
        self.declared: dict[str, Any] | None = None


class WorkspaceView:
    """The facts of one workspace, and what follows from them.

    Attributes:
        allowlist: None when off.
        grants: by user id, as far as they have been asked for since something changed them.

    INVARIANT: never differs from a view made anew from the same facts (test_snapshot: incremental fold).
    """

    __slots__ = (
        "_closures",
        "_memberships",
        "_of_team",
        "_of_user",
        "_teams",
        "_users",
        "allowlist",
        "grants",
        "resources",
    )

    def __init__(self, closures: Closures) -> None:
        self._closures = closures
        self._users: dict[str, User] = {}
        self._teams: dict[str, Team] = {}
        self._memberships: defaultdict[str, set[str]] = defaultdict(set)
        self._of_user: defaultdict[str, dict[str, RoleBinding]] = defaultdict(dict)
        self._of_team: defaultdict[str, dict[str, RoleBinding]] = defaultdict(dict)
        self.allowlist: Intervals | None = None
        self.resources: dict[ResourceKey, ResourceView] = {}
        self.grants: dict[str, Grants] = {}

    def use(self, closures: Closures) -> None:
        """Another policy is active: forget what depended on the last one."""
        self._closures = closures
        self.grants.clear()
        for resource in self.resources.values():
            resource.forget()

    def replace(self, before: Fact | None, after: Fact | None) -> None:
        """Take one fact out and put another of the same entity and key in. Either may be None."""
        if before is not None:
            _REMOVE[type(before)](self, before)
        if after is not None:
            _PUT[type(after)](self, after)

    def grants_of(self, user_id: str) -> Grants:
        """What a user has now, kept until a fact it rests on changes. A user who does not exist has nothing."""
        grants = self.grants_under(user_id, self._closures)
        if grants is not NOBODY:
            self.grants[user_id] = grants
        return grants

    def grants_under(self, user_id: str, closures: Closures) -> Grants:
        """What a user would have now under the policy of `closures`. Nothing is kept."""
        user = self._users.get(user_id)
        if user is None:
            return NOBODY
        teams = with_ancestors(self._memberships.get(user_id, ()), self._teams)
        return grants_from(
            suspended=user.suspended,
            teams=teams,
            bindings=self._bindings(user_id, teams),
            closures=closures,
        )

    def bindings_of(self, user_id: str) -> list[RoleBinding]:
        """The bindings that reach a user, direct and by team, sorted by id. For explanations."""
        if user_id not in self._users:
            return []
        teams = with_ancestors(self._memberships.get(user_id, ()), self._teams)
        return sorted(self._bindings(user_id, teams), key=lambda binding: binding.id)

    def _bindings(self, user_id: str, teams: frozenset[str]) -> Iterator[RoleBinding]:
        yield from self._of_user.get(user_id, {}).values()
        for team in teams:
            yield from self._of_team.get(team, {}).values()

    def _put_user(self, user: User) -> None:
        self._users[user.id] = user
        self.grants.pop(user.id, None)

    def _remove_user(self, user: User) -> None:
        del self._users[user.id]
        self.grants.pop(user.id, None)

    def _put_team(self, team: Team) -> None:
        self._teams[team.id] = team
        self.grants.clear()

    def _remove_team(self, team: Team) -> None:
        del self._teams[team.id]
        self.grants.clear()

    def _put_membership(self, membership: Membership) -> None:
        self._memberships[membership.user].add(membership.team)
        self.grants.pop(membership.user, None)

    def _remove_membership(self, membership: Membership) -> None:
        self._memberships[membership.user].discard(membership.team)
        self.grants.pop(membership.user, None)

    def _put_binding(self, binding: RoleBinding) -> None:
        for subject, bindings in self._subjects(binding):
            bindings[subject][binding.id] = binding

    def _remove_binding(self, binding: RoleBinding) -> None:
        for subject, bindings in self._subjects(binding):
            del bindings[subject][binding.id]

    def _subjects(self, binding: RoleBinding) -> Iterator[tuple[str, defaultdict[str, dict[str, RoleBinding]]]]:
        """Where a binding is filed; forgets the grants that rest on it."""
        if binding.user is not None:
            self.grants.pop(binding.user, None)
            yield binding.user, self._of_user
        if binding.team is not None:
            self.grants.clear()
            yield binding.team, self._of_team

    def _put_resource(self, resource: Resource) -> None:
        self.resources[resource.type, resource.id] = ResourceView(resource)

    def _remove_resource(self, resource: Resource) -> None:
        del self.resources[resource.type, resource.id]

    def _put_allowlist(self, allowlist: IpAllowlist) -> None:
        cidrs = (entry.cidr for entry in allowlist.entries)
        self.allowlist = Intervals.of_cidrs(cidrs) if allowlist.enabled else None

    def _remove_allowlist(self, _allowlist: IpAllowlist) -> None:
        self.allowlist = None


_Handler = Callable[[WorkspaceView, Fact], None]
_PUT: Final = cast(
    "dict[type[Fact], _Handler]",
    {
        User: WorkspaceView._put_user,
        Team: WorkspaceView._put_team,
        Membership: WorkspaceView._put_membership,
        RoleBinding: WorkspaceView._put_binding,
        Resource: WorkspaceView._put_resource,
        IpAllowlist: WorkspaceView._put_allowlist,
    },
)
_REMOVE: Final = cast(
    "dict[type[Fact], _Handler]",
    {
        User: WorkspaceView._remove_user,
        Team: WorkspaceView._remove_team,
        Membership: WorkspaceView._remove_membership,
        RoleBinding: WorkspaceView._remove_binding,
        Resource: WorkspaceView._remove_resource,
        IpAllowlist: WorkspaceView._remove_allowlist,
    },
)
WORKSPACE_FACTS: Final = frozenset(_PUT)
"""The entities that a workspace view is made of."""
