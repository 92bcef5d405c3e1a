"""Collecting the problems of one condition, each with the stretch of text that it is about."""

from __future__ import annotations

import re
from typing import Final

from policy_service.language.cel.problems import Problem
from policy_service.model.spans import Severity

_TOKEN: Final = re.compile(
    r'[A-Za-z_][A-Za-z0-9_]*|\d[\w.]*|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|&&|\|\||[=!<>]=|\s+|.', re.DOTALL
)
MAX_PROBLEMS: Final = 20


class Places:
    """The problems found so far in one text. Offsets are code points."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[Problem, None] = {}

    def report(
        self, code: str, message: str, offset: int, end_offset: int | None = None, severity: Severity = "error"
    ) -> None:
        """Note a problem; without an end it covers the word or sign at its offset."""
        offset = min(max(offset, 0), len(self._text))
        end = self.word_end(offset) if end_offset is None else end_offset
        self._found[Problem(offset, end, code, message, severity)] = None

    def has_errors(self) -> bool:
        return any(problem.severity == "error" for problem in self._found)

    def sorted(self) -> tuple[Problem, ...]:
        """In reading order, each once; of very many the first ones."""
        return tuple(sorted(self._found)[:MAX_PROBLEMS])

    def word_end(self, offset: int) -> int:
        """One past the last character of the word, literal or sign that starts at an offset."""
        match = _TOKEN.match(self._text, offset)
        return match.end() if match else offset
