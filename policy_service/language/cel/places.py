"""Collecting the problems of one condition, each with the stretch of text that it is about."""

from __future__ import annotations

import re
from typing import Final

from policy_service.language.cel.problems import Problem
from policy_service.model.spans import Severity

_TOKEN: Final = re.compile(
    r'[A-Za-z_][A-Za-z0-9_]*|\d[\w.]*|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|&&|\|\||[=!<>]=|\s+|.', re.DOTALL
)
_MEMBER: Final = re.compile(r"\.\s*([A-Za-z_][A-Za-z0-9_]*)")
MAX_PROBLEMS: Final = 20


class Places:
    """The problems found so far in one text. Offsets are code points."""

    def __init__(self, text: str) -> None:
        self.length = len(text)
        self._text = text
        self._found: dict[Problem, None] = {}

    def report(
        self, code: str, message: str, offset: int, end_offset: int | None = None, severity: Severity = "error"
    ) -> None:
        """Note a problem; without an end it covers the word or sign at its offset.

        The checker points at the dot of a member and at the bracket of a call: their names are meant.
        """
        if end_offset is None:
            offset, end_offset = self._name_at(min(max(offset, 0), len(self._text)))
        self._found[Problem(offset, end_offset, code, message, severity)] = None

    def _name_at(self, offset: int) -> tuple[int, int]:
        member = _MEMBER.match(self._text, offset)
        if member:
            return member.span(1)
        if self._text.startswith("(", offset):
            end = len(self._text[:offset].rstrip())
            start = end
            while start and (self._text[start - 1].isalnum() or self._text[start - 1] == "_"):
                start -= 1
            return (start, end) if start < end else (offset, offset + 1)
        return offset, self.word_end(offset)

    def is_full(self) -> bool:
        """Whether more would not be shown anyway."""
        return len(self._found) >= MAX_PROBLEMS

    def is_silent(self) -> bool:
        """Whether there is nothing to say."""
        return not self._found

    def has_errors(self) -> bool:
        return any(problem.severity == "error" for problem in self._found)

    def sorted(self) -> tuple[Problem, ...]:
        """In reading order, each once; of very many the first ones."""
        return tuple(sorted(self._found)[:MAX_PROBLEMS])

    def path_end(self, offset: int, path: str) -> int:
        """One past a path such as `resource.attr.env` that starts at an offset, however it is spaced."""
        match = re.compile(r"\s*\.\s*".join(path.split("."))).match(self._text, offset)
        return match.end() if match else self.word_end(offset)

    def word_end(self, offset: int) -> int:
        """One past the last character of the word, literal or sign that starts at an offset."""
        match = _TOKEN.match(self._text, offset)
        return match.end() if match else offset
