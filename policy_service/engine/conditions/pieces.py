"""Pieces of generated code: an expression, and what must not hold for it to have a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum

import msgspec


class Level(IntEnum):
    """How tightly an expression binds: what may stand beside it without brackets."""

    LOOSE = 1  # and, or, if-else
    COMPARED = 2  # comparisons, arithmetic, not
    ATOM = 3  # names, literals, calls


class Piece(msgspec.Struct, frozen=True):
    """A Python expression.

    Args:
        code: may be evaluated only when no guard holds.
        guards: expressions that are true where the condition's value is a fault. They are evaluated in order, once,
            before the code, which may use names that they assign.
        negation: how to say the opposite, where there is a better way than `not`.
    """

    code: str
    guards: tuple[str, ...] = ()
    level: Level = Level.COMPARED
    negation: str | None = None

    def at(self, level: Level) -> str:
        """The code, in brackets if it binds less tightly than that."""
        return self.code if self.level >= level else f"({self.code})"

    def value(self) -> str:
        """The value, or None for a fault, as one expression."""
        if not self.guards or self.guards == (f"{self.code} is None",):
            return self.code
        return f"None if {' or '.join(self.guards)} else {self.code}"

    def negated(self) -> Piece:
        if self.negation is not None:
            return Piece(self.negation, self.guards, negation=self.code)
        return Piece(f"not {self.at(Level.ATOM)}", self.guards, negation=self.code)


def guards_of(pieces: Iterable[Piece]) -> tuple[str, ...]:
    """The guards of several pieces that are evaluated together, each once."""
    return tuple(dict.fromkeys(guard for piece in pieces for guard in piece.guards))


class Block:
    """Lines of Python under construction."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._indent = ""

    def add(self, line: str) -> None:
        self.lines.append(self._indent + line)

    def extend(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.add(line)

    @contextmanager
    def under(self, header: str) -> Iterator[None]:
        """Lines below `header`, one level further in."""
        self.add(header)
        self._indent += "    "
        yield
        self._indent = self._indent[:-4]
