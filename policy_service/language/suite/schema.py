"""The JSON Schema of test files. tests/facts.yaml is one without `tests`."""

from __future__ import annotations

from typing import Final

from policy_service.language.policy import Effect
from policy_service.language.schema_parts import Schema, file_schema, list_of, map_of, object_of, string
from policy_service.language.suite.cases import AXES, CREDENTIALS, MAX_NAME, WHO
from policy_service.language.suite.facts import KEY_INSTANTS
from policy_service.model import names

_INSTANT: Final[Schema] = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$",
}
_FLAG: Final[Schema] = {"type": "boolean"}
_RESOURCE: Final = rf"^{names.NAME.pattern}:{names.RESOURCE_ID.pattern}$"
_EFFECTS: Final[tuple[Effect, ...]] = ("allow", "deny")
_ABOUT: Final = {
    "keys": "Keys by name, as declared in the facts.",
    "principals": "Users and services by name: each asks with a key that has every scope.",
    "credentials": "What came of checking the presented credential, where no key was verified.",
    "scopes": "Declared scopes.",
    "resources": "Registered resources (`type:id`) and claims, as declared in the facts.",
    "addresses": "Source addresses; `none` for a request without one. Left out: none.",
}


def suite_schema() -> Schema:
    """Of every file in `tests/`."""
    return file_schema(
        "tests/*.yaml",
        "Tests of the rule files: named facts, and cases with the decision each must come to.",
        [],
        {"now": _now(), "facts": _facts(), "tests": list_of("The tests.", _test())},
    )


def _now() -> Schema:
    return {**_INSTANT, "description": "The instant that is decided for, in quotes. The innermost one counts."}


def _some(description: str, item: Schema) -> Schema:
    """A list, or its only item."""
    return {
        "description": description,
        "if": {"type": "array"},
        "then": {"type": "array", "items": item, "minItems": 1},
        "else": item,
    }


def _name(description: str) -> Schema:
    return string(description, names.ID)


def _axis(axis: str) -> Schema:
    item: Schema = {"enum": list(CREDENTIALS)} if axis == "credentials" else string(_ABOUT[axis])
    return _some(_ABOUT[axis], item)


def _axes() -> Schema:
    return {axis: _axis(axis) for axis in (*WHO, *AXES)}


def _test() -> Schema:
    fields = {
        "name": {**string("A sentence that says what holds."), "maxLength": 2 * MAX_NAME},
        "now": _now(),
        "facts": _facts(),
        **_axes(),
        "context": _json_map("What the caller tells in request.context."),
        "allowlist": _name("The allowlist that is on; left out: none is."),
        "expect": list_of("What the combinations come to. What no entry is about must be denied.", _expectation()),
    }
    one_of = {"oneOf": [{"required": [field]} for field in WHO]}
    return {**object_of("One test.", ["name", "scopes", "resources", "expect"], fields), **one_of}


def _expectation() -> Schema:
    fields = {
        "decision": {"description": "What the selected combinations come to.", "enum": list(_EFFECTS)},
        "reason": string("The reason of the deny; left out: any.", names.REASON),
        "rule": string("The deny rule or condition that denies; left out: any.", names.NAME),
        **_axes(),
    }
    about = "Which combinations it is about: a list that is left out means all of the test's."
    return object_of(about, ["decision"], fields)


def _facts() -> Schema:
    sections = {
        "users": _section("Users.", _user()),
        "services": _section("Service principals.", object_of("A service.", [], {"workspace": _workspace()})),
        "teams": _section("Teams.", _team()),
        "resources": {
            **_section("Registered resources, by `type:id`.", _resource()),
            "propertyNames": _resource_name(),
        },
        "keys": _section("API keys; the name is the id.", _key()),
        "claims": _section("Resources as a caller tells of them.", _claim()),
        "allowlists": _section("Lists of CIDRs; a test names the one that is on.", _cidrs()),
    }
    return object_of("Facts by name. Those of a test count over its file's, and these over facts.yaml's.", [], sections)


def _section(description: str, values: Schema) -> Schema:
    return map_of(description, names.ID, values)


def _resource_name() -> Schema:
    return {"type": "string", "pattern": _RESOURCE}


def _workspace() -> Schema:
    return _name("Left out: demo.")


def _roles() -> Schema:
    on = {
        "description": "Roles over one resource, by `type:id`.",
        "type": "object",
        "propertyNames": _resource_name(),
        "additionalProperties": _some_or_none("Roles.", string("A role.", names.NAME)),
    }
    return {"roles": _some_or_none("Roles over the workspace.", string("A role.", names.NAME)), "roles_on": on}


def _some_or_none(description: str, item: Schema) -> Schema:
    return {"description": description, "if": {"type": "array"}, "then": {"items": item}, "else": item}


def _user() -> Schema:
    suspended = {**_FLAG, "description": "Whether every key of theirs is refused."}
    return object_of("A user.", [], {"suspended": suspended, **_roles(), "workspace": _workspace()})


def _team() -> Schema:
    fields = {
        "parent": _name("The team whose bindings its members have as well."),
        "members": _some_or_none("Users.", _name("A user.")),
        **_roles(),
        "workspace": _workspace(),
    }
    return object_of("A team.", [], fields)


def _resource() -> Schema:
    fields = {"owner": _name("A principal."), "attributes": _json_map("Values."), "workspace": _workspace()}
    return object_of("A registered resource.", [], fields)


def _key() -> Schema:
    fields: Schema = {
        "user": _name("The user it acts as."),
        "service": _name("The service it acts as."),
        "scopes": _some_or_none("The scopes it was issued with.", string("A declared scope.", names.SCOPE)),
        "cidrs": _cidrs(),
        "labels": {"description": "Texts by name.", "type": "object", "additionalProperties": {"type": "string"}},
        **dict.fromkeys(KEY_INSTANTS, _INSTANT),
    }
    one_of = {"oneOf": [{"required": ["user"]}, {"required": ["service"]}]}
    return {**object_of("A key. Without `created_at` it was issued in 1970.", ["scopes"], fields), **one_of}


def _claim() -> Schema:
    fields = {
        "resource": {**_resource_name(), "description": "What it is about."},
        "workspace": _name("Left out: the caller does not say."),
        "owner": _name("A principal."),
        "attributes": _json_map("Values."),
    }
    return object_of("What a caller tells of a resource.", ["resource"], fields)


def _cidrs() -> Schema:
    return _some_or_none("CIDRs without host bits, or `any`.", {"type": "string"})


def _json_map(description: str) -> Schema:
    return {
        "description": description,
        "type": "object",
        "propertyNames": {"pattern": f"^(?:{names.ATTRIBUTE.pattern})$"},
    }
