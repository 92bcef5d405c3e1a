"""Drawn policies, as documents (what YAML comes to) that tests may still change, and as the files an author writes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.property.condition_pool import condition
from tests.property.drawing import coin, pick, some

Json = dict[str, Any]
Documents = dict[str, Json]
"""File name → document."""

FIXED = ("credential", "revocation", "workspace")
FREE = ("scope", "rbac", "resource_policy", "ip_allowlist")

ATTRIBUTES: dict[str, dict[str, tuple[str, Any]]] = {
    "pipeline": {
        "env": ("string", "dev"),
        "level": ("int", 1),
        "ratio": ("double", 0.5),
        "frozen": ("bool", False),
        "since": ("timestamp", "2026-06-01T12:00:00Z"),
        "tags": ("list(string)", ["secret"]),
        "sizes": ("list(int)", [1, 0]),
        "ratios": ("list(double)", []),
        "flags": ("list(bool)", [True]),
        "times": ("list(timestamp)", ["2027-01-01T00:00:00Z"]),
    },
    "connection": {"env": ("string", "prod"), "locked": ("bool", True)},
}
"""Type → attribute → its type and a default of that type."""

CONTEXT = {
    "ticket": ("string", "T-0"),
    "level": ("int", 3),
    "urgent": ("bool", False),
    "until": ("timestamp", "2026-06-01T12:00:00Z"),
}

NETWORKS = {"office": ["10.1.0.0/16", "2001:db8:1::/48"], "vpn": ["198.51.100.7"], "everywhere": ["any"]}

SCOPES: Documents = {
    "pipelines:read": {"on": ["pipeline"]},
    "pipelines:run": {"on": ["pipeline"], "implies": ["pipelines:read"]},
    "pipelines:admin": {"on": ["pipeline", "connection"], "implies": ["pipelines:run"]},
    "connections:read": {"on": ["connection"]},
    "buckets:read": {"on": ["bucket", "pipeline"]},
}
"""`bucket` is a type without a file."""

RULE_NAMES = tuple(f"{letter}-rule" for letter in "abcdefgh")
PATTERNS = ("etl-1", "etl-2", "etl-*", "*", "e*", "team/x:*", "adhoc")


def render(documents: Documents) -> dict[str, str]:
    """The files. JSON is YAML; every text is quoted, so nothing is left to a reader's taste."""
    return {name: json.dumps(document, ensure_ascii=False, indent=1) for name, document in documents.items()}


def draw_documents(draw: st.DrawFn, max_rules: int = 5) -> Documents:
    """Valid rule files: every type of attribute, every kind of check and rule."""
    found: Documents = {
        "chain.yaml": {"chain": draw_chain(draw)},
        "scopes.yaml": {"scopes": SCOPES},
        "roles.yaml": {"roles": draw_roles(draw)},
        "networks.yaml": {"networks": NETWORKS},
        "context.yaml": {"context": draw_declarations(draw, CONTEXT, from_store=False)},
    }
    for resource_type, attributes in ATTRIBUTES.items():
        names = some(draw, RULE_NAMES, most=max_rules)
        found[f"resources/{resource_type}.yaml"] = {
            "resource": resource_type,
            "unregistered": pick(draw, ("allow", "deny")),
            "attributes": draw_declarations(draw, attributes, from_store=True),
            "default": pick(draw, ("allow", "allow", "deny")),
            "rules": [draw_rule(draw, resource_type, name) for name in names],
        }
    return found


def draw_chain(draw: st.DrawFn) -> list[Json]:
    """The built-in checks in any order that is legal, with up to two conditions among them."""
    entries = [{"check": name} for name in some(draw, FREE, most=len(FREE), least=len(FREE))]
    for name in pick(draw, ((), (), ("freeze",), ("freeze", "hours"))):
        entries.insert(pick(draw, range(len(entries) + 1)), draw_condition_check(draw, name))
    return [{"check": name} for name in FIXED] + entries


def draw_condition_check(draw: st.DrawFn, name: str) -> Json:
    """One condition check, on every type or on one."""
    resource_type = pick(draw, (None, None, "pipeline", "connection", "bucket"))
    entry: Json = {"check": "condition", "name": name, "reason": f"{name}_now"}
    if resource_type is not None:
        entry["resource"] = resource_type
    if coin(draw):
        entry["when"] = condition(draw, resource_type)
    if coin(draw):
        entry["message"] = "Not now."
    entry["require"] = condition(draw, resource_type)
    return entry


def draw_roles(draw: st.DrawFn) -> Documents:
    """Three roles that inherit or not."""
    return {
        "viewer": {"scopes": pick(draw, (["pipelines:read"], ["pipelines:read", "connections:read"]))},
        "operator": {
            "scopes": pick(draw, (["pipelines:run"], ["pipelines:admin", "buckets:read"])),
            "inherits": pick(draw, ([], ["viewer"])),
        },
        "chief": {"inherits": pick(draw, (["operator"], ["operator", "viewer"]))},
    }


def draw_declarations(draw: st.DrawFn, known: dict[str, tuple[str, Any]], *, from_store: bool) -> Json:
    """Types as they are; defaults, and where a value may come from, as drawn."""
    found: Json = {}
    for name, (kind, default) in known.items():
        form = pick(draw, ("plain", "plain", "default", "store", "store and default"))
        declaration: Json = {"type": kind}
        if "default" in form:
            declaration["default"] = default
        if "store" in form and from_store:
            declaration["from"] = "store"
        found[name] = kind if len(declaration) == 1 else declaration
    return found


def draw_rule(draw: st.DrawFn, resource_type: str, name: str, effect: str | None = None) -> Json:
    """One rule, wide enough to apply often."""
    rule: Json = {"name": name, "effect": effect or pick(draw, ("allow", "deny"))}
    scopes = [scope for scope, entry in SCOPES.items() if resource_type in entry["on"]]
    if coin(draw):
        rule["scopes"] = some(draw, scopes, most=3, least=1)
    if coin(draw):
        rule["resources"] = some(draw, PATTERNS, most=3, least=1)
    if not coin(draw, of=4):
        rule["when"] = condition(draw, resource_type)
    if rule["effect"] == "deny" and coin(draw):
        rule["reason"] = pick(draw, ("locked", "not_today"))
    return rule


@st.composite
def documents(draw: st.DrawFn) -> Documents:
    """Valid rule files, as a strategy."""
    return draw_documents(draw)


@st.composite
def rules(draw: st.DrawFn, resource_type: str, name: str, effect: str) -> Json:
    """One rule, as a strategy."""
    return draw_rule(draw, resource_type, name, effect)
