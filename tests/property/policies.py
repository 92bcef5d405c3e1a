"""Drawn policies, as documents (what YAML comes to) that tests may still change, and as the files an author writes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.property.condition_pool import conditions

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


@st.composite
def documents(draw: st.DrawFn, max_rules: int = 5) -> Documents:
    """Valid rule files: every type of attribute, every kind of check and rule."""
    found: Documents = {
        "chain.yaml": {"chain": draw(chains())},
        "scopes.yaml": {"scopes": SCOPES},
        "roles.yaml": {"roles": draw(roles())},
        "networks.yaml": {"networks": NETWORKS},
        "context.yaml": {"context": draw(declarations(CONTEXT, from_store=False))},
    }
    for resource_type, attributes in ATTRIBUTES.items():
        found[f"resources/{resource_type}.yaml"] = {
            "resource": resource_type,
            "unregistered": draw(st.sampled_from(("allow", "deny"))),
            "attributes": draw(declarations(attributes, from_store=True)),
            "default": draw(st.sampled_from(("allow", "allow", "deny"))),
            "rules": draw(rule_lists(resource_type, max_rules)),
        }
    return found


@st.composite
def chains(draw: st.DrawFn) -> list[Json]:
    """The built-in checks in any order that is legal, with up to two conditions among them."""
    entries = [{"check": name} for name in draw(st.permutations(FREE))]
    for name in draw(st.sampled_from(((), (), ("freeze",), ("freeze", "hours")))):
        entries.insert(draw(st.integers(0, len(entries))), draw(condition_checks(name)))
    return [{"check": name} for name in FIXED] + entries


@st.composite
def condition_checks(draw: st.DrawFn, name: str) -> Json:
    """One condition check, on every type or on one."""
    resource_type = draw(st.sampled_from((None, None, "pipeline", "connection", "bucket")))
    entry: Json = {"check": "condition", "name": name, "reason": f"{name}_now"}
    if resource_type is not None:
        entry["resource"] = resource_type
    if draw(st.booleans()):
        entry["when"] = draw(conditions(resource_type))
    if draw(st.booleans()):
        entry["message"] = "Not now."
    entry["require"] = draw(conditions(resource_type))
    return entry


@st.composite
def roles(draw: st.DrawFn) -> Documents:
    """Three roles that inherit or not."""
    return {
        "viewer": {"scopes": draw(st.sampled_from((["pipelines:read"], ["pipelines:read", "connections:read"])))},
        "operator": {
            "scopes": draw(st.sampled_from((["pipelines:run"], ["pipelines:admin", "buckets:read"]))),
            "inherits": draw(st.sampled_from(([], ["viewer"]))),
        },
        "chief": {"inherits": draw(st.sampled_from((["operator"], ["operator", "viewer"])))},
    }


@st.composite
def declarations(draw: st.DrawFn, known: dict[str, tuple[str, Any]], *, from_store: bool) -> Json:
    """Types as they are; defaults, and where a value may come from, as drawn."""
    found: Json = {}
    for name, (kind, default) in known.items():
        form = draw(st.sampled_from(("plain", "plain", "default", "store", "store and default")))
        declaration: Json = {"type": kind}
        if "default" in form:
            declaration["default"] = default
        if "store" in form and from_store:
            declaration["from"] = "store"
        found[name] = kind if len(declaration) == 1 else declaration
    return found


@st.composite
def rule_lists(draw: st.DrawFn, resource_type: str, max_rules: int) -> list[Json]:
    """Rules with distinct names, in any order."""
    names = draw(st.lists(st.sampled_from(RULE_NAMES), unique=True, max_size=max_rules))
    return [draw(rules(resource_type, name)) for name in names]


@st.composite
def rules(draw: st.DrawFn, resource_type: str, name: str, effect: str | None = None) -> Json:
    """One rule, wide enough to apply often."""
    rule: Json = {"name": name, "effect": effect or draw(st.sampled_from(("allow", "deny")))}
    scopes = [scope for scope, entry in SCOPES.items() if resource_type in entry["on"]]
    if draw(st.booleans()):
        rule["scopes"] = draw(st.lists(st.sampled_from(scopes), unique=True, min_size=1, max_size=3))
    if draw(st.booleans()):
        rule["resources"] = draw(st.lists(st.sampled_from(PATTERNS), unique=True, min_size=1, max_size=3))
    if draw(st.integers(0, 3)):
        rule["when"] = draw(conditions(resource_type))
    if rule["effect"] == "deny" and draw(st.booleans()):
        rule["reason"] = draw(st.sampled_from(("locked", "not_today")))
    return rule
