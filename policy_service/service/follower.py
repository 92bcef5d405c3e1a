"""Keeps a replica up to date beside a running event loop: reads and links in a thread, applies on the loop."""

from __future__ import annotations

import asyncio
import logging

from policy_service.model.errors import StoreError
from policy_service.service.ports import FactStore
from policy_service.service.replica import BATCH, WAIT_NS, Replica, refuse_unknown_revision, stale

_RETRY_S = 0.01

_LOG = logging.getLogger(__name__)


class Follower:
    """Follows the store's changes on behalf of one event loop, which owns the snapshot.

    Args:
        interval_s: pause between two looks for changes made by other processes: the published lag.
    """

    def __init__(self, replica: Replica, store: FactStore, *, interval_s: float = 0.05) -> None:
        self._replica = replica
        self._store = store
        self._interval_s = interval_s
        self._turn = asyncio.Lock()
        self._trouble: str | None = None

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
                if len(prepared.changes) < BATCH:
                    return self._replica.view().revision

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
        seen: object = None
        try:
            while True:
                seen = await self._look(seen)
                await asyncio.sleep(self._interval_s)
        except Exception:
            # A bug. A worker that no longer follows must not go on deciding on facts that grow old.
            self._replica.stop(StoreError("replica_failed", "this worker no longer follows the changes; restart it"))
            raise

    async def _look(self, seen: object) -> object:
        try:
            token = await asyncio.to_thread(self._store.version_token)
            if token != seen or self._trouble is not None:
                await self.catch_up()
        except StoreError as error:
            if self._trouble != error.code:
                _LOG.error("cannot follow the changes: %s [%s]", error.message, error.code)
            self._trouble = error.code
            return seen
        self._trouble = None
        return token
