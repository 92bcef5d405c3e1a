"""The spelling of API keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from policy_service.model.api_key import (
    ALPHABET,
    SCANNER,
    KeyForm,
    checksum,
    format_api_key,
    key_form,
    parse_api_key,
)

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


def test_the_scanners_expression_finds_keys_in_any_text() -> None:
    """As the administrators' guide shows it, in RE2 too; what has another form is no hit."""
    key = format_api_key("psx", "A" * 12, "b" * 22)
    for place in ("{}", "KEY={}\n", '"{}"', "Bearer {}", "https://x/?k={}&b", "({})"):
        text = place.format(key)
        assert re.findall(SCANNER, text) == [key]
        assert re2.search(SCANNER, text).group() == key
    for text in (key[:-1], key + "x", "psx-" + key[4:], "P" + key, "p_" + key[4:], "a" * 11 + key[3:]):
        assert re.findall(SCANNER, text) == []
    guide = Path(__file__).parents[3] / "docs" / "administrators.md"
    assert f"`{SCANNER}`" in guide.read_text()


def test_a_pasted_text_is_told_for_what_it_is() -> None:
    """Whole, mistyped, or no key; never with its secret."""
    key = format_api_key("acme", "A" * 12, "b" * 22)
    assert key_form(key) == KeyForm(None, "acme", "A" * 12)
    typo = key_form(key.replace("bb", "bc", 1))
    assert (typo.prefix, typo.id) == ("acme", "A" * 12)
    assert "checksum" in (typo.problem or "")
    for text in ("", "psx_", "hunter2", key[:-1], f" {key}", key.upper()):
        found = key_form(text)
        assert found.problem is not None
        assert found.id is None
    assert "b" * 22 not in repr(key_form(key))
