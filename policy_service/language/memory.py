"""What one load leaves to the next: an author who saves one file of twenty waits for that one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")


class Memory:
    """Results by all that they depend on. What is not asked for between two turns is forgotten at the second."""

    def __init__(self) -> None:
        self._before: dict[Hashable, object] = {}
        self._now: dict[Hashable, object] = {}

    def turn(self) -> None:
        """Another load begins: what the last one did not ask for is forgotten."""
        self._before, self._now = self._now, {}

    def knows(self, key: Hashable) -> bool:
        """Whether something was made for this key since the last turn but one."""
        return key in self._now or key in self._before

    def recall(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for this key since the last turn but one, or is made now."""
        if key not in self._now:
            self._now[key] = self._before[key] if key in self._before else make()
        return cast(T, self._now[key])
