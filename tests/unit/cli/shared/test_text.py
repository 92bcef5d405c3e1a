"""Text from data cannot play tricks on a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.cli.shared.text import visible, visible_json

UNSAFE = ["\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\x7f", "\x00"]


@pytest.mark.parametrize("character", UNSAFE)
def test_control_and_bidirectional_characters_are_spelled_out(character: str) -> None:
    """Escape sequences, overrides, zero widths and line separators are seen, not obeyed."""
    shown = visible(f"a{character}b")
    assert character not in shown
    assert shown.startswith("a\\")
    assert shown.endswith("b")


def test_ordinary_text_of_any_script_stays() -> None:
    """Escaping must not make names unreadable."""
    assert visible("Zoë 東京 Пётр 🙂") == "Zoë 東京 Пётр 🙂"


def test_lines_stay_only_where_they_are_ours() -> None:
    """A line feed in data would forge a line of output."""
    assert visible("a\nb") == "a\\x0ab"
    assert visible("a\nb\tc\x1b", keep_lines=True) == "a\nb\tc\\x1b"


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_reads_back_as_the_same_value(value: object) -> None:
    """Escapes in JSON are JSON's own."""
    assert json.loads(visible_json(value)) == value


@pytest.mark.parametrize("character", UNSAFE)
def test_json_holds_no_raw_control_or_bidirectional_character(character: str) -> None:
    """The JSON of an answer is safe on a terminal as well."""
    assert character not in visible_json({"name": f"a{character}"})
