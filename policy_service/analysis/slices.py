"""All requests, in parts: by scope and resource type. In each only a few rules can apply."""

from __future__ import annotations

import msgspec

from policy_service.analysis.encode.chain import declared_types
from policy_service.analysis.encode.world import Name
from policy_service.language.policy import Policy


class Slice(msgspec.Struct, frozen=True):
    """The requests for one scope on one type; None stands for all that are not declared."""

    scope: Name
    type: Name


def allowable(policy: Policy) -> list[Slice]:
    """The slices that some request could be allowed in: the scope is on the type."""
    return [Slice(name, type_) for name, scope in sorted(policy.scopes.items()) for type_ in sorted(scope.on)]


def others(policy: Policy) -> list[Slice]:
    """The slices in which every request is denied."""
    scopes: list[Name] = [*sorted(policy.scopes), None]
    types: list[Name] = [*sorted(declared_types(policy)), None]
    known = set(allowable(policy))
    return [one for scope in scopes for type_ in types if (one := Slice(scope, type_)) not in known]


def reaching(policy: Policy, check: str) -> list[Slice]:
    """The slices in which a check can be reached: beyond the check `scope` only those that it lets through."""
    names = [one.name for one in policy.chain]
    return allowable(policy) + (others(policy) if names.index(check) < names.index("scope") else [])
