"""Every route as the OpenAPI document tells it, with a body that fits. A route that cannot be attacked fails a test."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from policy_service.api.v1_routes import ENDPOINTS
from tests.security.house import NEVER, VICTIM_ID, House

OPEN = {"/healthz", "/readyz", "/metrics"}
DECIDING = {
    "/decide": "decisions:evaluate",
    "/decide/batch": "decisions:evaluate",
    "/v1/explain": "decisions:explain",
}
"""Routes with a scope that stand in no table."""
DIGEST = "sha256:" + "0" * 64
PARAMETERS: dict[str, dict[str, str]] = {
    "id": {"demo": "ada", "never": NEVER},
    "user": {"demo": "ada", "never": NEVER, "rival": VICTIM_ID},
    "type": {"demo": "pipeline", "never": "pipeline", "rival": "pipeline"},
    "digest": {"demo": DIGEST, "never": DIGEST, "rival": DIGEST},
    "revision": {"demo": "999999999", "never": "999999999"},
}
"""What is put for each path parameter."""
BODIES: dict[str, Any] = {
    "/decide": {"scope": "pipelines:run", "resource": "pipeline:x"},
    "/decide/batch": {"requests": [{"scope": "pipelines:run", "resource": "pipeline:x"}]},
    "/v1/explain": {"scope": "pipelines:run", "resource": "pipeline:x"},
    "/v1/role-bindings": {"role": "operator", "user": "ada"},
}
"""Where a body made from its schema alone would not fit."""


class Route(NamedTuple):
    """One operation of the document.

    Args:
        noun: the first segment behind `/v1/`; empty for others.
        scopes: of which the caller needs one.
        parameters: of its query.
        body: a fitting one; None where it takes none.
        members: what its body may have.
    """

    method: str
    path: str
    noun: str
    scopes: tuple[str, ...]
    parameters: frozenset[str]
    body: dict[str, Any] | None
    members: frozenset[str]

    @property
    def names_an_id(self) -> bool:
        """Whether its path names a fact."""
        return "{" in self.path

    def needed(self, workspace: str) -> dict[str, str]:
        """The query by which an operator names a workspace, where the route takes it."""
        return {"workspace": workspace} if "workspace" in self.parameters else {}

    def path_for(self, house: House, whose: str) -> str:
        """The path, with ids of the victim (`rival`), of nobody (`never`) or of `demo`."""

        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            is_theirs = whose == "rival" and name in ("id", "revision")
            return house.victims[self.noun] if is_theirs else PARAMETERS[name][whose]

        return re.sub(r"\{(\w+)\}", value, self.path)


def documented(house: House) -> list[Route]:
    """Every route that needs a key, from the document that the server gives."""
    document = house.call("GET", "/openapi.json", None).json()
    routes = [
        _route(document, method.upper(), path, operation)
        for path, operations in document["paths"].items()
        if path not in OPEN
        for method, operation in operations.items()
    ]
    assert len(routes) > 30
    return routes


def _route(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Route:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    resolved = None if schema is None else _resolved(document, schema)
    return Route(
        method=method,
        path=path,
        noun=path.split("/")[2] if path.startswith("/v1/") else "",
        scopes=_scopes(method, path),
        parameters=frozenset(item["name"] for item in operation.get("parameters", []) if item["in"] == "query"),
        body=None if resolved is None else BODIES.get(path) or sample(document, resolved),
        members=frozenset() if resolved is None else frozenset(resolved.get("properties", {})),
    )


def _scopes(method: str, path: str) -> tuple[str, ...]:
    if path in DECIDING:
        return (DECIDING[path],)
    rows = [row for row in ENDPOINTS if row.method == method and row.path.replace(":path", "") == path]
    assert len(rows) == 1, f"{method} {path} stands in the document and in no table: say here what it needs"
    scope = rows[0].scope
    return (scope,) if isinstance(scope, str) else tuple(scope)


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def sample(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """The smallest value that fits a schema, by its examples."""
    schema = _resolved(document, schema)
    told = [[schema[name]] for name in ("example", "default", "const") if name in schema]
    for values in (*told, schema.get("examples"), schema.get("enum")):
        if values:
            return values[0]
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return sample(document, schema[name][0])
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {name: sample(document, members[name]) for name in schema.get("required", [])}
        case "array":
            return [sample(document, schema["items"])]
        case "boolean":
            return False
        case "integer":
            return 1
    return "x"
