"""JSON Schemas (2020-12) of every kind of rule file, for editors: they complete, explain and underline.

A schema says what one file can say of itself. What needs the other files (undeclared names, conditions) is the
loader's to find; every file that loads fits its schema.
"""

from __future__ import annotations

import re
from typing import Any, Final

from policy_service.language.attributes import CEL_KEYWORDS
from policy_service.language.resources import MAX_MESSAGE
from policy_service.model import names
from policy_service.model.reasons import CHECKS, FIXED_CHECKS, REASONS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def schemas() -> dict[str, Schema]:
    """File name → schema. The names are those that the shipped files refer to, in the folder `.schemas`."""
    return {
        "chain.schema.json": _chain(),
        "scopes.schema.json": _scopes(),
        "roles.schema.json": _roles(),
        "networks.schema.json": _networks(),
        "context.schema.json": _context(),
        "resource.schema.json": _resource(),
    }


def _file(title: str, description: str, required: list[str], properties: Schema) -> Schema:
    return {"$schema": DIALECT, "title": title, **_object(description, required, properties)}


def _object(description: str, required: list[str], properties: Schema) -> Schema:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _map(description: str, keys: re.Pattern[str], values: Schema) -> Schema:
    return {
        "description": description,
        "type": "object",
        "propertyNames": {"pattern": _anchored(keys)},
        "additionalProperties": values,
    }


def _anchored(pattern: re.Pattern[str]) -> str:
    return f"^(?:{pattern.pattern})$"


def _string(description: str, pattern: re.Pattern[str] | None = None) -> Schema:
    text: Schema = {"description": description, "type": "string"}
    return text if pattern is None else {**text, "pattern": _anchored(pattern)}


def _list(description: str, items: Schema, at_least: int = 0) -> Schema:
    return {"description": description, "type": "array", "items": items, "minItems": at_least}


def _own_reason() -> Schema:
    text = (
        "Your own reason code, such as production_locked; callers get it with status 403. Built-in codes are refused."
    )
    return {**_string(text, names.REASON), "not": {"enum": sorted(REASONS)}}


def _message() -> Schema:
    return {**_string("For people, beside the reason code."), "maxLength": MAX_MESSAGE}


def _condition(description: str) -> Schema:
    return {**_string(f"{description} A CEL expression of type bool."), "minLength": 1}


def _scope(description: str) -> Schema:
    return _string(description, names.SCOPE)


def _chain() -> Schema:
    builtin = _object(
        "A built-in check. All seven are mandatory and take no options.", ["check"], {"check": {"enum": [*CHECKS]}}
    )
    condition = _object(
        "A condition of your own: denies with `reason` unless `require` is satisfied.",
        ["check", "name", "require", "reason"],
        {
            "check": {"const": "condition"},
            "name": _string("Names the condition in decisions; unique in the chain.", names.NAME),
            "resource": _string("The resource type it applies to; needed to read `resource.attr`.", names.NAME),
            "when": _condition("Where it applies; left out: always. A fault denies with policy_error."),
            "require": _condition("What must be satisfied. A fault denies with policy_error."),
            "reason": _own_reason(),
            "message": _message(),
        },
    )
    checks = {
        **_list("The checks that every request must pass, in order.", _by_check(builtin, condition), len(CHECKS)),
        # `items` judges what follows `prefixItems` only, so these carry the form of a built-in check themselves.
        "prefixItems": [{**builtin, "properties": {"check": {"const": name}}} for name in FIXED_CHECKS],
        "allOf": [_exactly_once(name) for name in CHECKS],
    }
    return _file("chain.yaml", "The ordered list of checks.", ["chain"], {"chain": checks})


def _by_check(builtin: Schema, condition: Schema) -> Schema:
    """Judged by `check` alone, so that an editor underlines the wrong field and not the whole entry."""
    is_condition = {"properties": {"check": {"const": "condition"}}, "required": ["check"]}
    return {"type": "object", "required": ["check"], "if": is_condition, "then": condition, "else": builtin}


def _exactly_once(name: str) -> Schema:
    contains = {"properties": {"check": {"const": name}}, "required": ["check"]}
    return {"contains": contains, "minContains": 1, "maxContains": 1}


def _scopes() -> Schema:
    scope = _object(
        "One scope of the catalogue.",
        ["on"],
        {
            "description": _string("What it lets one do, for people."),
            "on": _list("The resource types it can be asked for.", _string("A resource type.", names.NAME)),
            "implies": _list("Scopes that come with it.", _scope("A declared scope.")),
        },
    )
    scopes = _map("Every scope by name, such as pipelines:run.", names.SCOPE, scope)
    return _file("scopes.yaml", "The catalogue of scopes.", ["scopes"], {"scopes": scopes})


def _roles() -> Schema:
    role = _object(
        "A named set of scopes.",
        [],
        {
            "description": _string("Whom it is for, for people."),
            "scopes": _list("The scopes it grants, with all that they imply.", _scope("A declared scope.")),
            "inherits": _list("Roles whose scopes it grants as well.", _string("A declared role.", names.NAME)),
        },
    )
    roles = _map("Every role by name.", names.NAME, role)
    return _file("roles.yaml", "Named sets of scopes.", ["roles"], {"roles": roles})


def _networks() -> Schema:
    cidr = _string("A CIDR without host bits, such as 203.0.113.0/24 or 2001:db8::/32, or the word any.")
    cidrs = _list(
        "The networks that bear this name.", {**cidr, "pattern": "^(?:any|[0-9a-fA-F:.]+(?:/[0-9]{1,3})?)$"}, 1
    )
    networks = _map('Networks by name, for request.ip.inNetwork("name").', names.NAME, cidrs)
    return _file("networks.yaml", "Named networks.", ["networks"], {"networks": networks})


def _context() -> Schema:
    description = "What request.context may hold. It is the caller's word."
    context = _attribute_map(description, from_allowed=False)
    return _file("context.yaml", description, ["context"], {"context": context})


_DEFAULTS: Final[dict[str, Schema]] = {
    "string": {"type": "string"},
    "int": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "double": {"type": "number"},
    "bool": {"type": "boolean"},
    "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$"},
}
_TYPE: Final = r"^ *(?:(?:string|int|double|bool|timestamp)|list *\( *(?:string|int|double|bool|timestamp) *\)) *$"


def _attribute_map(description: str, *, from_allowed: bool) -> Schema:
    kind = {**_string("string, int, double, bool, timestamp, or list(…) of one of them."), "pattern": _TYPE}
    fields: Schema = {
        "type": kind,
        "default": {"description": "The value where there is none; of the declared type. Makes has() needless."},
    }
    if from_allowed:
        fields["from"] = {
            "description": "store: only a registered resource has it; claims are ignored.",
            "const": "store",
        }
    full = {**_object("A type with a default or a source.", ["type"], fields), "allOf": _default_rules()}
    values = {"if": {"type": "object"}, "then": full, "else": kind}
    attributes = _map(description, names.ATTRIBUTE, values)
    attributes["propertyNames"] = {**attributes["propertyNames"], "not": {"enum": sorted(CEL_KEYWORDS)}}
    return attributes


def _default_rules() -> list[Schema]:
    rules = []
    for name, value in _DEFAULTS.items():
        for pattern, default in (
            (f"^ *{name} *$", value),
            (rf"^ *list *\( *{name} *\) *$", {"type": "array", "items": value}),
        ):
            of_type = {"properties": {"type": {"type": "string", "pattern": pattern}}, "required": ["type"]}
            rules.append({"if": of_type, "then": {"properties": {"default": default}}})
    return rules


def _resource() -> Schema:
    return _file(
        "resources/<type>.yaml",
        "Attributes and rules of one resource type. The file is called after the type.",
        ["resource"],
        {
            "resource": _string("The resource type; the file is called after it.", names.NAME),
            "unregistered": _effect("Whether resources that nobody registered are judged at all. Default: deny."),
            "attributes": _attribute_map("What conditions read as resource.attr.<name>.", from_allowed=True),
            "default": _effect("What holds when no rule applies. Default: deny."),
            "rules": _list("The rules; their order means nothing.", _rule()),
        },
    )


def _effect(description: str) -> Schema:
    return {"description": description, "enum": ["allow", "deny"]}


def _rule() -> Schema:
    resource_id = rf"^(?:\*|{names.RESOURCE_ID.pattern}\*?)$"
    rule = _object(
        "One rule. A satisfied deny rule wins over any number of allow rules.",
        ["name", "effect"],
        {
            "name": _string("Names the rule in decisions; unique in the file.", names.NAME),
            "effect": _effect("What it does when it applies and its condition is satisfied."),
            "scopes": _list("The scopes it applies to; left out: all.", _scope("A scope that is on this type."), 1),
            "resources": _list(
                "The ids it applies to; left out: all.",
                {**_string("An id; one * may stand at its end."), "pattern": resource_id},
                1,
            ),
            "when": _condition("Left out: always satisfied."),
            "reason": _own_reason(),
            "message": _message(),
        },
    )
    is_allow = {"properties": {"effect": {"const": "allow"}}, "required": ["effect"]}
    return {**rule, "if": is_allow, "then": {"properties": {"reason": False, "message": False}}}
