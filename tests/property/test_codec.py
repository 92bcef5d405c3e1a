"""The one spelling of a record: canonical whatever it holds, read back as it was, and nothing else is taken for it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy_service.ledger.codec import BadLine, decode_record, encode_record
from policy_service.ledger.record import DecisionRecord
from policy_service.model.canonical import canonical_text
from tests.property.records import records, values


@given(records())
def test_the_line_of_a_record_is_the_canonical_text_of_its_members(record: DecisionRecord) -> None:
    assert encode_record(record) == canonical_text(msgspec.to_builtins(record)).encode()


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
