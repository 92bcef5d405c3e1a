"""What scopes and roles amount to under one policy, computed once for each distinct combination."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from policy_service.language.policy import Policy


class RoleSet(msgspec.Struct, frozen=True):
    """Roles in force together: their names with all that they inherit, sorted, and every scope they grant."""

    names: tuple[str, ...]
    scopes: frozenset[str]


NO_ROLES: Final = RoleSet((), frozenset())


class Closures:
    """Scope closures and role sets of one policy (None: no policy is active, nothing is implied or granted).

    Many keys have the same scopes and many users the same roles: they share one set.
    """

    __slots__ = ("_policy", "_roles", "_scopes")

    def __init__(self, policy: Policy | None) -> None:
        self._policy = policy
        self._scopes: dict[tuple[str, ...], frozenset[str]] = {}
        self._roles: dict[frozenset[str], RoleSet] = {frozenset(): NO_ROLES}

    def scopes(self, names: tuple[str, ...]) -> frozenset[str]:
        """The scopes and all that they imply. One that the catalogue does not declare is just itself."""
        closure = self._scopes.get(names)
        if closure is None:
            closure = self._scopes[names] = self._scope_closure(names)
        return closure

    def _scope_closure(self, names: Iterable[str]) -> frozenset[str]:
        closure = set(names)
        if self._policy is not None:
            declared = self._policy.scopes
            closure.update(*(declared[name].closure for name in names if name in declared))
        return frozenset(closure)

    def roles(self, names: frozenset[str]) -> RoleSet:
        """The roles together. One that the policy does not declare is not in force and grants nothing."""
        role_set = self._roles.get(names)
        if role_set is None:
            role_set = self._roles[names] = self._role_set(names)
        return role_set

    def _role_set(self, names: Iterable[str]) -> RoleSet:
        if self._policy is None:
            return NO_ROLES
        declared = self._policy.roles
        roles = [declared[name] for name in names if name in declared]
        lineage = frozenset[str]().union(*(role.lineage for role in roles))
        return RoleSet(tuple(sorted(lineage)), frozenset[str]().union(*(role.closure for role in roles)))
