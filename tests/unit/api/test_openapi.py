"""`/openapi.json` and `/docs` say what is true, and all of it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import policy_service
from policy_service.api.codes import CODES
from policy_service.api.docs_page import docs_page
from policy_service.api.examples import example_of
from policy_service.model.reasons import REASONS
from tests.unit.api.desk import PROBLEM, Desk, question

Json = dict[str, Any]


@pytest.fixture
def document(operator: Desk) -> Json:
    """What anybody gets."""
    found: Json = operator.call("GET", "/openapi.json", key=None).json()
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Path, method and operation of every route."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_reference_leads_somewhere(document: Json) -> None:
    """No schema is named that is not there."""
    text = json.dumps(document)
    names = {part.split('"', 1)[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document["components"]["schemas"])


def test_every_route_says_what_it_takes_and_answers(document: Json) -> None:
    """Summary, unique name, path parameters, request schema, answers and problems."""
    seen = set()
    for path, method, operation in operations(document):
        assert operation["summary"].endswith("."), path
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        named = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
        assert named == {part.strip("{}") for part in path.split("/") if part.startswith("{")}, path
        if method in ("post", "put"):
            assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        assert any(status.startswith("2") for status in operation["responses"])


def test_every_guarded_route_documents_its_problems_with_examples(document: Json) -> None:
    """As problem documents; those that take a body, the size as well."""
    for path, method, operation in operations(document):
        if "security" not in operation:
            assert path in ("/healthz", "/readyz", "/metrics")
            continue
        responses = operation["responses"]
        expected = {"400", "401", "403", "503"} | ({"413", "415"} if method in ("post", "put") else set())
        assert expected <= set(responses), path
        assert "422" not in responses
        for status, answer in responses.items():
            if status.startswith(("4", "5")):
                assert answer["content"][PROBLEM]["example"]["status"] == int(status)


def test_every_answer_has_an_example_that_is_as_documented(document: Json) -> None:
    """Good ones and bad ones; whoever writes a client sees what comes, and sees the truth."""
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            assert {"X-Request-Id", "traceparent"} <= set(response["headers"]), path
            if status == "304":
                assert "content" not in response
                continue
            assert response["content"], (path, method, status)
            for media, content in response["content"].items():
                assert content["example"] is not None, (path, method, status)
                validator(document, path, method, int(status), media).validate(content["example"])


def test_examples_are_to_be_read_by_people(document: Json) -> None:
    """Few members are merely `…`."""
    assert json.dumps(document["paths"], ensure_ascii=False).count('"…"') < 10


def test_a_schema_of_any_form_has_an_example() -> None:
    """References, choices, constants, numbers, free objects, what may be null, and what says nothing of itself."""
    schemas = {"Named": {"type": "object", "properties": {"id": {"type": "string"}, "x": {}}, "required": ["id", "x"]}}
    cases: list[tuple[Json, Any]] = [
        ({"$ref": "#/components/schemas/Named"}, {"id": "mira", "x": None}),
        ({"oneOf": [{"type": "null"}, {"const": 7}]}, 7),
        ({"enum": ["a", "b"]}, "a"),
        ({"examples": ["x"]}, "x"),
        ({"type": "number"}, 1),
        ({"type": "boolean"}, False),
        ({"type": "object"}, {}),
        ({"type": "array", "items": {"type": "string"}}, ["…"]),
        ({}, None),
    ]
    for schema, expected in cases:
        assert example_of(schema, schemas) == expected
    null = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert example_of(null, schemas, "next_cursor") is None
    assert example_of(null, schemas, "reason") == "insufficient_scope"


def test_the_older_header_is_named_where_it_is_accepted(document: Json) -> None:
    """As a second way to show a key."""
    assert document["components"]["securitySchemes"]["legacy"]["name"] == "X-Planasonix-Api-Key"


def validator(document: Json, path: str, method: str, status: int, media: str = "application/json") -> Any:
    """Judges an answer by its documented schema."""
    schema = document["paths"][path][method]["responses"][str(status)]["content"][media]["schema"]
    return jsonschema_rs.validator_for({**schema, "components": document["components"]})


def test_answers_are_as_documented(operator: Desk, document: Json) -> None:
    """Each member, with nothing beside it."""
    key = operator.house.key().text
    body = {"requests": [question(key=key, id="a"), {}]}
    created = {"principal": {"kind": "service", "id": "ci"}, "scopes": ["pipelines:run"]}
    calls: list[tuple[str, str, str, Any]] = [
        ("post", "/decide", "/decide", question(key=key)),
        ("post", "/decide", "/decide?explain=true", question(key=key)),
        ("post", "/decide", "/decide", {}),
        ("post", "/decide/batch", "/decide/batch", body),
        ("put", "/v1/users/{id}", "/v1/users/mira?workspace=acme", {}),
        ("get", "/v1/users/{id}", "/v1/users/mira?workspace=acme", None),
        ("get", "/v1/users/{id}", "/v1/users/nobody?workspace=acme", None),
        ("get", "/v1/users", "/v1/users?workspace=acme", None),
        ("delete", "/v1/users/{id}", "/v1/users/mira?workspace=acme", None),
        ("put", "/v1/resources/{type}/{id}", "/v1/resources/pipeline/a/b?workspace=acme", {"attributes": {"x": 1}}),
        ("post", "/v1/keys", "/v1/keys?workspace=acme", created),
        ("get", "/v1/keys", "/v1/keys?workspace=acme", None),
        ("get", "/v1/ip-allowlist", "/v1/ip-allowlist?workspace=acme", None),
        ("get", "/v1/changes", "/v1/changes", None),
        ("get", "/v1/workspaces", "/v1/workspaces", None),
        ("get", "/v1/bundles/{digest}", f"/v1/bundles/{operator.house.bundles.active()}", None),
        ("get", "/readyz", "/readyz", None),
        ("get", "/healthz", "/healthz", None),
    ]
    for method, path, target, body in calls:
        answer = operator.call(method.upper(), target, body)
        media = answer.headers["content-type"]
        validator(document, path, method, answer.status_code, media).validate(answer.json())


def test_the_page_is_whole_and_loads_nothing(operator: Desk, document: Json) -> None:
    """It works without a network, runs no script, and has an anchor for every code."""
    answer = operator.call("GET", "/docs", key=None)
    assert answer.headers["content-type"].startswith("text/html")
    page = answer.text
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    for code in (*CODES, *(reason for reason in REASONS if reason not in ("allowed", "policy_error"))):
        assert f'id="{code}"' in page
    for path, _, operation in operations(document):
        assert f"<code>{path}</code>" in page
        assert f'id="{operation["operationId"]}"' in page
    assert 'id="legacy-header"' in page
    assert 'id="legacy-header"' not in docs_page(document, None)


COMMANDS_ONLY = {
    "start_failed", "invalid_database_url", "migration_missing", "migration_behind", "migration_ahead", "store_unfit",
    "invalid_line", "line_too_long", "invalid_verifier", "unknown_pepper",
    "ledger_unsealed", "ledger_shard_taken", "ledger_shard_unknown", "facts_missing", "damaged_pack",
    "snapshot_unfit", "snapshot_unwritable",
}  # fmt: skip
"""Codes of opening or moving a store, of importing keys, of keeping and replaying a ledger, of making a snapshot file:
a running server never answers with them."""


def raised_codes() -> Iterator[tuple[str, str]]:
    """The literal code of every RequestError and StoreError that the package makes, and where."""
    root = Path(policy_service.__file__).parent
    for file in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                first = node.args[0]
                if node.func.id in ("RequestError", "StoreError") and isinstance(first, ast.Constant):
                    yield first.value, f"{file.relative_to(root)}:{node.lineno}"


def test_every_code_is_documented() -> None:
    """A new error cannot be made without telling callers what it means."""
    unknown = {code: place for code, place in raised_codes() if code not in {*CODES, *REASONS, *COMMANDS_ONLY}}
    assert not unknown
