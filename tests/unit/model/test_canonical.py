"""The canonical form: RFC 8785 where that is exact."""

from __future__ import annotations

import pytest

from policy_service.model.canonical import canonical_plain, canonical_text


def test_members_are_sorted_and_nothing_is_escaped_that_need_not_be() -> None:
    """RFC 8785, section 3.2."""
    assert canonical_text({"b": [1, True, None], "a": 'é\n\x7f"'}) == '{"a":"é\\n\x7f\\"","b":[1,true,null]}'


def test_a_lone_surrogate_has_no_bytes() -> None:
    """It is refused, and not replaced."""
    with pytest.raises(UnicodeEncodeError):
        canonical_plain("\ud800")
