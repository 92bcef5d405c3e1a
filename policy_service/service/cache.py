"""A small cache of things that are costly to make and never change, by name."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

V = TypeVar("V")


class Cache(Generic[V]):
    """Keeps the `size` values used last. Thread-safe; two threads may make the same value at once, one is kept."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[str, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, make: Callable[[], V]) -> V:
        """The value of this name, made when it is not there. What `make` raises passes through, and is not kept."""
        with self._lock:
            if name in self._values:
                self._values.move_to_end(name)
                return self._values[name]
        # Made outside the lock: linking may take a second, and others need not wait for it.
        made = make()
        with self._lock:
            value = self._values.setdefault(name, made)
            self._values.move_to_end(name)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return value
