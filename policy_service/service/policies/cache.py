"""A small cache of things that are costly to make and never change, by name."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

V = TypeVar("V")


class Cache(Generic[V]):
    """Keeps the `size` values used last. Thread-safe: who asks for one that another thread is making waits."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[str, V] = OrderedDict()
        self._lock = threading.Lock()
        self._making: WeakValueDictionary[str, _Turn] = WeakValueDictionary()

    def get(self, name: str, make: Callable[[], V]) -> V:
        """The value of this name, made when it is not there. What `make` raises passes through, and is not kept."""
        value = self.ready(name)
        if value is not None:
            return value
        with self._lock:
            turn = self._making.setdefault(name, _Turn())
        # Made outside the cache's own lock: linking may take a second, and others need not wait for it.
        with turn.lock:
            value = self.ready(name)
            return value if value is not None else self._keep(name, make())

    def ready(self, name: str) -> V | None:
        """The value of this name if it is there. Never waits for one that is being made."""
        with self._lock:
            if name in self._values:
                self._values.move_to_end(name)
            return self._values.get(name)

    def _keep(self, name: str, made: V) -> V:
        with self._lock:
            value = self._values.setdefault(name, made)
            self._values.move_to_end(name)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return value


class _Turn:
    """Whose turn it is to make one value; kept while somebody wants it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
