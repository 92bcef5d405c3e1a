"""The leaf hashes of a shard's records, in a file beside each segment, and the tree over all of them.

They are made from the records' files, beside the writing: whoever decides does not wait for them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Final

from policy_service.ledger.layout import FILE_MODE, Segment, blocks_path, first_segment
from policy_service.ledger.merkle import BLOCK, HASH_BYTES, Buffer, LeafHashes, Tree, leaf_hashes
from policy_service.model.errors import StoreError

CHUNK: Final = 1 << 18
"""Bytes taken at a time: more than any record has, and little enough for other threads to get their turn."""

SLICE: Final = 64
"""Lines hashed at a time, in some 0.1 ms: while they are, no other thread of this process runs Python."""

DAMAGED: Final = "ledger_damaged"


class ShardTree:
    """The tree over a shard's records as far as they were taken, from the first. Taking writes the `.hashes` files.

    After an error the same call may be made again: what was taken stays, and nothing is taken twice.

    Args:
        rest: called after each slice of the work. Where other threads decide meanwhile it should sleep: a thread that
            only works holds each of their answers up for as long as the interpreter lets it, several times over.

    Attributes:
        tree: of all records taken.
        segment, taken: the segment that is being taken, and how many of its bytes were.
    """

    def __init__(self, folder: Path, shard: str, rest: Callable[[], object] = lambda: None) -> None:
        self._rest = rest
        self.tree = Tree()
        self.segment = first_segment(folder, shard)
        self.taken = 0
        self._before = 0
        self._blocks = blocks_path(folder, shard)

    def take(self, end: int | None = None) -> None:
        """Take the records of the segment up to the byte `end`, where a record ends; None: all there are.

        Raises:
            OSError: a file cannot be read or written.
            StoreError: `ledger_damaged`: there are no whole records up to there.

        Cost: about 2 µs a record.
        """
        with self.segment.plain.open("rb") as records, self._hashes() as hashes:
            size = os.fstat(records.fileno()).st_size if end is None else end
            while self.taken < size:
                records.seek(self.taken)
                chunk = records.read(min(CHUNK, size - self.taken))
                self._take(chunk[: chunk.rfind(b"\n") + 1], hashes)

    def take_hashes(self) -> None:
        """Take a sealed segment's hashes as they are: its records were compared with them before it was sealed.

        Raises:
            OSError: there are none.
            StoreError: `ledger_damaged`: the file is cut short.
        """
        leaves = self.segment.hashes.read_bytes()
        if len(leaves) % HASH_BYTES:
            raise damaged(self.segment.hashes, "is cut short")
        self._grow(LeafHashes(leaves).between(0, len(leaves) // HASH_BYTES))

    def next_segment(self) -> None:
        """Go on with the segment after this one."""
        self.segment, self.taken, self._before = self.segment.next(), 0, self.tree.size

    def _take(self, whole: bytes, hashes: IO[bytes]) -> None:
        if not whole:
            raise damaged(self.segment.plain, f"has no whole record at byte {self.taken}")
        lines, found = whole[:-1].split(b"\n"), list[bytes]()
        for start in range(0, len(lines), SLICE):
            found += leaf_hashes(lines[start : start + SLICE])
            self._rest()
        hashes.write(b"".join(found))
        hashes.flush()
        self._grow(found)
        self.taken += len(whole)
        self._rest()

    def _grow(self, leaves: Iterable[bytes]) -> None:
        """Add leaves to the tree, and keep the roots of blocks that became whole.

        Those are for quick proofs alone: where they cannot be written there are none, or wrong ones, which the maker of
        a proof finds out.
        """
        before = self.tree.size // BLOCK * HASH_BYTES
        blocks = self.tree.extend(leaves)
        if not blocks:
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(self._blocks, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.truncate(before)
                file.seek(before)
                file.write(b"".join(blocks))

    def _hashes(self) -> IO[bytes]:
        """The file of hashes, cut to those that are taken: others are of an attempt that failed."""
        descriptor = os.open(self.segment.hashes, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
        file = os.fdopen(descriptor, "wb")
        file.truncate((self.tree.size - self._before) * HASH_BYTES)
        file.seek(0, os.SEEK_END)
        return file


def kept_leaves(folder: Path, shard: str, parts: Iterable[Segment], *, with_blocks: bool) -> LeafHashes:
    """The leaf hashes of a shard as far as there are files of them, for proofs: whatever is wrong, the proof fails."""
    blocks = _whole(blocks_path(folder, shard)) if with_blocks else b""
    return LeafHashes(*(_whole(segment.hashes) for segment in parts), blocks=blocks)


def _whole(path: Path) -> Buffer:
    """The whole hashes of a file; none where it cannot be read."""
    try:
        content = memoryview(_mapped(path))
    except OSError:
        return b""
    return content[: len(content) // HASH_BYTES * HASH_BYTES]


def hashed(segment: Segment) -> int:
    """How many records a segment has by its hashes."""
    try:
        return segment.hashes.stat().st_size // HASH_BYTES
    except OSError:
        return 0


def mapped_leaves(parts: Iterable[Segment]) -> LeafHashes:
    """The leaf hashes of segments, where they lie: not in memory. Raises OSError; ValueError for a file cut short."""
    return LeafHashes(*(_mapped(segment.hashes) for segment in parts))


def _mapped(path: Path) -> Buffer:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""  # no memory can be mapped of nothing
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def damaged(path: Path, trouble: str) -> StoreError:
    """A file of the ledger is not what this process left there."""
    return StoreError(DAMAGED, f"`{path.name}` {trouble}; run `ledger verify`, and restore it from a backup")
