"""Where the generated code finds what conditions read: path → parameter and expression.

Conditions become functions that take just the facts they need, under these names, in this order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from policy_service.language.ir import Condition
from policy_service.language.policy import ConditionCheck, Policy
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX

PARAMETERS: Final = ("request", "now", "point", "context", "key", "grants", "roles", "owner", "attributes")

STANDARD: Final[Mapping[str, str]] = {
    "request.scope": "request.scope",
    "request.time": "now",
    "request.ip": "point",
    "key.id": "key.id",
    "key.kind": "key.common.kind",
    "key.scopes": "key.common.scopes",
    "key.created_at": "key.created_at",
    "key.expires_at": "key.common.expires_at",
    "key.labels": "key.common.labels",
    "principal.id": "key.principal_id",
    "principal.kind": "key.common.kind",
    "principal.teams": "grants.teams",
    "principal.roles": "roles.names",
    "resource.type": "request.resource.type",
    "resource.id": "request.resource.id",
    "resource.workspace": "key.common.workspace_id",
    "resource.owner": "owner",
    "workspace.id": "key.common.workspace_id",
}
"""The expression of each standard variable; its first name is the parameter it needs."""


def paths_read(conditions: Iterable[Condition]) -> frozenset[str]:
    """All paths that any of the conditions reads."""
    return frozenset[str]().union(*(condition.reads() for condition in conditions))


def names_below(prefix: str, paths: Iterable[str]) -> tuple[str, ...]:
    """What the paths name directly below a prefix, sorted: the attributes or context values that are read."""
    return tuple(sorted(path.removeprefix(prefix) for path in paths if path.startswith(prefix)))


def type_conditions(policy: Policy, resource_type: str) -> list[Condition]:
    """The conditions that may read attributes of a type: those of its rules, and of condition checks on it."""
    found = []
    if resource_type in policy.resources:
        rules = policy.resources[resource_type].rules
        found = [rule.condition for rule in rules if rule.condition is not None]
    return found + check_conditions(policy, resource_type)


def check_conditions(policy: Policy, resource_type: str | None) -> list[Condition]:
    """The conditions of the condition checks on one type (None: of those on every type)."""
    found: list[Condition] = []
    for check in policy.chain:
        if isinstance(check, ConditionCheck) and check.resource_type == resource_type:
            found += [condition for condition in (check.when, check.require) if condition is not None]
    return found


class Reads:
    """The expressions for the paths that some conditions read.

    Args:
        attributes, context: names in the order in which their readers give the values.
    """

    def __init__(self, attributes: Sequence[str], context: Sequence[str]) -> None:
        self.expressions: dict[str, str] = dict(STANDARD)
        for position, name in enumerate(attributes):
            self.expressions[ATTRIBUTE_PREFIX + name] = f"attributes[{position}]"
        for position, name in enumerate(context):
            self.expressions[CONTEXT_PREFIX + name] = f"context[{position}]"

    def parameters(self, conditions: Iterable[Condition]) -> tuple[str, ...]:
        """The parameters that functions of these conditions need, in the fixed order."""
        needed = {_first_name(self.expressions[path]) for path in paths_read(conditions)}
        return tuple(name for name in PARAMETERS if name in needed)


def _first_name(expression: str) -> str:
    return expression.split(".", 1)[0].split("[", 1)[0]
