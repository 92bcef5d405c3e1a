"""The identity of a policy: SHA-256 over an explicit canonical form of what it means.

Two sets of files have one digest exactly when they say the same: comments, descriptions, file and rule order, spelling
of conditions and names of macro variables do not count; chain order, names, reasons, messages and conditions do.
Networks count where conditions use them, as the addresses they hold.

The form is written out here field by field, so that a digest never changes because a class did. A change of this
module that changes digests is a change of the interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from policy_service.language import ir
from policy_service.language.memory import Memory
from policy_service.language.policy import (
    Attribute,
    BuiltinCheck,
    Check,
    ConditionCheck,
    Policy,
    ResourcePolicy,
    Rule,
)
from policy_service.model.address import Network
from policy_service.model.canonical import canonical_text, sha256_hex

FORM: Final = "policy/1"
"""The version of the canonical form; part of what is hashed."""


def digest(policy: Policy, memory: Memory | None = None) -> str:
    """`sha256:` and 64 hexadecimal digits.

    Args:
        memory: of the last load: a resource policy that it left is put into its form but once.

    Cost: linear in the policy, some 20 µs a rule.
    """
    return "sha256:" + sha256_hex(canonical_text(canonical(policy, memory)))


def canonical(policy: Policy, memory: Memory | None = None) -> dict[str, Any]:
    """The canonical form, JSON-ready. What is not in it does not count."""
    return {
        "form": FORM,
        "chain": [_check(check) for check in policy.chain],
        "scopes": {
            name: {"on": sorted(scope.on), "implies": sorted(scope.implies)} for name, scope in policy.scopes.items()
        },
        "roles": {
            name: {"scopes": sorted(role.scopes), "inherits": sorted(role.inherits)}
            for name, role in policy.roles.items()
        },
        "context": _attributes(policy.context),
        "resources": {
            name: _resource(resource) if memory is None else _remembered(resource, memory)
            for name, resource in policy.resources.items()
        },
    }


def _remembered(resource: ResourcePolicy, memory: Memory) -> dict[str, Any]:
    """By identity. It is remembered beside its form, so that no other one can take its place."""
    return memory.recall(("form", id(resource)), lambda: (resource, _resource(resource)))[1]


def _check(check: Check) -> dict[str, Any]:
    if isinstance(check, BuiltinCheck):
        return {"check": check.name}
    assert isinstance(check, ConditionCheck)
    return {
        "check": "condition",
        "name": check.name,
        "require": _condition(check.require),
        "reason": check.reason,
        "message": check.message,
        "when": _condition(check.when),
        "resource": check.resource_type,
    }


def _resource(policy: ResourcePolicy) -> dict[str, Any]:
    return {
        "attributes": _attributes(policy.attributes),
        "default": policy.default,
        "unregistered": policy.unregistered,
        "rules": {rule.name: _rule(rule) for rule in policy.rules},
    }


def _rule(rule: Rule) -> dict[str, Any]:
    patterns = None if rule.patterns is None else sorted({(p.text, p.is_prefix) for p in rule.patterns})
    return {
        "effect": rule.effect,
        "scopes": None if rule.scopes is None else sorted(rule.scopes),
        "resources": None if patterns is None else [[text, is_prefix] for text, is_prefix in patterns],
        "when": _condition(rule.condition),
        "reason": rule.reason,
        "message": rule.message,
    }


def _attributes(attributes: tuple[Attribute, ...]) -> dict[str, Any]:
    return {
        attribute.name: {
            "type": str(attribute.type),
            "default": [_value(attribute.default)] if attribute.has_default else [],
            "from_store": attribute.from_store,
        }
        for attribute in attributes
    }


def _value(value: Any) -> Any:
    """Floats by their exact text, so that `1` and `1.0` differ; tuples as lists."""
    if isinstance(value, float):
        return {"double": repr(value)}
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return value


def _condition(condition: ir.Condition | None) -> Any:
    return None if condition is None else _expr(condition.expr, {})


def _expr(node: ir.Expr, names: dict[str, str]) -> Any:
    """A tree as nested lists: kind, what is the node's own, then its children in evaluation order.

    Args:
        names: of macro variables, by the order in which they are bound.
    """
    if isinstance(node, ir.Quantifier | ir.Transform):
        return _macro(node, names)
    if isinstance(node, ir.Local):
        return ["local", names.get(node.name, node.name)]
    return [*_HEADS[type(node)](node), *[_expr(child, names) for child in ir.children(node)]]


_HEADS: Final[dict[type, Callable[[Any], list[Any]]]] = {
    ir.Const: lambda node: ["const", str(node.type), _value(node.value)],
    ir.Read: lambda node: ["read", node.path],
    ir.Has: lambda node: ["has", node.path],
    ir.HasEntry: lambda node: ["has_entry", node.key],
    ir.Not: lambda _: ["not"],
    ir.And: lambda _: ["and"],
    ir.Or: lambda _: ["or"],
    ir.Conditional: lambda _: ["if"],
    ir.Call: lambda node: ["call", node.overload],
    ir.ListOf: lambda node: ["list", str(node.type)],
    ir.Matches: lambda node: ["matches", node.pattern],
    ir.InNetworks: lambda node: ["in_networks", _intervals(node.networks)],
}


def _macro(node: ir.Quantifier | ir.Transform, names: dict[str, str]) -> Any:
    inner = {**names, node.variable: f"v{len(names)}"}
    head = _expr(node.range, names)
    if isinstance(node, ir.Quantifier):
        return [node.quantifier, head, _expr(node.body, inner)]
    condition = None if node.condition is None else _expr(node.condition, inner)
    return ["transform", head, condition, _expr(node.result, inner)]


def _intervals(networks: tuple[Network, ...]) -> list[list[str]]:
    """Merged and sorted; as text, for the points go past what every JSON reader keeps exactly."""
    merged: list[list[int]] = []
    for network in sorted(networks):
        if merged and network.first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], network.last)
        else:
            merged.append([network.first, network.last])
    return [[str(first), str(last)] for first, last in merged]
