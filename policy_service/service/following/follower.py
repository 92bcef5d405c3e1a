"""Keeps a replica up to date beside a running event loop: reads and links in threads, applies on the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from policy_service.model.errors import StoreError
from policy_service.service.clock import elapsed_s
from policy_service.service.following.replica import WAIT_NS, Replica, refuse_unknown_revision, stale
from policy_service.service.following.wakers import Waker
from policy_service.service.ports import FactStore

INTERVAL_S = 0.05
CONFIRM_S = 0.25
"""Pause between two looks at a store that tells of its changes: they only confirm that it is there, as it was."""
MAX_STALENESS_S = 30.0
_RETRY_S = 0.01

_LOG = logging.getLogger(__name__)


class Follower:
    """Follows the store's changes on behalf of one event loop, which owns the snapshot.

    Args:
        interval_s: pause between two looks for changes made by other processes: the published lag where nobody wakes
            this.
        wakers: end the pause when somebody has committed something; they run as long as `run` does. While all of them
            listen, looks are rarer.
        max_staleness_s: how long the replica decides on without a look that succeeded. It counts from when that look
            began, also for one that never ends, and only while this follows: in process nobody does.
        elapsed: seconds, as the replica counts them.

    Attributes:
        told: called whenever the snapshot has moved, or a look is over.
    """

    def __init__(
        self,
        replica: Replica,
        store: FactStore,
        *,
        interval_s: float = INTERVAL_S,
        max_staleness_s: float = MAX_STALENESS_S,
        elapsed: Callable[[], float] = elapsed_s,
        wakers: Sequence[Waker] = (),
    ) -> None:
        self._replica = replica
        self._store = store
        self._interval_s = interval_s
        self._max_staleness_s = max_staleness_s
        self._elapsed = elapsed
        self._turn = asyncio.Lock()
        self._link_turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: str | None = None
        self._wakers = wakers
        self._woken = asyncio.Event()
        self.told: Callable[[], None] = _nobody

    @property
    def trouble(self) -> str | None:
        """The code of the error that the last look for changes ended with; None when all is well."""
        return self._trouble

    async def catch_up(self) -> int:
        """Apply every change that is committed now. The revision reached.

        Raises:
            StoreError: the store cannot be read, or it diverged.
        """
        async with self._turn:
            while True:
                prepared = await asyncio.to_thread(self._replica.prepare)
                self._replica.apply(prepared)
                if prepared.is_last:
                    for digest in self._replica.take_published():
                        self._begin(self._link_ahead(digest))
                    self.told()
                    return self._replica.reached()

    async def _link_ahead(self, digest: str) -> None:
        """Link a published bundle in a thread, while changes are followed and decisions made."""
        # One at a time: the threads are the follower's own too.
        async with self._link_turn:
            await asyncio.to_thread(self._replica.link, digest)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        # The event loop itself keeps no task alive.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reach(self, revision: int | None) -> None:
        """Wait at most 250 ms until the snapshot has seen `revision`. None asks for nothing.

        Raises:
            RequestError: 400 `revision_unknown`.
            StoreError: `stale`.
        """
        if revision is None or self._replica.view().revision >= revision:
            return
        refuse_unknown_revision(revision, await asyncio.to_thread(self._store.head))
        try:
            async with asyncio.timeout(WAIT_NS / 1e9):
                while await self.catch_up() < revision:
                    await asyncio.sleep(_RETRY_S)
        except TimeoutError:
            raise stale(revision, self._replica.revision) from None

    async def run(self) -> None:
        """Follow until cancelled. Trouble is logged once per kind and kept in `trouble`; it does not end the loop."""
        self._replica.fresh_until(self._elapsed() + self._max_staleness_s)
        wakers = [asyncio.create_task(self._wake(waker)) for waker in self._wakers]
        try:
            await self._look(anew=True)
            while True:
                await self._look(anew=await self._pause())
        except Exception:
            # A bug. A worker that no longer follows must not go on deciding on facts that grow old.
            self._replica.stop(StoreError("replica_failed", "this worker no longer follows the changes; restart it"))
            raise
        finally:
            for task in wakers:
                task.cancel()
            self.told()

    async def _wake(self, waker: Waker) -> None:
        """Let it wake this. Without it changes are seen one pause later, so that its end ends nothing else."""
        try:
            await waker.run(self._woken.set)
        except Exception:
            _LOG.exception("changes are no longer told; they are looked for every %d ms", self._interval_s * 1000)

    async def _pause(self) -> bool:
        """Wait for the time of the next look. Whether this was woken for it."""
        try:
            async with asyncio.timeout(self._pause_s()):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    def _pause_s(self) -> float:
        is_told = bool(self._wakers) and all(waker.is_listening for waker in self._wakers)
        return max(self._interval_s, CONFIRM_S) if is_told else self._interval_s

    async def _look(self, *, anew: bool = False) -> None:
        """See whether the store stands where the snapshot does; else, or when asked to look anew, catch up.

        INVARIANT: the store is held against the snapshot, not against the last look: the snapshot moves between looks
        too, and a store that was set back to where the last look saw it would pass for unchanged
        (test_a_store_set_back_to_where_the_last_look_saw_it_is_noticed).
        """
        began = self._elapsed()
        try:
            # Who was woken knows that there is something: asking first would be another wait for a thread.
            if anew or self._trouble is not None or await self._is_elsewhere():
                await self.catch_up()
        except StoreError as error:
            if self._trouble != error.code:
                _LOG.error("cannot follow the changes: %s [%s]", error.message, error.code)
            self._trouble = error.code
        else:
            self._trouble = None
            # INVARIANT: no decision on facts that nobody confirmed for `max_staleness_s`, told of changes or not
            # (test_a_store_out_of_reach_for_too_long_ends_the_deciding).
            self._replica.fresh_until(began + self._max_staleness_s)
        self.told()

    async def _is_elsewhere(self) -> bool:
        return await asyncio.to_thread(self._store.version_token) != self._replica.place


def _nobody() -> None:
    """Nobody is told."""
