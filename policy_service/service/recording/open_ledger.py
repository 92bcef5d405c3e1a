"""This process's shard from its opening to its closing; and before that, the shards that nobody closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from policy_service.ledger.hashing import mapped_leaves
from policy_service.ledger.keys import load_signers
from policy_service.ledger.layout import Segment, checkpoint_path, contents
from policy_service.ledger.lock import ShardLock
from policy_service.ledger.recovery import Recovered, recover
from policy_service.ledger.shard import Limits, ShardWriter
from policy_service.ledger.trouble import as_trouble
from policy_service.model.errors import PolicyServiceError, StoreError
from policy_service.service.following.replica import Replica
from policy_service.service.ports import Clock, FactStore
from policy_service.service.recording.checkpoint_health import UNCLOSED, CheckpointHealth
from policy_service.service.recording.checkpoint_sinks import CheckpointSink
from policy_service.service.recording.checkpointer import Checkpointer
from policy_service.service.recording.checkpoints import REFUSED, Notary, read_checkpoint
from policy_service.service.recording.keeping import Keeping
from policy_service.service.recording.recorder import Recorder
from policy_service.service.recording.shards import Shards

_NOTE: Final = "the process that wrote it is gone"
_LOG: Final = logging.getLogger(__name__)


class LedgerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a ledger is kept.

    Args:
        key_path: `signing.key`.
        sink: where checkpoints go; None: they stay in the folder.
        retention_days: records are removed after so many days; None: never.
    """

    folder: Path
    key_path: Path
    limits: Limits
    interval_s: float
    sink: CheckpointSink | None = None
    retention_days: int | None = None


class Ledger:
    """Opens a shard of its own for this process, and closes it.

    Args:
        replica: belongs to the thread that calls, as long as no event loop runs.
        elapsed: seconds that go on whatever happens to the wall clock.
    """

    def __init__(
        self,
        plan: LedgerPlan,
        store: FactStore,
        replica: Replica,
        shards: Shards,
        clock: Clock,
        health: CheckpointHealth,
        *,
        elapsed: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._store = store
        self._replica = replica
        self._shards = shards
        self._clock = clock
        self._health = health
        self._elapsed = elapsed

    @contextmanager
    def open(self, recorder: Recorder) -> Iterator[None]:
        """Close what was left open, open a shard and have the recorder write to it, as long as the block runs.

        Raises:
            StoreError: no shard can be opened.
            UsageError: the signing key cannot be read.
        """
        load_signers(self._plan.key_path)
        self.check_history()
        self.close_abandoned()
        woken = threading.Event()
        writer = self._opened(woken)
        checkpointer = self._checkpointer(writer, woken)
        try:
            checkpointer.start()
            recorder.use(writer)
            yield
        finally:
            recorder.use(None)
            self._close(writer, checkpointer)

    def check_history(self) -> None:
        """Have it told where the facts are not those that the last checkpoint names.

        They decide all the same: an operator who restores a backup has nothing else to decide on. The checkpoint stays,
        and `ledger verify` will go on saying so.
        """
        named = [shard for shard in contents(self._plan.folder) if checkpoint_path(self._plan.folder, shard).exists()]
        if not named:
            return
        path = checkpoint_path(self._plan.folder, named[-1])
        try:
            with as_trouble():
                last = read_checkpoint(path, self._plan.key_path)
            if last.revision and not self._has_change(last.revision, last.chain):
                raise StoreError(
                    REFUSED,
                    f"change {last.revision} is not the one that `{path.name}` names: the store was set back or "
                    "rewritten; compare it with what you know was done",
                )
        except PolicyServiceError as error:
            self._health.contradicted(error)

    def close_abandoned(self) -> None:
        """Close the shards whose process is gone. What is wrong with one is told, and it stays as it is."""
        self._replica.catch_up()
        known = self._replica.standing.shards
        for shard, parts in contents(self._plan.folder).items():
            fact = known.get(shard)
            # A lock alone is of a process that opens one just now, or never did.
            if parts if fact is None else fact.closed_at is None:
                self._close_abandoned_one(shard, parts)
        self._replica.catch_up()

    def _close_abandoned_one(self, shard: str, parts: list[Segment]) -> None:
        with as_trouble():
            lock = ShardLock.take(self._plan.folder, shard)
        if lock is None:
            return  # its process lives
        is_done = False
        try:
            with as_trouble():
                self._settle(shard, parts)
            is_done = True
        except PolicyServiceError as error:
            self._health.unclosed(error)
        finally:
            lock.release(is_done=is_done)

    def _settle(self, shard: str, parts: list[Segment]) -> None:
        """Make a shard whole, sign what it holds, and close it."""
        fact = self._shards.find(shard)
        if fact is None:
            _drop_empty(shard, parts)
            return
        if fact.closed_at is not None:
            return  # another worker closed it between our look and our lock
        recovered = recover(self._plan.folder, shard)
        _tell(recovered)
        notary = self._notary(shard)
        notary.resume()
        leaves = mapped_leaves(segment for segment, _ in recovered.ends)
        for segment, tree in recovered.ends[:-1]:
            if not segment.checkpoint.exists():
                notary.sign(tree, segment, leaves)
        notary.sign(recovered.tree, recovered.last, leaves)
        self._shards.close(shard, recovered.tree.size, recovered.tree.root(), note=_NOTE)

    def _opened(self, woken: threading.Event) -> ShardWriter:
        """A writer of a shard that the facts know, and this process's snapshot of them too."""
        shard = self._shards.name()
        plan = self._plan
        writer = ShardWriter(plan.folder, shard.id, plan.limits, elapsed=self._elapsed, rotated=woken.set)
        try:
            self._shards.open(shard)
            self._replica.catch_up()
        except BaseException:
            writer.close(is_done=False)
            raise
        return writer

    def _checkpointer(self, writer: ShardWriter, woken: threading.Event) -> Checkpointer:
        plan = self._plan
        keeping = Keeping(plan.folder, self._shards, plan.key_path, self._clock, self._health, plan.retention_days)
        return Checkpointer(
            writer,
            self._notary(writer.shard),
            keeping,
            self._health,
            woken=woken,
            sink=plan.sink,
            interval_s=plan.interval_s,
            elapsed=self._elapsed,
        )

    def _notary(self, shard: str) -> Notary:
        return Notary(self._plan.folder, shard, self._plan.key_path, lambda: self._replica.standing, self._clock)

    def _close(self, writer: ShardWriter, checkpointer: Checkpointer) -> None:
        """Sign the last checkpoint and close the shard; where that fails the next start does it."""
        is_done = False
        try:
            tree = checkpointer.finish()
            self._shards.close(writer.shard, tree.size, tree.root())
            is_done = True
        except PolicyServiceError as error:
            _LOG.error("the shard stays open, the next start closes it: %s [%s]", error.message, error.code)
        finally:
            writer.close(is_done=is_done)

    def _has_change(self, revision: int, chain: str) -> bool:
        if revision > self._store.head():
            return False
        return any(change.hash == chain for change in self._store.changes_after(revision - 1, 1))


def _tell(recovered: Recovered) -> None:
    _LOG.warning("closing the shard %s of a process that is gone: %d records", recovered.shard, recovered.tree.size)
    if recovered.torn_bytes and recovered.last is not None:
        _LOG.warning(
            "the last line of `%s` was torn: its %d bytes are in `%s`; it was never answered",
            recovered.last.plain.name,
            recovered.torn_bytes,
            recovered.last.torn.name,
        )


def _drop_empty(shard: str, parts: list[Segment]) -> None:
    """Forget a shard that a process began to open and never did. One with records is somebody else's."""
    if any(path.stat().st_size for part in parts for path in (part.plain, part.packed) if path.exists()):
        raise StoreError(
            UNCLOSED, f"the store knows nothing of shard `{shard}`, which has records; is it the ledger's own store?"
        )
    for part in parts:
        part.plain.unlink(missing_ok=True)
