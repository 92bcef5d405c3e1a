"""Lines that are no records: each refused by a stable code, none by an exception."""

from __future__ import annotations

import json

import pytest

from policy_service.ledger.codec import BadLine, decode_record, encode_record, is_canonical
from policy_service.ledger.record import RecordedResource
from tests.unit.ledger.records import a_record, a_request

LINE = encode_record(a_record())


def bad(line: bytes) -> BadLine:
    found = decode_record(line)
    assert isinstance(found, BadLine), found
    assert "\n" not in found.message
    assert len(found.message) < 300
    return found


def test_absent_members_are_left_out_and_the_rest_is_sorted() -> None:
    members = json.loads(LINE)

    assert list(members) == sorted(members)
    assert None not in members.values()
    assert "rule" not in members
    assert "context" not in members["request"]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'"v"',
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"v":"1"}',
        b'{"v":1}',
        b'{"v":1,"id":"\\ud800"}',
        LINE[:-1],
        LINE + b"\n" + LINE,
        LINE.replace(b'"allow"', b'"maybe"'),
        LINE.replace(b'"v":1', b'"v":1,"extra":1'),
        LINE.replace(b"etl-42", b"etl-\xff42"),
        LINE.replace(b'"revision":7', b'"revision":1e999'),
    ],
)
def test_a_line_that_is_no_record_is_malformed(line: bytes) -> None:
    assert bad(line).code == "malformed_line"


@pytest.mark.parametrize(
    "line", [LINE.replace(b'"v":1', b'"v":2'), b'{"novelty":{"a":[1]},"v":2}', b'{"v":' + b"9" * 40 + b"}"]
)
def test_a_newer_schema_is_refused_by_name(line: bytes) -> None:
    found = bad(line)

    assert found.code == "unknown_schema"
    assert "schema 1" in found.message


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(json.loads(LINE)).encode(),
        LINE + b" ",
        LINE.replace(b'"revision":7', b'"revision":7,"revision":7'),
        LINE.replace(b"etl-42", b"\\u0065tl-42"),
        LINE.replace(b'"reason":', b'"rule":null,"reason":'),
    ],
)
def test_a_record_in_another_spelling_is_not_canonical(line: bytes) -> None:
    assert bad(line).code == "not_canonical"
    assert decode_record(line, is_checked=False) == a_record()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_carry_is_an_error_and_never_a_line(value: object) -> None:
    record = a_record(request=a_request(resource=RecordedResource(type="t", id="i", attributes={"a": value})))

    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        encode_record(record)
    assert not is_canonical(record, b"")


@pytest.mark.parametrize("number", [1e16, 1e-5, 1e-7, 1e22, 5e-324, 1.0, -0.0, 123456789012345680.0])
def test_doubles_are_spelled_as_the_canonical_form_spells_them(number: float) -> None:
    line = encode_record(a_record(request=a_request(context={"n": [{"deep": number}]})))

    assert f'"context":{{"n":[{{"deep":{number!r}}}]}}'.encode() in line
