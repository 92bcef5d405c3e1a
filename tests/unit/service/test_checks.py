"""Checks of what administrators send: how input is shown, and near matches."""

from __future__ import annotations

import pytest

from policy_service.service.checks import near, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "`plain`"),
        ("a\nb\0", "`a\\u000ab\\u0000`"),
        ("\ud800", "`\\ud800`"),
        ("x" * 65, f"`{'x' * 64}…`"),
        ("", "``"),
    ],
)
def test_input_is_shown_in_one_short_line(text: str, expected: str) -> None:
    """Back-ticks, escapes, an ellipsis: a log or terminal cannot be tricked by it."""
    assert shown(text) == expected


def test_a_near_match_is_offered_and_a_far_one_is_not() -> None:
    """The remedy of a typing mistake is the right name."""
    assert near("viewr", ["viewer", "operator"]) == "; did you mean `viewer`?"
    assert near("something", ["viewer", "operator"]) == ""
    assert near("x" * 1_000_000, ["viewer"]) == ""
