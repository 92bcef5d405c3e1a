"""A shard whose writer is gone: killed, or cut off from power. Its torn last line is cut, and what it holds is counted.

No evidence is lost: what is cut goes into a `.torn` file first. It was the beginning of a record that no answer ever
told of, since an answer waits for the whole record.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from policy_service.ledger.hashing import ShardTree, damaged
from policy_service.ledger.layout import FILE_MODE, Segment, segments
from policy_service.ledger.merkle import Tree
from policy_service.ledger.syncing import sync_folder

_BACKWARDS: Final = 1 << 16


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What an abandoned shard holds, now that it is whole.

    Args:
        tree: over its records.
        ends: each segment, with the tree as it was at its end; the last one is the whole.
        torn_bytes: how much of a record was cut off its end; 0 where nothing was.
    """

    shard: str
    tree: Tree
    ends: tuple[tuple[Segment, Tree], ...]
    torn_bytes: int

    @property
    def last(self) -> Segment | None:
        """Its last segment; None where it never had one."""
        return self.ends[-1][0] if self.ends else None


def recover(folder: Path, shard: str) -> Recovered:
    """Make a shard whole. Whoever calls holds its lock, so nobody writes it.

    Afterwards every segment has its hashes, and plain ones are on the disk. It may be done again at any time.

    Raises:
        OSError: a file cannot be read or written.
        StoreError: `ledger_damaged`: a segment is missing, or has lines that no crash explains.

    Cost: about 2 µs a record that is not sealed, 1 µs one that is.
    """
    there = segments(folder, shard)
    last = there[-1] if there else None
    torn_bytes = 0 if last is None else cut_torn_line(last)
    tree, ends = ShardTree(folder, shard), []
    while last is not None and tree.segment <= last:
        _take(tree)
        ends.append((tree.segment, Tree(tree.tree.size, tree.tree.peaks)))
        tree.next_segment()
    sync_folder(folder)
    return Recovered(shard=shard, tree=tree.tree, ends=tuple(ends), torn_bytes=torn_bytes)


def _take(tree: ShardTree) -> None:
    segment = tree.segment
    if segment.plain.exists():
        tree.take()
        _sync(segment.plain)
        _sync(segment.hashes)
    elif segment.hashes.exists():
        # Sealed; or its records were kept long enough, and were removed.
        tree.take_hashes()
    else:
        raise damaged(segment.plain, "is missing")


def cut_torn_line(segment: Segment) -> int:
    """Move what follows the last line feed of a segment into its `.torn` file. How many bytes that was.

    Raises:
        OSError: a file cannot be read or written.
    """
    if not segment.plain.exists():
        return 0
    with segment.plain.open("r+b") as records:
        size = os.fstat(records.fileno()).st_size
        end = _last_line_end(records.fileno(), size)
        if end == size:
            return 0
        _keep(segment, os.pread(records.fileno(), size - end, end))
        records.truncate(end)
        os.fsync(records.fileno())
    return size - end


def _last_line_end(descriptor: int, size: int) -> int:
    """Just past the last line feed of a file; 0 where there is none."""
    end = size
    while end > 0:
        start = max(end - _BACKWARDS, 0)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _keep(segment: Segment, torn: bytes) -> None:
    """On the disk before it is cut: a second crash in between keeps it twice rather than not at all."""
    descriptor = os.open(segment.torn, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "ab") as file:
        file.write(torn)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(segment.folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
