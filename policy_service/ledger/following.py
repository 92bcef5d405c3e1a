"""Lines as they are written: new ones of every shard of a folder, whatever segments end and shards begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from policy_service.ledger.layout import Segment, contents
from policy_service.ledger.reader import blocks
from policy_service.model.errors import StoreError


class Follower:
    """Where a reader has come to in each shard of a folder.

    Args:
        from_now: what is there already counts as read.
    """

    def __init__(self, folder: Path, *, from_now: bool = True) -> None:
        self._folder = folder
        self._read: dict[str, tuple[int, int]] = {}
        if from_now:
            for _ in self.new_lines():
                pass

    def new_lines(self) -> Iterator[bytes]:
        """The finished lines that came since the last call, shard by shard.

        A segment is left once the next one is there: then nobody writes it any more, and it was read to its end.

        Raises:
            StoreError: `ledger_unreadable`: the folder cannot be listed.
        """
        for shard, segments in contents(self._folder).items():
            for segment in segments:
                yield from self._of_segment(shard, segment)

    def _of_segment(self, shard: str, segment: Segment) -> Iterator[bytes]:
        number, offset = self._read.get(shard, (0, 0))
        if segment.number < number:
            return
        start = offset if segment.number == number else 0
        with suppress(StoreError):  # it was sealed while we looked: what is missing is read next time
            for block in blocks(segment.lines_path(), start):
                if block.lines:
                    start = block.offset + len(block.text) + 1
                yield from block.lines
        self._read[shard] = (segment.number, start)
