"""Constants of generated code that are no literals: compiled patterns, sets of networks."""

from __future__ import annotations

import re
from collections.abc import Collection


class ConstantPool:
    """Named constants of one generated module. It grows while the module is emitted.

    Args:
        reserved: names that mean something else in that module; an author's network may be called `absent`.
    """

    def __init__(self, reserved: Collection[str] = ()) -> None:
        self._reserved = frozenset(reserved)
        self.values: dict[str, object] = {}

    def add(self, value: object, hint: str) -> str:
        """A fresh name for a value, made readable by the hint, which starts with a letter: `MATCHES`, `MATCHES_2`."""
        stem = re.sub(r"\W", "_", hint, flags=re.ASCII).upper()[:40]
        name, number = stem, 1
        while name in self.values or name in self._reserved:
            number += 1
            name = f"{stem}_{number}"
        self.values[name] = value
        return name
