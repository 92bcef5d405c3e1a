"""Examples for `/openapi.json`: one for every answer, made from its schema and the words below.

Made, not written route by route, so that no route can lack one and none can be out of date: tests hold each to its
schema. A member is filled by its own schema's example where there is one, else by the words of its shape, else by its
name's.
"""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

_DIGEST: Final = "sha256:" + "3f7a" * 16
_HASH: Final = "c41d" * 16
_KEY_ID: Final = "7Jq2wK0cXv5T"

_BY_NAME: Final[Json] = {
    "actor": f"key:{_KEY_ID}",
    "attributes": {"env": "prod"},
    "bundle": _DIGEST,
    "content_sha256": _HASH,
    "count": 3,
    "created_at": "2026-11-24T06:03:19Z",
    "decided_at": "2026-11-24T06:03:19.123456789Z",
    "decision_id": "1sN2Yk0bT4mQ8wZr5vLc3x",
    "detail": "`$.scope` is missing",
    "digest": _DIGEST,
    "enabled": True,
    "expires_at": "2027-06-01T00:00:00Z",
    "files": {"chain.yaml": "chain:\n  - check: credential\n"},
    "hash": _HASH,
    "id": "mira",
    "key": f"psx_{_KEY_ID}{'x' * 22}Zz09Aa",
    "key_id": _KEY_ID,
    "labels": {"owner": "data"},
    "last_used_at": "2026-11-24T06:03:19Z",
    "message": "The API key does not have the required scope.",
    "name": "Mira",
    "previous_hash": "5b90" * 16,
    "published_at": "2026-11-24T06:03:19Z",
    "reason": "insufficient_scope",
    "revision": 42,
    "role": "operator",
    "scopes": ["pipelines:run"],
    "suspended": False,
    "team": "data",
    "user": "mira",
    "workspace": "demo",
}
_ABSENT: Final = frozenset(
    {"error", "errors", "next_cursor", "not_before", "parent", "revoke_reason", "revoked_at", "rule", "sealed_sha256"}
)
"""Members that may be null, and in an example are."""

_BY_SHAPE: Final[dict[str, Json]] = {
    "AllowlistEntryShape": {"cidr": "203.0.113.0/24", "label": "office"},
    "ChangeShape": {
        "at": "2026-11-24T06:03:19.123456789Z",
        "action": "user.put",
        "subject": "demo/mira",
        "note": "",
        "effects": [
            {
                "entity": "user",
                "key": ["demo", "mira"],
                "before": {"workspace": "demo", "id": "mira", "name": "Mira", "suspended": False},
                "after": {"workspace": "demo", "id": "mira", "name": "Mira", "suspended": True},
            }
        ],
    },
    "CheckShape": {"check": "scope", "name": "scope", "outcome": "failed", "detail": "the key's scopes do not hold it"},
    "DecisionShape": {
        "decision": "deny",
        "reason": "insufficient_scope",
        "http_status": 403,
        "www_authenticate": 'Bearer realm="demo", error="insufficient_scope", scope="pipelines:run"',
        "check": "scope",
        "principal": {"kind": "service", "id": "ci"},
    },
    "FlipShape": {"who": "administrator", "steps": ["issue a key with the scope pipelines:run"]},
    "KeyShape": {"id": _KEY_ID, "cidrs": ["203.0.113.0/24"]},
    "RevokedKeyShape": {"id": _KEY_ID, "status": "revoked", "cidrs": ["203.0.113.0/24"]},
    "NewKeyShape": {"id": _KEY_ID, "cidrs": ["203.0.113.0/24"]},
    "Principal": {"kind": "service", "id": "ci"},
    "ResourceIdentity": {"type": "pipeline", "id": "etl-42"},
    "ResourceShape": {"type": "pipeline", "id": "etl-42", "owner": "mira"},
    "RoleBindingShape": {"id": "2bR7cW9dKf4H", "user": None},
    "ServicePrincipalShape": {"id": "ci", "name": "Continuous integration"},
    "TeamShape": {"id": "data", "name": "Data engineering"},
    "WorkspaceShape": {"id": "demo", "name": "Demo"},
}


def add_examples(document: Json) -> None:
    """Give every JSON answer of an OpenAPI document an example, where it has none."""
    schemas = document["components"]["schemas"]
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                for content in response.get("content", {}).values():
                    if "example" not in content and "schema" in content:
                        content["example"] = example_of(content["schema"], schemas)


def example_of(schema: Json, schemas: Json, name: str = "", shape: str = "") -> Any:
    """A value that fits a schema.

    Args:
        schemas: what references lead to.
        name, shape: of the member it is for.
    """
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        return example_of(schemas[target], schemas, name, target)
    for told in (
        schema.get("example"),
        *schema.get("examples", ())[:1],
        schema.get("const"),
        *schema.get("enum", ())[:1],
    ):
        if told is not None:
            return told
    options = schema.get("anyOf") or schema.get("oneOf")
    if options is not None:
        return _of_options(options, schemas, name)
    return _of_type(schema, schemas, name, shape)


def _of_options(options: list[Json], schemas: Json, name: str) -> Any:
    may_be_null = any(option.get("type") == "null" for option in options)
    if may_be_null and name in _ABSENT:
        return None
    return example_of(next(option for option in options if option.get("type") != "null"), schemas, name)


def _of_type(schema: Json, schemas: Json, name: str, shape: str) -> Any:
    kind = schema.get("type")
    known = _BY_NAME.get(name)
    if kind == "object" and "properties" in schema:
        return _of_members(schema, schemas, shape)
    if kind == "object":
        return known if isinstance(known, dict) else {}
    if kind == "array":
        return known if isinstance(known, list) else [example_of(schema.get("items", {}), schemas, name)]
    if kind == "string":
        return known if isinstance(known, str) else "…"
    if kind == "boolean":
        return known if isinstance(known, bool) else False
    if kind in ("integer", "number"):
        return known if isinstance(known, int) else 1
    return None


def _of_members(schema: Json, schemas: Json, shape: str) -> Json:
    """All required members; of the others, those that its words name."""
    words = _BY_SHAPE.get(shape, {})
    required = set(schema.get("required", ()))
    return {
        name: words[name] if name in words else example_of(member, schemas, name)
        for name, member in schema["properties"].items()
        if name in required or name in words
    }
