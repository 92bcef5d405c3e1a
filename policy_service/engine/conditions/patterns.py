"""`matches`: RE2 by its own library, so that no pattern can run away and Python's dialect never shows."""

from __future__ import annotations

from collections.abc import Callable

import re2  # type: ignore[import-untyped]  # google-re2 ships no types


def searcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether a pattern occurs in a text. The pattern was judged at load."""
    search = re2.compile(pattern).search

    def occurs(text: str) -> bool:
        return search(text) is not None

    return occurs
