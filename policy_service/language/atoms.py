"""The atomic parts of a condition: what `&&`, `||`, `!` and `? :` put together, each with its stretch of text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from policy_service.language import ir

_TOKEN: Final = re.compile(
    r"""(?:[bB]?[rR]|[rR]?[bB])?(?:\"{3}.*?\"{3}|'{3}.*?'{3})"""
    r"""|[rR]"[^"\n]*"|[rR]'[^'\n]*'|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|//[^\n]*|[()\[\]{}?:]""",
    re.DOTALL,
)
_OPENING: Final = frozenset("([{?")
_CLOSING: Final = frozenset(")]}:")
"""In a checked condition they pair off. (It holds no map literals, whose `:` has no `?`.)"""


class Atom(msgspec.Struct, frozen=True):
    """One atomic condition. `start` and `end`: its text in the condition's, in code points."""

    expr: ir.Expr
    start: int
    end: int


def atoms(condition: ir.Condition) -> tuple[Atom, ...]:
    """The atomic conditions in reading order; a condition without connectives is its own only one.

    A macro such as `exists` is atomic, whatever stands in its body.
    """
    text = _Text(condition.text)
    return tuple(_split(condition.expr, 0, len(condition.text), text))


def atom_text(condition: ir.Condition, atom: Atom) -> str:
    """As the author wrote it, on one line."""
    return " ".join(condition.text[atom.start : atom.end].split())


class _Text:
    """Where brackets close, and where a `?` has its `:`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.partner: dict[int, int] = {}
        waiting: list[int] = []
        for match in _TOKEN.finditer(text):
            sign, at = match.group(), match.start()
            if sign in _OPENING:
                waiting.append(at)
            elif waiting and sign in _CLOSING:
                self.partner[waiting.pop()] = at

    def bare(self, start: int, end: int) -> tuple[int, int]:
        """Without white space and brackets around all of it."""
        start, end = self._stripped(start, end)
        while start < end and self.text[start] == "(" and self.partner.get(start) == end - 1:
            start, end = self._stripped(start + 1, end - 1)
        return start, end

    def _stripped(self, start: int, end: int) -> tuple[int, int]:
        part = self.text[start:end]
        return start + len(part) - len(part.lstrip()), start + len(part.rstrip())


def _split(node: ir.Expr, start: int, end: int, text: _Text) -> Iterator[Atom]:
    start, end = text.bare(start, end)
    match node:
        case ir.And() | ir.Or():
            yield from _split(node.left, start, node.offset, text)
            yield from _split(node.right, node.offset + 2, end, text)
        case ir.Not():
            yield from _split(node.operand, node.offset + 1, end, text)
        case ir.Conditional():
            colon = text.partner.get(node.offset, end)
            yield from _split(node.test, start, node.offset, text)
            yield from _split(node.then, node.offset + 1, colon, text)
            yield from _split(node.otherwise, colon + 1, end, text)
        case _:
            yield Atom(node, start, end)
