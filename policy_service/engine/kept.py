"""What was made of facts for decisions, kept while there is room: views and grants.

They are dicts that make what they lack: read with `[]`, a hit costs what a plain dict's does. None stands for what
there is not, and is never kept: strangers ask for what does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

KEPT: Final = 65_536
"""How many views and grants a snapshot over a base keeps: some 25 MB. A quarter of them takes a fifth more in the
median decision by Zipf's law over a million keys, and saves a worker 15 to 25 MB."""


class Room:
    """Room for so many things in several dicts, of two ages. When the younger half is full, the older one is forgotten
    and the younger takes its place. None: there is no end to it.

    What is asked for again in the meantime is young again, and that is nearly what keeping by use would keep; a hit on
    what is young writes nothing.
    """

    __slots__ = ("_half", "_left", "_older", "_younger")

    def __init__(self, most: int | None) -> None:
        self._half = None if most is None else max(1, most // 2)
        self._left = self._half or 0
        self._younger: dict[int, Kept[Any, Any]] = {}
        self._older: dict[int, Kept[Any, Any]] = {}

    def entered(self, kept: Kept[Any, Any]) -> None:
        """Something was put into a dict."""
        if self._half is None:
            return
        self._younger[id(kept)] = kept
        self._left -= 1
        if self._left <= 0:
            for other in {**self._older, **self._younger}.values():
                other.age()
            self._older, self._younger, self._left = self._younger, {}, self._half

    def empty(self) -> None:
        """The dicts were given up."""
        self._older, self._younger, self._left = {}, {}, self._half or 0


class Kept(dict[K, V | None], Generic[K, V]):
    """A dict of what `make` makes. It holds only what was asked for: its length and items tell nothing of the facts.

    Args:
        make: gives None for what there is not.
    """

    __slots__ = ("_make", "_older", "_room")

    def __init__(self, make: Callable[[K], V | None], room: Room) -> None:
        super().__init__()
        self._make = make
        self._room = room
        self._older: dict[K, V | None] = {}

    def __missing__(self, name: K) -> V | None:
        """Make it, or find it among what is older; and keep it."""
        value = self._older.pop(name, None)
        if value is None:
            value = self._make(name)
            if value is None:
                return None
        self[name] = value
        self._room.entered(self)
        return value

    def age(self) -> None:
        """Forget what is older; what is younger takes its place."""
        # One after the other would be in the way of decisions for longer: the dict is given up as a whole.
        self._older = dict(self)
        super().clear()

    def forget(self, name: K) -> None:
        """Have it made anew when it is asked for."""
        self.pop(name, None)
        self._older.pop(name, None)

    def forget_all(self) -> None:
        """Have all made anew."""
        self.clear()
        self._older.clear()

    def there(self) -> Iterator[V]:
        """All that is kept."""
        for values in (self.values(), self._older.values()):
            yield from (value for value in values if value is not None)

    if not TYPE_CHECKING:

        def get(self, name: K, default: V | None = None) -> V | None:
            """As `[]`. That is the faster one."""
            value = self[name]
            return default if value is None else value

        def __contains__(self, name: K) -> bool:
            """Whether there is such a thing, kept or not."""
            return self[name] is not None
