"""Records that are written together, and answers that are held until they are.

INVARIANT: the value of a Held is only had once its group is written (test_groups: nothing is released before).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

from policy_service.model.errors import StoreError

T = TypeVar("T")
U = TypeVar("U")
_LOG: Final = logging.getLogger(__name__)


class Group:
    """Records of one write. Settled once: written as its durability promises, or failed as a whole.

    Attributes:
        lines: of its records, in the order of the decisions.
        failure: why it could not be written; None while it is not settled, and where it was.
    """

    __slots__ = ("_callbacks", "failure", "is_settled", "lines")

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self.lines = list(lines)
        self.is_settled = False
        self.failure: StoreError | None = None
        self._callbacks: list[Callable[[], None]] = []

    def then(self, callback: Callable[[], None]) -> None:
        """Call when it is settled: at once where it is already. On the event loop's thread."""
        if self.is_settled:
            callback()
        else:
            self._callbacks.append(callback)

    def settle(self, failure: StoreError | None) -> None:
        """It is written, or not. Whoever waits is told; one who fails at that keeps nobody else from it."""
        self.is_settled, self.failure = True, failure
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                _LOG.exception("an answer could not be handed out after its record was written")

    def check(self) -> None:
        """Return where it is written.

        Raises:
            StoreError: it could not be, or (`ledger_unavailable`) it is not yet.
        """
        if not self.is_settled:
            raise StoreError("ledger_unavailable", "the record is not written yet; wait for its group")
        if self.failure is not None:
            # A new one each time: hundreds may wait, and each would add its traceback to a shared one.
            raise StoreError(self.failure.code, self.failure.message, self.failure.details)

    async def written(self) -> None:
        """Wait for it. Raises StoreError where it cannot be written."""
        if not self.is_settled:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.then(lambda: None if future.done() else future.set_result(None))
            await future
        self.check()


def settled_group() -> Group:
    """A group of nothing, written."""
    group = Group()
    group.settle(None)
    return group


WRITTEN: Final = settled_group()
"""What those wait for who have nothing to wait for."""


class Held(Generic[T]):
    """A value that may leave once its group is written.

    Args:
        held: the value; to prepare what is to be sent, never to send it.
    """

    __slots__ = ("group", "held")

    def __init__(self, held: T, group: Group = WRITTEN) -> None:
        self.held = held
        self.group = group

    def holding(self, other: U) -> Held[U]:
        """Another value that waits for the same."""
        return Held(other, self.group)

    def value(self) -> T:
        """The value. Raises StoreError where its records could not be written, or are not yet."""
        self.group.check()
        return self.held

    async def released(self) -> T:
        """The value, once its records are written. Raises StoreError where they cannot be."""
        await self.group.written()
        return self.held
