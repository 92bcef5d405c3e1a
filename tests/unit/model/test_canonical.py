"""The canonical form: RFC 8785 where that is exact, and one fast way to the same bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.model.canonical import canonical_plain, canonical_text

TEXTS = st.text(st.characters(codec="utf-8"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_values_have_one_form(value: Any) -> None:
    """Integers of any size, control characters, members in any order."""
    assert canonical_plain(value).decode() == canonical_text(value)


def test_members_are_sorted_and_nothing_is_escaped_that_need_not_be() -> None:
    """RFC 8785, section 3.2."""
    assert canonical_text({"b": [1, True, None], "a": 'é\n\x7f"'}) == '{"a":"é\\n\x7f\\"","b":[1,true,null]}'


def test_a_lone_surrogate_has_no_bytes() -> None:
    """It is refused, and not replaced."""
    with pytest.raises(UnicodeEncodeError):
        canonical_plain("\ud800")
