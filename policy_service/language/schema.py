"""JSON Schemas (2020-12) of every kind of rule file, for editors: they complete, explain and underline.

A schema says what one file can say of itself. What needs the other files (undeclared names, conditions) is the
loader's to find; every file that loads fits its schema.
"""

from __future__ import annotations

from typing import Final

from policy_service.language.attributes import CEL_KEYWORDS
from policy_service.language.invariants import invariants_schema
from policy_service.language.resources import MAX_MESSAGE
from policy_service.language.schema_parts import Schema, file_schema, list_of, map_of, object_of, string
from policy_service.language.suite.schema import suite_schema
from policy_service.model import names
from policy_service.model.reasons import CHECKS, FIXED_CHECKS, REASONS


def schemas() -> dict[str, Schema]:
    """File name → schema. The names are those that the shipped files refer to, in the folder `.schemas`."""
    return {
        "chain.schema.json": _chain(),
        "scopes.schema.json": _scopes(),
        "roles.schema.json": _roles(),
        "networks.schema.json": _networks(),
        "context.schema.json": _context(),
        "resource.schema.json": _resource(),
        "tests.schema.json": suite_schema(),
        "invariants.schema.json": invariants_schema(),
    }


def _own_reason() -> Schema:
    text = (
        "Your own reason code, such as production_locked; callers get it with status 403. Built-in codes are refused."
    )
    return {**string(text, names.REASON), "not": {"enum": sorted(REASONS)}}


def _message() -> Schema:
    return {**string("For people, beside the reason code."), "maxLength": MAX_MESSAGE}


def _condition(description: str) -> Schema:
    return {**string(f"{description} A CEL expression of type bool."), "minLength": 1}


def _scope(description: str) -> Schema:
    return string(description, names.SCOPE)


def _chain() -> Schema:
    builtin = object_of(
        "A built-in check. All seven are mandatory and take no options.", ["check"], {"check": {"enum": [*CHECKS]}}
    )
    condition = object_of(
        "A condition of your own: denies with `reason` unless `require` is satisfied.",
        ["check", "name", "require", "reason"],
        {
            "check": {"const": "condition"},
            "name": string("Names the condition in decisions; unique in the chain.", names.NAME),
            "resource": string("The resource type it applies to; needed to read `resource.attr`.", names.NAME),
            "when": _condition("Where it applies; left out: always. A fault denies with policy_error."),
            "require": _condition("What must be satisfied. A fault denies with policy_error."),
            "reason": _own_reason(),
            "message": _message(),
        },
    )
    checks = {
        **list_of("The checks that every request must pass, in order.", _by_check(builtin, condition), len(CHECKS)),
        # `items` judges what follows `prefixItems` only, so these carry the form of a built-in check themselves.
        "prefixItems": [{**builtin, "properties": {"check": {"const": name}}} for name in FIXED_CHECKS],
        "allOf": [_exactly_once(name) for name in CHECKS],
    }
    return file_schema("chain.yaml", "The ordered list of checks.", ["chain"], {"chain": checks})


def _by_check(builtin: Schema, condition: Schema) -> Schema:
    """Judged by `check` alone, so that an editor underlines the wrong field and not the whole entry."""
    is_condition = {"properties": {"check": {"const": "condition"}}, "required": ["check"]}
    return {"type": "object", "required": ["check"], "if": is_condition, "then": condition, "else": builtin}


def _exactly_once(name: str) -> Schema:
    contains = {"properties": {"check": {"const": name}}, "required": ["check"]}
    return {"contains": contains, "minContains": 1, "maxContains": 1}


def _scopes() -> Schema:
    scope = object_of(
        "One scope of the catalogue.",
        ["on"],
        {
            "description": string("What it lets one do, for people."),
            "on": list_of("The resource types it can be asked for.", string("A resource type.", names.NAME)),
            "implies": list_of("Scopes that come with it.", _scope("A declared scope.")),
        },
    )
    scopes = map_of("Every scope by name, such as pipelines:run.", names.SCOPE, scope)
    return file_schema("scopes.yaml", "The catalogue of scopes.", ["scopes"], {"scopes": scopes})


def _roles() -> Schema:
    role = object_of(
        "A named set of scopes.",
        [],
        {
            "description": string("Whom it is for, for people."),
            "scopes": list_of("The scopes it grants, with all that they imply.", _scope("A declared scope.")),
            "inherits": list_of("Roles whose scopes it grants as well.", string("A declared role.", names.NAME)),
        },
    )
    roles = map_of("Every role by name.", names.NAME, role)
    return file_schema("roles.yaml", "Named sets of scopes.", ["roles"], {"roles": roles})


def _networks() -> Schema:
    cidr = string("A CIDR without host bits, such as 203.0.113.0/24 or 2001:db8::/32, or the word any.")
    cidrs = list_of(
        "The networks that bear this name.", {**cidr, "pattern": "^(?:any|[0-9a-fA-F:.]+(?:/[0-9]{1,3})?)$"}, 1
    )
    networks = map_of('Networks by name, for request.ip.inNetwork("name").', names.NAME, cidrs)
    return file_schema("networks.yaml", "Named networks.", ["networks"], {"networks": networks})


def _context() -> Schema:
    description = "What request.context may hold. It is the caller's word."
    context = _attribute_map(description, from_allowed=False)
    return file_schema("context.yaml", description, ["context"], {"context": context})


_DEFAULTS: Final[dict[str, Schema]] = {
    "string": {"type": "string"},
    "int": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "double": {"type": "number"},
    "bool": {"type": "boolean"},
    "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$"},
}
_TYPE: Final = r"^ *(?:(?:string|int|double|bool|timestamp)|list *\( *(?:string|int|double|bool|timestamp) *\)) *$"


def _attribute_map(description: str, *, from_allowed: bool) -> Schema:
    kind = {**string("string, int, double, bool, timestamp, or list(…) of one of them."), "pattern": _TYPE}
    fields: Schema = {
        "type": kind,
        "default": {"description": "The value where there is none; of the declared type. Makes has() needless."},
    }
    if from_allowed:
        fields["from"] = {
            "description": "store: only a registered resource has it; claims are ignored.",
            "const": "store",
        }
    full = {**object_of("A type with a default or a source.", ["type"], fields), "allOf": _default_rules()}
    values = {"if": {"type": "object"}, "then": full, "else": kind}
    attributes = map_of(description, names.ATTRIBUTE, values)
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
    return file_schema(
        "resources/<type>.yaml",
        "Attributes and rules of one resource type. The file is called after the type.",
        ["resource"],
        {
            "resource": string("The resource type; the file is called after it.", names.NAME),
            "unregistered": _effect("Whether resources that nobody registered are judged at all. Default: deny."),
            "attributes": _attribute_map("What conditions read as resource.attr.<name>.", from_allowed=True),
            "default": _effect("What holds when no rule applies. Default: deny."),
            "rules": list_of("The rules; their order means nothing.", _rule()),
        },
    )


def _effect(description: str) -> Schema:
    return {"description": description, "enum": ["allow", "deny"]}


def _rule() -> Schema:
    resource_id = rf"^(?:\*|{names.RESOURCE_ID.pattern}\*?)$"
    rule = object_of(
        "One rule. A satisfied deny rule wins over any number of allow rules.",
        ["name", "effect"],
        {
            "name": string("Names the rule in decisions; unique in the file.", names.NAME),
            "effect": _effect("What it does when it applies and its condition is satisfied."),
            "scopes": list_of("The scopes it applies to; left out: all.", _scope("A scope that is on this type."), 1),
            "resources": list_of(
                "The ids it applies to; left out: all.",
                {**string("An id; one * may stand at its end."), "pattern": resource_id},
                1,
            ),
            "when": _condition("Left out: always satisfied."),
            "reason": _own_reason(),
            "message": _message(),
        },
    )
    is_allow = {"properties": {"effect": {"const": "allow"}}, "required": ["effect"]}
    return {**rule, "if": is_allow, "then": {"properties": {"reason": False, "message": False}}}
