"""Starting from the snapshot file of this node, and having it made anew when much has changed since.

The making happens in a process of its own. When that is done, every process that follows the changes starts anew from
the file beside its work, and gives up its own copy of what is in there: its memory stays small however much changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from policy_service.engine.base import FactBase
from policy_service.engine.ports import ProgramSource
from policy_service.engine.snapshot import Snapshot
from policy_service.model.errors import StoreError
from policy_service.service.following.replica import BATCH, Replica
from policy_service.service.following.snapshot_file import SnapshotFiles
from policy_service.service.following.snapshot_making import hash_at
from policy_service.service.ports import FactStore

SHARE: Final = 20
"""A file is not made anew before a twentieth of its facts have changed: to copy a fact takes a fifth of folding it."""

_TRIES: Final = 100
_PAUSE_S: Final = 0.01

_LOG: Final = logging.getLogger(__name__)


class Making(Protocol):
    """A process that makes a snapshot file (`subprocess.Popen` is one)."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        ...

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        ...

    def terminate(self) -> None:
        """Have it end."""
        ...


class SnapshotKeeper:
    """Looks after the snapshot file on behalf of one replica.

    Args:
        every: facts changed after which the file is made anew.
        interval_s: between two looks.
        make: starts the process that makes it; None: another process of this node looks after that.
    """

    def __init__(
        self,
        replica: Replica,
        store: FactStore,
        files: SnapshotFiles,
        programs: ProgramSource,
        *,
        every: int,
        make: Callable[[], Making] | None = None,
        interval_s: float = 1.0,
    ) -> None:
        self._replica = replica
        self._store = store
        self._files = files
        self._programs = programs
        self._every = every
        self._make = make
        self._interval_s = interval_s
        self._making: Making | None = None
        self._wanted_at = 0

    def start(self) -> int:
        """Begin with the newest file, and apply every change after it. The revision reached.

        Where more changes follow than a file may lag behind, the file is made first: folding a million keys in this
        process would leave it with the memory that took.

        Raises:
            StoreError: as `Replica.catch_up` does.
        """
        self._begin()
        may_make = self._make is not None
        while True:
            prepared = self._replica.prepare()
            self._replica.apply(prepared)
            if prepared.is_last:
                return self._replica.reached()
            if may_make and self._replica.weight >= self._limit():
                may_make = False
                self._make_first()

    def _begin(self) -> None:
        base = self._newest()
        if base is not None:
            self._replica.begin(base)

    def _newest(self) -> FactBase | None:
        """The newest file that this replica has not begun with."""
        return self._files.newest(hash_at(self._store), after=self._replica.base_revision)

    def _limit(self) -> int:
        return max(self._every, self._replica.base_size // SHARE)

    def _make_first(self) -> None:
        making = self._started()
        if making is not None and making.wait() == 0:
            self._begin()

    def _started(self) -> Making | None:
        assert self._make is not None
        try:
            return self._make()
        except OSError as error:
            _LOG.warning("cannot make a snapshot file: %s", error)
            return None

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._interval_s)
                await self.look()
        finally:
            self.close()

    async def look(self) -> None:
        """See whether a newer file is there to start from, or one should be made. Cheap where neither is so.

        Called on the event loop that the replica belongs to, now and then. Trouble is logged; a file is not needed.
        """
        if self._making is not None and self._making.poll() is not None:
            if self._making.wait() != 0:
                _LOG.warning("the snapshot file was not made: its process ended with %d", self._making.wait())
            self._making = None
            await self._start_anew()
        elif self._making is None and self._replica.weight >= max(self._limit(), self._wanted_at):
            # Whatever comes of it, the next try is not at the next look.
            self._wanted_at = self._replica.weight + self._limit()
            if self._make is not None:
                # Not in a thread: cancelled while it waits, this would leave a process behind that nobody knows of.
                self._making = self._started()
            else:
                await self._start_anew()

    def close(self) -> None:
        """Stop making a file."""
        if self._making is not None:
            self._making.terminate()
            self._making.wait()
            self._making = None

    async def _start_anew(self) -> None:
        """Let a snapshot that begins with the newest file take the place of this one, at the same revision."""
        try:
            former = await self._adopted()
        except StoreError as error:
            _LOG.warning("cannot start from the new snapshot file: %s [%s]", error.message, error.code)
            return
        if former is not None:
            self._wanted_at = 0
            for _ in former.dismantled():
                await asyncio.sleep(0)

    async def _adopted(self) -> Snapshot | None:
        """The snapshot whose place was taken; None where there was no newer file, or changes came too fast."""
        fresh = await asyncio.to_thread(self._folded)
        if fresh is None:
            return None
        for _ in range(_TRIES):
            former = self._replica.adopt(fresh)
            if former is not None:
                return former
            await asyncio.sleep(_PAUSE_S)
            await asyncio.to_thread(self._advance, fresh)
        return None

    def _folded(self) -> Snapshot | None:
        base = self._newest()
        if base is None:
            return None
        fresh = Snapshot(self._programs, base)
        self._advance(fresh)
        return fresh

    def _advance(self, fresh: Snapshot) -> None:
        """Apply the changes up to about where the replica is, and settle."""
        while fresh.revision < self._replica.revision:
            for change in self._store.changes_after(fresh.revision, BATCH):
                fresh.apply(change)
        fresh.settle()
