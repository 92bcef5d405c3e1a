"""Everything a stranger can send gets a 4xx problem with a stable code, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.api.desk import ADMIN_SCOPES, Desk, problem_code, question
from tests.unit.service.house import House

MEGABYTE = 1024 * 1024

BODIES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "invalid_json"),
    "not json": (b"key=1", 400, "invalid_json"),
    "half": (b'{"scope":', 400, "invalid_json"),
    "oversized": (b" " * (64 * 1024 + 1), 413, "body_too_large"),
    "key of 1 MB": (b'{"key":"' + b"k" * MEGABYTE + b'"}', 413, "body_too_large"),
    "list": (b"[]", 400, "wrong_type"),
    "text": (b'"x"', 400, "wrong_type"),
    "null": (b"null", 400, "wrong_type"),
    "duplicate members": (b'{"name":"a","name":"b"}', 400, "duplicate_member"),
    "invalid UTF-8": (b'{"name":"\xff"}', 400, "invalid_encoding"),
    "UTF-16": ('{"name":"a"}'.encode("utf-16"), 400, "invalid_encoding"),
    "byte order mark": (b"\xef\xbb\xbf{}", 400, "invalid_json"),
    "deep nesting": (b"[" * 30_000, 400, "too_deep"),
    "deep objects": (b'{"a":' * 40 + b"1" + b"}" * 40, 400, "too_deep"),
    "huge integer": (b'{"name":' + b"9" * 10_000 + b"}", 400, "number_out_of_range"),
    "huge double": (b'{"name":1e400}', 400, "number_out_of_range"),
    "NaN": (b'{"name":NaN}', 400, "number_out_of_range"),
    "Infinity": (b'{"name":Infinity}', 400, "number_out_of_range"),
    "lone surrogate": (b'{"name":"\\ud83d"}', 400, "lone_surrogate"),
    "unknown field": (b'{"\xc3\xbcnbekannt":1}', 400, "unknown_field"),
    "NUL": (b'{"name":"\\u0000"}', 400, "control_character"),
    "raw NUL": (b'{"name":"\x00"}', 400, "invalid_json"),
    "escape": (b'{"name":"\\u001b[31m"}', 400, "control_character"),
    "C1": (b'{"name":"\xc2\x85"}', 400, "control_character"),
}

ROUTES = (
    ("POST", "/decide"),
    ("POST", "/v1/keys"),
    ("POST", "/v1/role-bindings"),
    ("POST", "/v1/workspaces"),
    ("PUT", "/v1/users/mira"),
    ("PUT", "/v1/service-principals/bot"),
    ("PUT", "/v1/teams/data"),
    ("PUT", "/v1/resources/pipeline/etl"),
    ("PUT", "/v1/ip-allowlist"),
)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """One client for all: nothing here changes anything."""
    house = House().furnish()
    with Desk(house, key=house.key("system", principal="ops", scopes=ADMIN_SCOPES).text) as desk:
        yield desk


@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[path for _, path in ROUTES])
@pytest.mark.parametrize(("body", "status", "code"), BODIES.values(), ids=BODIES)
def test_a_bad_body_is_a_problem_and_changes_nothing(
    desk: Desk, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    """The same code on every route, whatever else the body lacks."""
    before = (desk.head(), len(desk.house.sink.decided))
    answer = desk.call(method, path, content=body)
    document = answer.json()
    codes = {problem_code(answer, status), *(error["code"] for error in document.get("errors", []))}
    assert code in codes
    assert document["detail"].isprintable()
    assert (desk.head(), len(desk.house.sink.decided)) == before


WRONG: dict[str, dict[str, Any]] = {
    "scope": {"scope": ["pipelines:run"]},
    "scope null": {"scope": None},
    "resource": {"resource": 1},
    "resource null": {"resource": None},
    "resource text": {"resource": "pipeline"},
    "resource id": {"resource": {"type": "pipeline", "id": "-"}},
    "resource id long": {"resource": {"type": "pipeline", "id": "x" * 129}},
    "resource type": {"resource": {"type": "Pipeline", "id": "x"}},
    "attributes": {"resource": {"type": "pipeline", "id": "x", "attributes": "env=prod"}},
    "owner": {"resource": {"type": "pipeline", "id": "x", "owner": 1}},
    "workspace": {"resource": {"type": "pipeline", "id": "x", "workspace": 1}},
    "key": {"key": 1},
    "source_ip": {"source_ip": 3_405_803_783},
    "context": {"context": "x"},
    "min_revision": {"min_revision": "7"},
    "min_revision negative": {"min_revision": -1},
    "unknown": {"subject": {}},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_question_of_a_wrong_form_is_a_problem(desk: Desk, change: dict[str, Any]) -> None:
    """With the place of the mistake, and no decision."""
    before = len(desk.house.sink.decided)
    answer = desk.call("POST", "/decide", question(**change))
    assert problem_code(answer, 400) in {"wrong_type", "invalid_value", "unknown_field"}
    assert answer.json()["errors"][0]["path"].startswith(f"$.{next(iter(change))}")
    assert len(desk.house.sink.decided) == before


PATHS = {
    "NUL": "/v1/users/a%00b",
    "newline": "/v1/users/a%0A",
    "no UTF-8": "/v1/users/%FF",
    "dot first": "/v1/users/.a",
    "long": "/v1/users/" + "x" * 129,
    "very long": "/v1/users/" + "x" * 9000,
    "emoji": "/v1/users/%F0%9F%92%A9",
    "type": "/v1/resources/Pipe%20line/x",
    "resource": "/v1/resources/pipeline/-x",
    "empty resource": "/v1/resources/pipeline/",
    "key": "/v1/keys/short",
    "binding": "/v1/role-bindings/%2e%2e",
    "workspace": "/v1/users/a?workspace=%00",
    "bad escape": "/v1/users/%zz",
}


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_bad_name_in_the_path_is_a_problem(desk: Desk, method: str, path: str) -> None:
    """400, or 404, or 405 where the path takes no such method; never a 500, and nothing changes."""
    before = desk.head()
    answer = desk.call(method, path, {} if method == "PUT" else None)
    assert answer.status_code in (400, 404, 405)
    assert problem_code(answer, answer.status_code)
    assert answer.json()["detail"].isprintable()
    assert desk.head() == before


@pytest.mark.parametrize(
    "header", [b"Bearer \xff\xfe", b"Bearer " + b"k" * 9000, b"Bearer a\tb", b"\xff", b"Bearer \xc3\xa9"]
)
def test_a_bad_authorization_header_is_401(desk: Desk, header: bytes) -> None:
    """Whatever its bytes are."""
    answer = desk.call("GET", "/v1/users", key=None, headers=[(b"authorization", header)])
    assert problem_code(answer, 401) in {"malformed_key", "missing_credentials"}


def test_other_bodies_than_json_are_415(desk: Desk) -> None:
    """By what they say of themselves."""
    for name, value in (("Content-Type", "text/xml"), ("Content-Encoding", "gzip")):
        answer = desk.call("POST", "/decide", question(), headers=[(name, value)])
        assert problem_code(answer, 415) == "unsupported_media_type"


def test_curl_without_a_content_type_is_understood(desk: Desk) -> None:
    """`curl -d` says that it sends a form; it is read as the JSON that it is."""
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    assert desk.call("POST", "/decide", question(), headers=form).status_code == 200
    assert problem_code(desk.call("POST", "/decide", content=b"scope=a", headers=form), 400) == "invalid_json"


def test_attributes_are_bounded_where_they_are_stored(desk: Desk) -> None:
    """Depth and size, before the database sees them."""
    deep: Any = 1
    for _ in range(20):
        deep = [deep]
    for attributes in ({"x": deep}, {"x": "y" * 20_000}):
        body = json.dumps({"attributes": attributes}).encode()
        answer = desk.call("PUT", "/v1/resources/pipeline/etl?workspace=acme", content=body)
        assert problem_code(answer, 400) == "invalid_attributes"
