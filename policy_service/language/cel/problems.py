"""What is to be said of a condition, and where in its text."""

from __future__ import annotations

import msgspec

from policy_service.model.spans import Severity


class Problem(msgspec.Struct, frozen=True, order=True):
    """One mistake (or warning) in the text of a condition.

    Args:
        code: stable, kebab-case.
        message: one lowercase line in the author's words; user input in back-ticks.
        offset, end_offset: code points from the start of the condition's text; the end is one past the last.
    """

    offset: int
    end_offset: int
    code: str
    message: str
    severity: Severity = "error"
