"""`/openapi.json`: what FastAPI knows of the routes, with the request bodies, parameters and security that it does not.

Handlers read bodies themselves, strictly; so their schemas are put in here, from the models that validate them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from policy_service.api.bodies import BatchBody, DecideBody
from policy_service.api.challenges import SERVICE_REALM
from policy_service.api.examples import add_examples
from policy_service.api.problems import PROBLEM_JSON, problem
from policy_service.api.shapes import Problem
from policy_service.api.v1_routes import ENDPOINTS
from policy_service.model.facts import ENTITIES
from policy_service.model.names import ID, NAME, RESOURCE_ID

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{model}"

_PATH: Final[dict[str, Json]] = {
    "id": {"type": "string", "pattern": f"^{ID.pattern}$"},
    "user": {"type": "string", "pattern": f"^{ID.pattern}$"},
    "type": {"type": "string", "pattern": f"^{NAME.pattern}$", "maxLength": 128},
    "revision": {"type": "integer", "minimum": 1},
    "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
}
_RESOURCE_ID_SCHEMA: Final[Json] = {"type": "string", "pattern": f"^{RESOURCE_ID.pattern}$"}

_QUERY: Final[dict[str, Json]] = {
    "workspace": {
        "schema": {"type": "string", "pattern": f"^{ID.pattern}$"},
        "description": "The workspace it is about; for keys of `system`. Others may name their own.",
    },
    "limit": {"schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
    "cursor": {"schema": {"type": "string"}, "description": "`next_cursor` of the page before."},
    "team": {"schema": {"type": "string", "pattern": f"^{ID.pattern}$"}},
    "user": {"schema": {"type": "string", "pattern": f"^{ID.pattern}$"}},
    "principal": {"schema": {"type": "string", "pattern": "^(user|service):.+$"}, "description": "`kind:id`."},
    "explain": {"schema": {"type": "boolean", "default": False}, "description": "Adds `checks`."},
    "actor": {"schema": {"type": "string"}, "description": "`key:<id>` or `local:<uid>`."},
    "action": {"schema": {"type": "string"}, "description": "What was done.", "example": "api_key.revoke"},
    "entity": {"schema": {"type": "string", "enum": list(ENTITIES)}, "description": "On what kind of fact."},
    "subject": {"schema": {"type": "string"}, "description": "On which: `mira`, or `demo/mira` with its workspace."},
    "since": {"schema": {"type": "string", "format": "date-time"}, "description": "Not before this instant."},
    "until": {"schema": {"type": "string", "format": "date-time"}, "description": "Before this instant."},
    "after": {"schema": {"type": "integer", "minimum": 0}, "description": "Only later revisions."},
    "key": {"schema": {"type": "string"}, "description": "Public id of the key that was shown."},
    "scope": {"schema": {"type": "string"}, "description": "Asked for.", "example": "pipelines:run"},
    "resource": {"schema": {"type": "string"}, "description": "Asked for: `type:id`, or a type alone."},
    "decision": {"schema": {"type": "string", "enum": ["allow", "deny"]}},
    "reason": {"schema": {"type": "string"}, "description": "The stable code.", "example": "insufficient_scope"},
    "rule": {"schema": {"type": "string"}, "description": "The rule or condition that denied, by name."},
    "caller": {"schema": {"type": "string"}, "description": "Who asked: `key:<id>`, or the id of its key."},
    "order": {"schema": {"type": "string", "enum": ["oldest", "newest"], "default": "oldest"}},
    "force": {
        "schema": {"type": "boolean", "default": False},
        "description": "Even if it ends the caller's own access (409 `would_lock_out` otherwise).",
    },
}

_NAMES: Final[Json] = {
    "X-Request-Id": {
        "description": "The caller's, where it was sane; else made here.",
        "schema": {"type": "string"},
        "example": "9f8b2c1e5d7a4f60b3c2d1e0f9a8b7c6",
    },
    "traceparent": {
        "description": "W3C trace context: the caller's trace or a new one, and this service's span in it.",
        "schema": {"type": "string"},
        "example": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    },
}
_ETAG: Final = '"9f2c6f3f0b1d4a5e8c7b6a5948372615"'
_CONDITIONS: Final = {
    "If-Match": "The tag that the change is based on, or `*`: the fact must be there. Else 412; nothing is changed.",
    "If-None-Match": "Tags that are not wanted again: 304 to a reader, 412 to a writer. `*` with PUT: only make, never "
    "replace.",
}

_PROBLEMS: Final[dict[int, tuple[str, str]]] = {
    400: ("missing_field", "`$.scope` is missing"),
    401: ("missing_credentials", "no API key was presented"),
    403: ("insufficient_scope", "the API key does not have the required scope"),
    404: ("not_found", "there is no user `mira` here"),
    409: ("conflict", "workspace `demo` exists already"),
    412: ("precondition_failed", "it is not what `If-Match` names; read it again and repeat the change on that"),
    413: ("body_too_large", "the body is larger than 64 KiB; send less at once"),
    415: ("unsupported_media_type", "the body must be JSON; send `Content-Type: application/json`"),
    503: ("stale", "the facts of this worker are at revision 6, not yet at 7; try again in a second"),
}


def problem_responses(statuses: Iterable[int]) -> dict[int | str, Json]:
    """The problem answers of a route, each with an example."""
    return {status: _problem_response(status) for status in statuses}


def _problem_response(status: int) -> Json:
    code, detail = _PROBLEMS[status]
    example = problem(status, code, detail)
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    response: Json = {"description": f"`{code}` …", "content": {PROBLEM_JSON: {"schema": schema, "example": example}}}
    if status in (401, 403):
        told = {"description": f'`Bearer realm="{SERVICE_REALM}"…` (RFC 6750)', "schema": {"type": "string"}}
        response["headers"] = {"WWW-Authenticate": told}
    if status == 503:
        response["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return response


def request_body(model: type[BaseModel], required: bool = True) -> Json:
    """The `requestBody` of a route."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def parameters(path: str, query: Iterable[str]) -> list[Json]:
    """The parameters of a route: those in its path, and its query's."""
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": _RESOURCE_ID_SCHEMA if kind else _PATH[name]}
        for name, kind in re.findall(r"\{(\w+)(:path)?\}", path)
    ]
    return in_path + [{"name": name, "in": "query", "required": False, **_QUERY[name]} for name in query]


def conditional_parameters(method: str) -> list[Json]:
    """The headers of a route about one fact: to read it only if it changed, to write it only if it did not."""
    names = ("If-None-Match",) if method == "GET" else ("If-Match", "If-None-Match")
    header: Json = {"in": "header", "required": False, "schema": {"type": "string"}}
    return [{"name": name, **header, "description": _CONDITIONS[name]} for name in names]


def tagged_responses(method: str, statuses: Iterable[int]) -> dict[int | str, Json]:
    """What a route about one fact adds to its good answers: the tag, and 304 for a reader who has it already."""
    if method == "DELETE":
        return {}
    told = {"ETag": {"description": "Names the state of `data`.", "schema": {"type": "string"}, "example": _ETAG}}
    tagged: dict[int | str, Json] = {status: {"headers": told} for status in statuses}
    return tagged | ({304: {"description": "Not changed since.", "headers": told}} if method == "GET" else {})


def document(app: FastAPI, legacy_header: str | None) -> Json:
    """The whole OpenAPI document. Cost: some 20 ms; made once."""
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = made.setdefault("components", {})
    components.setdefault("schemas", {}).update(_body_schemas())
    components["securitySchemes"] = _security_schemes(legacy_header)
    components["headers"] = _NAMES
    add_examples(made)
    _add_names(made)
    return made


def _add_names(made: Json) -> None:
    """Every answer has the names of its request."""
    for methods in made["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                named = {name: {"$ref": f"#/components/headers/{name}"} for name in _NAMES}
                response["headers"] = {**response.get("headers", {}), **named}


def _body_schemas() -> Json:
    bodies = {endpoint.body for endpoint in ENDPOINTS if endpoint.body is not None}
    models: set[type[BaseModel]] = {*bodies, DecideBody, BatchBody, Problem}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schema = models_json_schema([(model, "validation") for model in ordered], ref_template=_REF)
    found: Json = schema["$defs"]
    return found


def _security_schemes(legacy_header: str | None) -> Json:
    schemes: Json = {"bearer": {"type": "http", "scheme": "bearer", "description": "Your own API key."}}
    if legacy_header is not None:
        schemes["legacy"] = {
            "type": "apiKey",
            "in": "header",
            "name": legacy_header,
            "description": "Deprecated: use Bearer.",
        }
    return schemes


def security(legacy_header: str | None) -> list[Json]:
    """What a route that needs a key asks for."""
    return [{"bearer": []}, {"legacy": []}] if legacy_header is not None else [{"bearer": []}]
