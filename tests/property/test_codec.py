"""The one spelling of a record: canonical whatever it holds, read back as it was, and nothing else is taken for it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy_service.ledger.codec import BadLine, decode_record, encode_record, encode_request
from policy_service.ledger.record import (
    DecisionRecord,
    RecordedCredential,
    RecordedFacts,
    RecordedPrincipal,
    RecordedResource,
)
from policy_service.model.canonical import canonical_text
from tests.unit.ledger.records import a_record, a_request

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers() | st.integers(-(1 << 70), 1 << 70)
values = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
claims = st.dictionaries(texts, values, max_size=4)
maybe = st.none() | texts
names = st.none() | st.lists(texts, max_size=4).map(tuple)


@st.composite
def records(draw: st.DrawFn) -> DecisionRecord:
    """Any record that the types allow."""
    resource = RecordedResource(
        type=draw(texts), id=draw(texts), workspace=draw(maybe), owner=draw(maybe), attributes=draw(claims)
    )
    credential = RecordedCredential(
        outcome=draw(st.sampled_from(["missing", "malformed", "unknown", "verified"])),
        key_id=draw(maybe),
        slot=draw(st.none() | st.integers(1, 9)),
        fingerprint=draw(maybe),
    )
    request = a_request(
        credential=credential, resource=resource, scope=draw(texts), source_ip=draw(maybe), context=draw(claims)
    )
    facts = RecordedFacts(
        key_scopes=draw(names),
        teams=draw(names),
        roles=draw(names),
        registered=draw(st.none() | st.booleans()),
        owner=draw(maybe),
        attributes=draw(st.none() | claims),
        address=draw(maybe),
        allowlist_network=draw(maybe),
        key_network=draw(maybe),
    )
    return a_record(
        request=request,
        facts=facts,
        item_id=draw(maybe),
        batch_id=draw(maybe),
        rule=draw(maybe),
        principal=draw(st.none() | st.builds(RecordedPrincipal, kind=texts, id=texts)),
        explained=draw(st.booleans()),
        revision=draw(st.integers(0, 1 << 62)),
    )


@given(records())
def test_the_line_of_a_record_is_the_canonical_text_of_its_members(record: DecisionRecord) -> None:
    assert encode_record(record) == canonical_text(msgspec.to_builtins(record)).encode()
    assert encode_request(record.request) == canonical_text(msgspec.to_builtins(record.request)).encode()


@given(records())
def test_what_was_written_is_read_back_equal(record: DecisionRecord) -> None:
    again = decode_record(encode_record(record))

    assert again == record
    assert canonical_text(msgspec.to_builtins(again)) == canonical_text(msgspec.to_builtins(record))


@given(records())
def test_a_line_is_one_line(record: DecisionRecord) -> None:
    assert b"\n" not in encode_record(record)


@given(records(), st.data())
def test_a_record_in_another_spelling_is_refused(record: DecisionRecord, data: st.DataObject) -> None:
    line = encode_record(record)
    members = json.loads(line)
    other = data.draw(
        st.sampled_from(
            [
                json.dumps(members).encode(),
                json.dumps(dict(reversed(members.items())), separators=(",", ":"), ensure_ascii=False).encode(),
                line + b" ",
                line.replace(b'"v":1}', b'"v":1,"v":1}'),
            ]
        )
    )

    found = decode_record(other)

    assert other == line or isinstance(found, BadLine)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value(line: bytes) -> None:
    assert isinstance(decode_record(line), BadLine)


@given(records(), st.data())
def test_a_flipped_byte_is_another_record_or_none(record: DecisionRecord, data: st.DataObject) -> None:
    line = bytearray(encode_record(record))
    position = data.draw(st.integers(0, len(line) - 1))
    line[position] ^= data.draw(st.integers(1, 255))

    found = decode_record(bytes(line))

    assert isinstance(found, BadLine) or found != record


@given(values)
def test_plain_json_is_never_a_record(value: Any) -> None:
    assert isinstance(decode_record(canonical_text(value).encode()), BadLine)
