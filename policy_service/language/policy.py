"""The Policy: what a set of rule files means. Typed, immutable, named by its digest.

Every capability (compile, explain, cover, prove, compare) reads this object; none has a second idea of what a rule
means.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from policy_service.language.ir import Condition, Type
from policy_service.model.address import Network
from policy_service.model.spans import Span

Effect = Literal["allow", "deny"]


class Attribute(msgspec.Struct, frozen=True, gc=False):
    """A declared value of a resource (`resource.attr.<name>`) or of the context (`request.context.<name>`).

    Args:
        default: the value where neither store nor caller gives one; meaningless unless `has_default`. Already of the
            run-time form (timestamps in nanoseconds, lists as tuples).
        from_store: never taken from a caller.
    """

    name: str
    type: Type
    has_default: bool = False
    default: Any = None
    from_store: bool = False


class Scope(msgspec.Struct, frozen=True, gc=False):
    """One entry of the catalogue. `closure`: itself and all that it implies, transitively."""

    name: str
    on: frozenset[str]
    implies: tuple[str, ...]
    closure: frozenset[str]
    description: str = ""


class Role(msgspec.Struct, frozen=True, gc=False):
    """A named set of scopes.

    `closure`: every scope it grants, by `inherits` and `implies`. `lineage`: itself and all roles that it inherits.
    """

    name: str
    scopes: tuple[str, ...]
    inherits: tuple[str, ...]
    closure: frozenset[str]
    lineage: frozenset[str]
    description: str = ""


class ResourcePattern(msgspec.Struct, frozen=True, order=True, gc=False):
    """An id, or a prefix (written with one trailing `*`; the prefix itself may be empty)."""

    text: str
    is_prefix: bool = False

    def matches(self, resource_id: str) -> bool:
        return resource_id.startswith(self.text) if self.is_prefix else resource_id == self.text


class Rule(msgspec.Struct, frozen=True, gc=False):
    """One line of a resource policy.

    Args:
        scopes: None for all scopes on this type; else matched exactly against the requested scope.
        patterns: None for all ids.
        condition: None: always satisfied.
        reason, message: deny rules only; None for the built-in ones.
        span: of the rule's name, for people.
    """

    name: str
    effect: Effect
    scopes: frozenset[str] | None
    patterns: tuple[ResourcePattern, ...] | None
    condition: Condition | None
    reason: str | None
    message: str | None
    span: Span


class ResourcePolicy(msgspec.Struct, frozen=True, gc=False):
    """All that is said of one resource type. `rules` are sorted by name: order in the file means nothing."""

    type: str
    attributes: tuple[Attribute, ...]
    default: Effect
    unregistered: Effect
    rules: tuple[Rule, ...]


class ConditionCheck(msgspec.Struct, frozen=True, gc=False):
    """A `check: condition` entry of the chain.

    Args:
        resource_type: the type it applies to, whose attributes it may read; None: every type.
        when: None: always applies. An unsatisfied `when` makes the check not applicable; a fault denies.
    """

    name: str
    require: Condition
    reason: str
    message: str | None
    when: Condition | None
    resource_type: str | None
    span: Span


class BuiltinCheck(msgspec.Struct, frozen=True, gc=False):
    """One of the seven mandatory checks, by name (see `model.reasons.CHECKS`)."""

    name: str


Check = BuiltinCheck | ConditionCheck


class Policy(msgspec.Struct, frozen=True):
    """One set of rule files, checked. `digest` is `sha256:` and 64 hexadecimal digits over its meaning."""

    chain: tuple[Check, ...]
    scopes: dict[str, Scope]
    roles: dict[str, Role]
    networks: dict[str, tuple[Network, ...]]
    context: tuple[Attribute, ...]
    resources: dict[str, ResourcePolicy]
    digest: str = ""
