"""What a user has now: teams with their ancestors, and roles over the workspace and over single resources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from policy_service.engine.closures import NO_ROLES, Closures, RoleSet
from policy_service.model.facts import RoleBinding, Team

ResourceKey = tuple[str, str]
"""`(type, id)` of a resource within its workspace."""


class Grants(msgspec.Struct, frozen=True):
    """A user's standing in a workspace.

    Args:
        teams: the teams that the user is in, with all their ancestors, sorted.
        wide: roles over the whole workspace.
        narrow: for resources with bindings of their own, the roles there: those *and* the wide ones.
    """

    suspended: bool
    teams: tuple[str, ...]
    wide: RoleSet
    narrow: dict[ResourceKey, RoleSet]

    def roles_on(self, resource: ResourceKey) -> RoleSet:
        """The roles in force on one resource."""
        return self.narrow.get(resource, self.wide)


NOBODY: Final = Grants(False, (), NO_ROLES, {})
"""For service keys, and for a user who does not exist: nothing is granted."""


class Standing:
    """What a user stands on, or all users who stand on the same: their grants, once somebody has asked.

    Attributes:
        grants: None until then, and after a fact has changed that they rest on.
    """

    __slots__ = ("grants",)

    def __init__(self) -> None:
        self.grants: Grants | None = None


UNKNOWN: Final = Standing()
"""For keys that do not say on what their user stands: its `grants` stay None, and the workspace is asked."""


def with_ancestors(direct: Iterable[str], team_of: Callable[[str], Team | None]) -> frozenset[str]:
    """The teams and all their ancestors. Ends on a cycle; a team that does not exist counts for nothing."""
    found: set[str] = set()
    for start in direct:
        name: str | None = start
        while name is not None and name not in found and (team := team_of(name)) is not None:
            found.add(name)
            name = team.parent
    return frozenset(found)


def grants_from(
    *, suspended: bool, teams: frozenset[str], bindings: Iterable[RoleBinding], closures: Closures
) -> Grants:
    """The grants that bindings make; `bindings` are all of the user's, direct and by team."""
    wide: set[str] = set()
    narrow: defaultdict[ResourceKey, set[str]] = defaultdict(set)
    for binding in bindings:
        if binding.resource_type is None or binding.resource_id is None:
            wide.add(binding.role)
        else:
            narrow[binding.resource_type, binding.resource_id].add(binding.role)
    return Grants(
        suspended,
        tuple(sorted(teams)),
        closures.roles(frozenset(wide)),
        {resource: closures.roles(frozenset(roles | wide)) for resource, roles in narrow.items()},
    )
