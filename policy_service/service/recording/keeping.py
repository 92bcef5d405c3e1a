"""Segments that nobody writes any more: they are sealed, and removed when they were kept long enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from policy_service.ledger.layout import Segment, contents
from policy_service.ledger.lock import ShardLock
from policy_service.ledger.sealing import check_sealed, is_ready, remove, seal
from policy_service.ledger.trouble import trouble
from policy_service.model.errors import StoreError
from policy_service.model.instants import NS_PER_S
from policy_service.service.ports import Clock
from policy_service.service.recording.checkpoint_health import CheckpointHealth
from policy_service.service.recording.checkpoints import read_checkpoint
from policy_service.service.recording.shards import Shards

DAY_NS: Final = 86_400 * NS_PER_S


class Keeping:
    """Seals the segments of a folder, and removes old ones. It may be stopped between any two.

    A segment that cannot be sealed or removed is told once and left alone until the next start: it is evidence.

    Args:
        key_path: `signing.key`, beside which the verifier keys are.
        retention_days: records are removed that long after their segment's checkpoint; None: never.
    """

    def __init__(
        self,
        folder: Path,
        shards: Shards,
        key_path: Path,
        clock: Clock,
        health: CheckpointHealth,
        retention_days: int | None = None,
    ) -> None:
        self._folder = folder
        self._shards = shards
        self._key_path = key_path
        self._clock = clock
        self._health = health
        self._retention_days = retention_days
        self._left_alone: set[Segment] = set()
        self._signed_at: dict[Segment, int] = {}

    def tidy(self, live: Segment, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """Seal and remove what is due.

        Args:
            live: the segment that this process writes: of its shard only those before it are touched.

        Raises:
            StoreError: the folder cannot be listed, or a removal cannot be told of.
        """
        for shard, parts in contents(self._folder).items():
            due = [part for part in parts if (shard != live.shard or part < live) and self._is_due(part)]
            if due and not is_stopping():
                with self._held(shard, live) as is_ours:
                    # Another worker may have taken care of it between the look and the lock.
                    still = [part for part in due if self._is_due(part)] if is_ours else []
                    self._tidy_shard(shard, still, is_stopping)

    @contextmanager
    def _held(self, shard: str, live: Segment) -> Iterator[bool]:
        """Whether this process alone cares for a shard, for the moment."""
        lock = None if shard == live.shard else ShardLock.take(self._folder, shard)
        try:
            yield shard == live.shard or lock is not None
        finally:
            if lock is not None:
                lock.release(is_done=True)

    def _is_due(self, segment: Segment) -> bool:
        return segment not in self._left_alone and (is_ready(segment) or self._is_expired(segment))

    def _is_expired(self, segment: Segment) -> bool:
        """Whether sealed records were kept long enough: by the time of the checkpoint that was signed after them."""
        if self._retention_days is None or segment.plain.exists() or not segment.packed.exists():
            return False
        if segment not in self._signed_at and not self._attempt(self._note_signing, segment):
            return False
        return self._clock.now() - self._signed_at[segment] > self._retention_days * DAY_NS

    def _note_signing(self, segment: Segment) -> None:
        self._signed_at[segment] = read_checkpoint(segment.checkpoint, self._key_path).time

    def _tidy_shard(self, shard: str, due: list[Segment], is_stopping: Callable[[], bool]) -> None:
        ready = [segment for segment in due if is_ready(segment)]
        for segment in ready:
            if not is_stopping():
                self._attempt(seal, segment)
        expired = [segment for segment in due if segment not in ready and self._attempt(check_sealed, segment)]
        if expired and self._retention_days is not None:
            # Told before it is done: a removal that nobody told of is a theft.
            self._shards.note_expiry(shard, [segment.number for segment in expired], self._retention_days)
            for segment in expired:
                self._attempt(remove, segment)

    def _attempt(self, act: Callable[[Segment], object], segment: Segment) -> bool:
        """Whether it was done. What is not as it should be is left alone; what the system refused is tried again."""
        try:
            act(segment)
        except StoreError as error:
            self._left_alone.add(segment)
            self._health.unkept(error)
            return False
        except OSError as error:
            self._health.unkept(trouble(error))
            return False
        return True
