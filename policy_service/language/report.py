"""Collecting diagnostics: every mistake of every file, in the author's words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Final

from policy_service.model.spans import Diagnostic, Severity, Span

_SHOWN: Final = 60
"""Longer input is shortened in messages, so that each stays one readable line."""

_BARE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

_SUGGESTIONS: Final = 50
"""Near matches are costly on hostile input; after this many, messages go without."""


class Report:
    """The diagnostics of one load. It only grows; order does not matter, `sorted()` puts them in reading order.

    Args:
        whole: the report that this one is a part of, until `take` puts its diagnostics there.
    """

    def __init__(self, whole: Report | None = None) -> None:
        self._whole = whole
        self._found: list[Diagnostic] = []
        self._spoiled: set[tuple[str, int, int]] = set()
        self._suggestions_left = _SUGGESTIONS

    def __getstate__(self) -> dict[str, object]:
        """In another process it is a report of its own."""
        return {**self.__dict__, "_whole": None}

    def add(self, code: str, message: str, span: Span, path: str = "$", severity: Severity = "error") -> None:
        """Note one mistake (or, with `severity="warning"`, a doubtful thing that does not stop the load)."""
        if (span.file, span.line, span.column) not in self._spoiled:
            self._found.append(Diagnostic(code, message, span, path, severity))

    def spoil(self, span: Span) -> None:
        """Nothing more will be said of the value that starts here: what stands there was refused already."""
        self._spoiled.add((span.file, span.line, span.column))

    def has_errors(self) -> bool:
        own = any(diagnostic.severity == "error" for diagnostic in self._found)
        return own or (self._whole is not None and self._whole.has_errors())

    def take(self, part: Report) -> None:
        """The diagnostics of a part are these as well."""
        self._found += part._found
        part._whole = None

    def _may_suggest(self) -> bool:
        """The parts of a report have one stock of suggestions."""
        if self._whole is not None:
            return self._whole._may_suggest()
        self._suggestions_left -= 1
        return self._suggestions_left >= 0

    def sorted(self) -> tuple[Diagnostic, ...]:
        """In reading order, each mistake once."""
        return tuple(sorted(dict.fromkeys(self._found), key=Diagnostic.sort_key))

    def hint(self, name: str, known: Collection[str]) -> str:
        """`; did you mean `x`?`, or what there is to choose from, or nothing."""
        if len(name) > _SHOWN or not self._may_suggest():
            return ""
        near = near_match(name, known)
        if near is not None:
            return f"; did you mean {quoted(near)}?"
        return f"; known: {listed(known)}" if 0 < len(known) <= 12 else ""


def near_match(name: str, known: Collection[str]) -> str | None:
    """The most similar known name, if any is similar. Cost: linear in the known names, first 2,000 only."""
    matches = difflib.get_close_matches(name, sorted(known)[:2000], n=1, cutoff=0.6)
    return matches[0] if matches else None


def quoted(text: str) -> str:
    """User input in back-ticks, on one line, shortened."""
    return f"`{_visible(text)}`"


def _visible(text: str) -> str:
    shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in shown)


def listed(names: Iterable[str]) -> str:
    """`a`, `b`, `c`, sorted."""
    return ", ".join(quoted(name) for name in sorted(names))


def path_step(name: str) -> str:
    """One step of a JSON path: `.name`, or `["any other text"]`."""
    if len(name) <= _SHOWN and _BARE.fullmatch(name):
        return f".{name}"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{_visible(escaped)}"]'
