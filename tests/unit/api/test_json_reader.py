"""Strict JSON: what a stranger may send, and the code of every refusal."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.api.json_reader import MAX_DEPTH, check_texts, parse, read_json, show_path
from policy_service.model.errors import RequestError

KEY = frozenset({("key",)})

REFUSED = {
    "empty": (b"", "invalid_json"),
    "blank": (b" \n", "invalid_json"),
    "word": (b"nul", "invalid_json"),
    "two values": (b"{} {}", "invalid_json"),
    "trailing comma": (b'{"a":1,}', "invalid_json"),
    "single quotes": (b"{'a':1}", "invalid_json"),
    "comment": (b"{} // no", "invalid_json"),
    "byte order mark": (b"\xef\xbb\xbf{}", "invalid_json"),
    "raw control character": (b'{"key":"\x00"}', "invalid_json"),
    "leading zero": (b'{"a":01}', "invalid_json"),
    "hexadecimal": (b'{"a":0x1}', "invalid_json"),
    "latin-1": (b'{"a":"\xe9"}', "invalid_encoding"),
    "utf-16": ('{"a":1}'.encode("utf-16"), "invalid_encoding"),
    "overlong form": (b'{"a":"\xc0\x80"}', "invalid_encoding"),
    "encoded surrogate": (b'{"a":"\xed\xa0\x80"}', "invalid_encoding"),
    "duplicate": (b'{"a":1,"a":1}', "duplicate_member"),
    "duplicate, escaped": (b'{"a":1,"\\u0061":2}', "duplicate_member"),
    "duplicate, nested": (b'{"x":[{"a":1,"a":2}]}', "duplicate_member"),
    "NaN": (b'{"a":NaN}', "number_out_of_range"),
    "Infinity": (b'{"a":-Infinity}', "number_out_of_range"),
    "huge double": (b'{"a":1e999}', "number_out_of_range"),
    "huge integer": (b'{"a":9223372036854775808}', "number_out_of_range"),
    "endless integer": (b'{"a":' + b"9" * 20_000 + b"}", "number_out_of_range"),
    "deep lists": (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "too_deep"),
    "deep objects": (b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1), "too_deep"),
    "bottomless": (b"[" * 60_000, "too_deep"),
    "lone surrogate": (b'{"a":"\\ud800"}', "lone_surrogate"),
    "lone surrogate in the key": (b'{"key":"\\udfff"}', "lone_surrogate"),
    "lone surrogate in a name": (b'{"\\ud800":1}', "lone_surrogate"),
    "NUL": (b'{"a":"\\u0000"}', "control_character"),
    "newline": (b'{"a":["x",{"b":"\\n"}]}', "control_character"),
    "DEL": (b'{"a":"\x7f"}', "control_character"),
    "C1": ('{"a":"\x85"}'.encode(), "control_character"),
    "control in a name": (b'{"a\\u0001":1}', "control_character"),
    "control in a key that is not the key": (b'{"x":{"key":"\\u0000"}}', "control_character"),
}


@pytest.mark.parametrize(("body", "code"), REFUSED.values(), ids=REFUSED)
def test_every_bad_body_is_refused_with_its_code(body: bytes, code: str) -> None:
    """Nothing is repaired, and the message is one line without anything that a terminal would obey."""
    with pytest.raises(RequestError) as caught:
        read_json(body, exempt=KEY)
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_the_key_may_hold_control_characters() -> None:
    """A presented key is a stranger's text; it makes a decision."""
    assert read_json(b'{"key":"\\u0000\x7f"}', exempt=KEY) == {"key": "\x00\x7f"}


def test_the_deepest_nesting_and_the_largest_numbers_pass() -> None:
    """The bounds are the ones documented, not one less."""
    assert read_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    numbers = [9223372036854775807, -9223372036854775808, 1.7976931348623157e308]
    assert read_json(json.dumps(numbers).encode()) == numbers


def test_brackets_inside_texts_are_no_nesting() -> None:
    """Only structure counts."""
    assert parse(json.dumps(["[{" * 100])) == ["[{" * 100]


def test_the_message_names_the_member_that_stands_twice() -> None:
    """So that it can be found."""
    with pytest.raises(RequestError, match="`scope` stands twice"):
        read_json(b'{"scope":1,"scope":2}')


def test_the_message_names_the_place_of_a_control_character() -> None:
    """As a path from the top."""
    with pytest.raises(RequestError, match=r"`\$\.a\[1\]\.b`"):
        read_json(b'{"a":[0,{"b":"\\t"}]}')


def test_a_shown_path_is_one_printable_line() -> None:
    """Names are strangers' text too."""
    assert show_path(("a\nb", "[0]", "\ud800")) == "$.a\\nb[0].\\ud800"
    assert len(show_path(("x" * 10_000,))) < 300


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs", "Cc"))), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(plain)
def test_whatever_is_fit_to_be_sent_is_read_as_it_is(value: Any) -> None:
    """Both with and without escapes."""
    assert read_json(json.dumps(value).encode(), depth=100) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode(), depth=100) == value


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_read_or_refused(data: bytes) -> None:
    """No other exception ever."""
    with suppress(RequestError):
        check_texts(read_json(data))
