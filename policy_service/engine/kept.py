"""What was made of facts for decisions, kept while there is room: views and grants.

They are dicts that make what they lack: read with `[]`, a hit costs what a plain dict's does. None stands for what
there is not, and is never kept: strangers ask for what does not exist.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

KEPT: Final = 65_536
"""How many views and grants a snapshot over a base keeps: some 25 MB. By Zipf's law most questions are about these."""


class Room:
    """Room for so many things in several dicts; for one more, the eldest goes. None: there is no end to it.

    By age and not by use: a hit writes nothing, and what is asked for often is soon back.
    """

    __slots__ = ("_most", "_order")

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._order: deque[tuple[dict[Any, Any], Any]] = deque()

    def entered(self, where: dict[K, V], name: K) -> None:
        """Something was put into a dict under this name."""
        if self._most is None:
            return
        self._order.append((where, name))
        if len(self._order) > self._most:
            # It may be gone already, or have been made anew since: then it goes early, which costs a look at the facts.
            eldest, old_name = self._order.popleft()
            eldest.pop(old_name, None)

    def empty(self) -> None:
        """The dicts were given up."""
        self._order.clear()


class Kept(dict[K, V | None], Generic[K, V]):
    """A dict of what `make` makes. It holds only what was asked for: its length and items tell nothing of the facts.

    Args:
        make: gives None for what there is not.
    """

    __slots__ = ("_make", "_room")

    def __init__(self, make: Callable[[K], V | None], room: Room) -> None:
        super().__init__()
        self._make = make
        self._room = room

    def __missing__(self, name: K) -> V | None:
        """Make it, and keep it."""
        value = self._make(name)
        if value is not None:
            self[name] = value
            self._room.entered(self, name)
        return value

    if not TYPE_CHECKING:

        def get(self, name: K, default: V | None = None) -> V | None:
            """As `[]`. That is the faster one."""
            value = self[name]
            return default if value is None else value

        def __contains__(self, name: K) -> bool:
            """Whether there is such a thing, kept or not."""
            return self[name] is not None
