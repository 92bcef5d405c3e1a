"""Constants of generated code that are no literals: compiled patterns, sets of networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any, NamedTuple


class Constant(NamedTuple):
    """How a constant is made: it can be sent to another process where the value cannot.

    Args:
        make: a function or class of ours, of one argument.
    """

    make: Callable[[Any], object]
    argument: object

    def value(self) -> object:
        """The constant, made anew."""
        return self.make(self.argument)


class ConstantPool:
    """Named constants of one generated module. It grows while the module is emitted.

    Args:
        reserved: names that mean something else in that module; an author's network may be called `absent`.
        prefix: of every name.
    """

    def __init__(self, reserved: Collection[str] = (), prefix: str = "") -> None:
        self._reserved = frozenset(reserved)
        self._prefix = prefix
        self.constants: dict[str, Constant] = {}
        # How often each stem was asked for: counting anew each time would cost the square of their number.
        self._asked: dict[str, int] = {}

    def add(self, make: Callable[[Any], object], argument: object, hint: str) -> str:
        """A fresh name for a constant, readable by the hint, which starts with a letter: `MATCHES`, `MATCHES_2`."""
        stem = self._prefix + re.sub(r"\W", "_", hint, flags=re.ASCII).upper()[:40]
        number = self._asked.get(stem, 0) + 1
        while (name := stem if number == 1 else f"{stem}_{number}") in self.constants or name in self._reserved:
            number += 1
        self._asked[stem] = number
        self.constants[name] = Constant(make, argument)
        return name

    @property
    def values(self) -> dict[str, object]:
        """All of them, made."""
        return {name: constant.value() for name, constant in self.constants.items()}
