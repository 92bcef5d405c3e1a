"""Who gains or loses scopes that are on no resource: the service asks for those itself, of who calls its API.

No request for them is ever allowed by `POST /decide`, so that no slice of the solver's shows them; and yet a role that
gains `decisions:read` lets people read the decision log.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from policy_service.language.policy import Policy


class OwnScopeChange(msgspec.Struct, frozen=True):
    """One such scope in other hands.

    Args:
        roles: that grant it in one policy only.
        scopes: that bring it along, for keys that carry them, in one policy only; itself where it is new or gone.
    """

    direction: Literal["looser", "stricter"]
    scope: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]


def own_scope_changes(old: Policy, new: Policy) -> Iterator[OwnScopeChange]:
    """What the new policy gives, then what it takes, scope by scope."""
    names = {name for policy in (old, new) for name, scope in policy.scopes.items() if not scope.on}
    for name in sorted(names):
        before, after = _holders(old, name), _holders(new, name)
        yield from _change("looser", name, after[0] - before[0], after[1] - before[1])
        yield from _change("stricter", name, before[0] - after[0], before[1] - after[1])


def _change(
    direction: Literal["looser", "stricter"], name: str, roles: set[str], scopes: set[str]
) -> Iterator[OwnScopeChange]:
    if roles or scopes:
        yield OwnScopeChange(direction, name, tuple(sorted(roles)), tuple(sorted(scopes)))


def _holders(policy: Policy, name: str) -> tuple[set[str], set[str]]:
    """The roles that grant a scope, and the scopes that bring it along."""
    roles = {role for role, one in policy.roles.items() if name in one.closure}
    return roles, {scope for scope, one in policy.scopes.items() if scope == name or name in one.closure}
