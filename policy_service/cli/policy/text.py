"""A policy as text for its author, and as JSON."""

from __future__ import annotations

import json
from typing import Any

from policy_service.cli.shared.screen import Screen
from policy_service.language.ir import Condition, Type
from policy_service.language.policy import (
    Attribute,
    BuiltinCheck,
    Check,
    ConditionCheck,
    Policy,
    ResourcePolicy,
    Rule,
)
from policy_service.model.instants import format_rfc3339


def show_policy(screen: Screen, policy: Policy) -> None:
    """Chain, scopes, roles, networks, context and resources, each as a table."""
    screen.line(policy.digest)
    _section(screen, "chain", ("check", "name", "requires", "reason"), map(_check_row, policy.chain))
    scopes = ((s.name, sorted(s.on), sorted(s.closure - {s.name}), s.description) for s in policy.scopes.values())
    _section(screen, "scopes", ("scope", "on", "implies", "description"), scopes)
    roles = ((r.name, sorted(r.closure), sorted(r.lineage - {r.name})) for r in policy.roles.values())
    _section(screen, "roles", ("role", "grants", "inherits"), roles)
    if policy.networks:
        rows = ((name, [network.text for network in found]) for name, found in policy.networks.items())
        _section(screen, "networks", ("network", "cidrs"), rows)
    if policy.context:
        _section(screen, "context", ("name", "type", "default"), map(_attribute_row, policy.context))
    for resource in policy.resources.values():
        _show_resource(screen, resource)


def _section(screen: Screen, title: str, headers: tuple[str, ...], rows: Any) -> None:
    screen.line()
    screen.line(title, "bold")
    screen.table(headers, list(rows))


def _show_resource(screen: Screen, resource: ResourcePolicy) -> None:
    screen.line()
    screen.line(f"resource {resource.type}", "bold")
    screen.line(f"unregistered: {resource.unregistered}, when no rule applies: {resource.default}")
    if resource.attributes:
        screen.table(("attribute", "type", "default"), map(_attribute_row, resource.attributes))
    if resource.rules:
        screen.table(("rule", "effect", "scopes", "resources", "when", "reason"), map(_rule_row, resource.rules))


def _check_row(check: Check) -> tuple[object, ...]:
    if isinstance(check, BuiltinCheck):
        return check.name, None, None, None
    return "condition", check.name, _one_line(check.require), check.reason


def _attribute_row(attribute: Attribute) -> tuple[object, ...]:
    default = json.dumps(default_value(attribute), ensure_ascii=False) if attribute.has_default else None
    kind = f"{attribute.type}, from the store" if attribute.from_store else str(attribute.type)
    return attribute.name, kind, default


def default_value(attribute: Attribute) -> Any:
    """The default as a JSON value: what a caller would have to claim to get the same."""
    return _json_form(attribute.default, attribute.type)


def _json_form(value: Any, kind: Type) -> Any:
    if kind.element is not None:
        return [_json_form(item, kind.element) for item in value]
    return format_rfc3339(value) if kind.kind == "timestamp" else value


def _rule_row(rule: Rule) -> tuple[object, ...]:
    scopes = "all" if rule.scopes is None else sorted(rule.scopes)
    return rule.name, rule.effect, scopes, _patterns(rule), _one_line(rule.condition), rule.reason


def _patterns(rule: Rule) -> object:
    if rule.patterns is None:
        return "all"
    return [pattern.text + ("*" if pattern.is_prefix else "") for pattern in rule.patterns]


def _one_line(condition: Condition | None) -> str | None:
    return None if condition is None else " ".join(condition.text.split())


def policy_document(policy: Policy) -> dict[str, Any]:
    """The JSON form: what the files say, with closures worked out."""
    return {
        "digest": policy.digest,
        "chain": [_check_document(check) for check in policy.chain],
        "scopes": {
            scope.name: {
                "description": scope.description,
                "on": sorted(scope.on),
                "implies": list(scope.implies),
                "closure": sorted(scope.closure),
            }
            for scope in policy.scopes.values()
        },
        "roles": {
            role.name: {
                "description": role.description,
                "scopes": list(role.scopes),
                "inherits": list(role.inherits),
                "closure": sorted(role.closure),
            }
            for role in policy.roles.values()
        },
        "networks": {name: [network.text for network in found] for name, found in policy.networks.items()},
        "context": [_attribute_document(attribute) for attribute in policy.context],
        "resources": {name: _resource_document(resource) for name, resource in policy.resources.items()},
    }


def _check_document(check: Check) -> dict[str, Any]:
    if isinstance(check, ConditionCheck):
        return {
            "check": "condition",
            "name": check.name,
            "resource": check.resource_type,
            "when": None if check.when is None else check.when.text,
            "require": check.require.text,
            "reason": check.reason,
            "message": check.message,
        }
    return {"check": check.name}


def _attribute_document(attribute: Attribute) -> dict[str, Any]:
    document: dict[str, Any] = {"name": attribute.name, "type": str(attribute.type), "from_store": attribute.from_store}
    if attribute.has_default:
        document["default"] = default_value(attribute)
    return document


def _resource_document(resource: ResourcePolicy) -> dict[str, Any]:
    return {
        "unregistered": resource.unregistered,
        "default": resource.default,
        "attributes": [_attribute_document(attribute) for attribute in resource.attributes],
        "rules": [
            {
                "name": rule.name,
                "effect": rule.effect,
                "scopes": None if rule.scopes is None else sorted(rule.scopes),
                "resources": None if rule.patterns is None else _patterns(rule),
                "when": None if rule.condition is None else rule.condition.text,
                "reason": rule.reason,
                "message": rule.message,
                "line": rule.span.line,
            }
            for rule in resource.rules
        ],
    }
