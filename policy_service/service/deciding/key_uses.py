"""When keys were last used: noted in memory, written to the database every few seconds, and no fact.

No decision rests on it, so it is kept off the hot path and out of the changes. A process that is killed loses what it
noted since its last write: a time shown as the last use may be some seconds too early, never too late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from policy_service.model.errors import StoreError
from policy_service.model.request import Credential

FLUSH_S: Final = 5.0
"""Pause between two writes."""

_LOG = logging.getLogger(__name__)


class UseStore(Protocol):
    """Where last uses are kept. Synchronous and thread-safe; database trouble is a StoreError."""

    def record_uses(self, uses: Mapping[str, int]) -> None:
        """Keep the instant of the last use, by key id; a later one that is there already stays."""
        ...

    def last_uses(self, key_ids: Iterable[str]) -> dict[str, int]:
        """The instant of the last use of those keys that were ever used."""
        ...


class KeyUses:
    """Notes uses on behalf of one event loop. A use: the key was shown with a right secret, whatever came of it."""

    def __init__(self, store: UseStore) -> None:
        self._store = store
        self._noted: dict[str, int] = {}
        self._writing: dict[str, int] = {}
        self._trouble: str | None = None

    def note(self, credential: Credential, now: int) -> None:
        """A key was shown. Cost: one assignment, 0.1 µs."""
        if credential.outcome == "verified" and credential.key_id is not None:
            self._noted[credential.key_id] = now

    def last(self, key_ids: Iterable[str]) -> dict[str, int]:
        """When each of these keys was last used, as far as it ever was; uses noted here are not behind."""
        wanted = list(key_ids)
        found = self._store.last_uses(wanted)
        for key_id in wanted:
            latest = max(self._noted.get(key_id, -1), self._writing.get(key_id, -1), found.get(key_id, -1))
            if latest >= 0:
                found[key_id] = latest
        return found

    def take(self) -> dict[str, int]:
        """What was noted and not yet written. On the loop's own thread: nothing is noted meanwhile."""
        self._writing, self._noted = {**self._writing, **self._noted}, {}
        return self._writing

    def write(self, uses: Mapping[str, int]) -> None:
        """Write what was taken; on trouble it is kept for the next time, and logged once per kind. In any thread."""
        try:
            self._store.record_uses(uses)
        except StoreError as error:
            if self._trouble != error.code:
                _LOG.warning("cannot write when keys were last used: %s [%s]", error.message, error.code)
            self._trouble = error.code
            return
        self._trouble = None
        self._writing = {}

    async def run(self) -> None:
        """Write every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted, if anything was."""
        uses = self.take()
        if uses:
            await asyncio.to_thread(self.write, uses)
