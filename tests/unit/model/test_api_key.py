"""The spelling of API keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.model.api_key import ALPHABET, checksum, format_api_key, parse_api_key

BASE62 = st.sampled_from(ALPHABET)
IDS = st.text(BASE62, min_size=12, max_size=12)
SECRETS = st.text(BASE62, min_size=22, max_size=22)


@given(st.from_regex(r"[a-z]{2,10}", fullmatch=True), IDS, SECRETS)
def test_what_is_formatted_parses_to_its_parts(prefix: str, key_id: str, secret: str) -> None:
    """Formatting and parsing are inverse, and the secret is in no representation."""
    parsed = parse_api_key(format_api_key(prefix, key_id, secret))
    assert parsed is not None
    assert (parsed.prefix, parsed.id, parsed.secret) == (prefix, key_id, secret)
    assert secret not in repr(parsed)


@given(IDS, SECRETS, st.integers(4, 43), BASE62)
def test_one_wrong_character_is_always_found(key_id: str, secret: str, place: int, other: str) -> None:
    """CRC-32 finds every error burst within 32 bits, so every single wrong character."""
    key = format_api_key("psx", key_id, secret)
    wrong = key[:place] + other + key[place + 1 :]
    assert (parse_api_key(wrong) is None) == (wrong != key)


def test_the_checksum_is_crc32_in_base62_over_all_before_it() -> None:
    """A known value, so that scanners elsewhere can be built against it: CRC-32 of `123456789` is cbf43926."""
    number = 0
    for digit in checksum("123456789"):
        number = number * 62 + ALPHABET.index(digit)
    assert number == 0xCBF43926


@pytest.mark.parametrize("text", ["", "psx_", "psx", "x" * 1_000_000, "psx_" + "0" * 40, "psx_" + "é" * 40, "\0"])
def test_anything_else_is_malformed(text: str) -> None:
    """Short, long, foreign and unchecked text is no key."""
    assert parse_api_key(text) is None


def test_a_line_feed_at_the_end_is_not_overlooked() -> None:
    """The whole text must match, a trailing newline included."""
    assert parse_api_key(format_api_key("psx", "0" * 12, "0" * 22) + "\n") is None
