"""One segment read once, as quickly as can be: the hashes of its lines, the roots of their blocks, the decision ids.

Nothing is judged here. Where anything is not as it should be, whoever judges looks at the lines one by one. So the way
through a sound segment is short: two hashes a record are most of it.

INVARIANT: it gives the hashes, roots and ids that the lines give one by one (test_scan: one by one).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from policy_service.ledger.codec import BadLine, decode_record
from policy_service.ledger.decision_ids import ID_LENGTH, Fingerprints, fingerprints
from policy_service.ledger.layout import Segment
from policy_service.ledger.merkle import BLOCK, HASH_BYTES, LeafHashes, Tree, block_roots, leaf_hashes
from policy_service.ledger.reader import Block, blocks
from policy_service.ledger.salvage import salvaged
from policy_service.model.errors import StoreError

_BLOCK_BYTES: Final = BLOCK * HASH_BYTES
_IDS: Final = re.compile(rb'\},"id":"([^"]{22})"')
"""A record's own id in the canonical form: there its `facts` end."""


class _Named(msgspec.Struct):
    id: str


_ID: Final = msgspec.json.Decoder(_Named)


class Task(msgspec.Struct, frozen=True):
    """A segment to scan.

    Args:
        base: how many records its shard has before it, as far as is known.
        covered: how many records of the shard a checkpoint vouches for.
    """

    segment: Segment
    base: int = 0
    covered: int = 0


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What a segment's file holds.

    Args:
        base: as in the task: records from `covered` on were looked at one by one.
        hashes: of its finished lines, one after the other.
        roots: of the whole blocks of its shard's tree that lie in it, from block `first_block` on.
        kept: the hashes that are kept beside it; None where there are none.
        ids: fingerprints of the decision ids.
        stood: revision and chain hash that records stand on for which no checkpoint vouches.
        is_odd: whether one of those is no good record.
        rest: what follows the finished lines. trouble: why there is no more to be read.
    """

    base: int = 0
    hashes: bytes = b""
    roots: Sequence[bytes] = ()
    kept: bytes | None = None
    ids: Fingerprints = msgspec.field(default_factory=fingerprints)
    stood: frozenset[tuple[int, str]] = frozenset()
    is_odd: bool = False
    rest: bytes = b""
    trouble: str | None = None
    is_gone: bool = False

    @property
    def finished(self) -> int:
        """How many lines are finished."""
        return len(self.hashes) // HASH_BYTES

    @property
    def first_block(self) -> int:
        """The number in its shard of the first whole block."""
        return -(-self.base // BLOCK)

    def as_kept(self) -> Scan:
        """What it would be if the lines had the hashes that are kept."""
        return Scan(base=self.base, hashes=self.kept or b"")

    def grow(self, tree: Tree, size: int) -> None:
        """Add the lines' hashes to the shard's tree, until it has so many leaves."""
        leaves, base, first = LeafHashes(self.hashes), self.base, self.first_block
        start = max(-(-tree.size // BLOCK), first)
        end = min(size // BLOCK, first + len(self.roots))
        if start < end:
            tree.extend(leaves.between(tree.size - base, start * BLOCK - base))
            tree.extend_blocks(self.roots[start - first : end - first])
        tree.extend(leaves.between(tree.size - base, size - base))


Tell = Callable[[tuple[int, int]], object]
"""Told how many bytes of the file and how many lines were read since."""

_TOLD: Final = 1 << 20
"""Bytes of a file after which it is told: another process that is told has work of its own."""


def scan(task: Task, tell: Tell = lambda _read: None) -> Scan:
    """Read a segment. Nothing that its files hold raises; nor does a file that cannot be read.

    Cost: 2 µs a record that is vouched for, 7 µs one that is not; memory for the hashes.
    """
    # The hashes first: a server that is running may write more of both in between.
    kept = kept_hashes(task.segment)
    path = _open_path(task.segment)
    if path is None:
        return Scan(base=task.base, kept=kept, is_gone=True)
    return _Scanning(task, kept, tell).run(path)


class _Scanning:
    """One run."""

    def __init__(self, task: Task, kept: bytes | None, tell: Tell) -> None:
        self._task = task
        self._tell = tell
        self._told = (0, 0)
        self._kept = kept
        self._hashes = bytearray()
        self._roots: list[bytes] = []
        self._rooted = -task.base % BLOCK * HASH_BYTES
        self._ids = fingerprints()
        self._stood: set[tuple[int, str]] = set()
        self._is_odd = False

    def run(self, path: Path) -> Scan:
        rest, trouble, offset = b"", None, 0
        try:
            for block in blocks(path):
                self._take(block)
                rest, trouble, offset = block.rest, block.trouble, block.offset
                self._advance(block)
        except StoreError as error:
            trouble = error.message
        if trouble is not None and path == self._task.segment.packed:
            *more, rest = salvaged(path, offset).split(b"\n")
            self._hash(more)
        hashes = bytes(self._hashes)
        return Scan(
            base=self._task.base,
            hashes=hashes,
            roots=self._roots,
            kept=hashes if self._kept == hashes else self._kept,
            ids=self._ids,
            stood=frozenset(self._stood),
            is_odd=self._is_odd,
            rest=rest,
            trouble=trouble,
        )

    def _advance(self, block: Block) -> None:
        size, lines = self._told
        read, found = block.position, len(self._hashes) // HASH_BYTES
        if read - size >= _TOLD or block.is_empty:  # the last one has no lines
            self._tell((read - size, found - lines))
            self._told = (read, found)

    def _take(self, block: Block) -> None:
        covered = self._task.covered - self._task.base - len(self._hashes) // HASH_BYTES
        if len(block.lines) <= covered:
            self._ids += fingerprints(_ids_of(block))
        else:
            covered = max(covered, 0)
            self._ids += fingerprints(_ids_one_by_one(block.lines[:covered]))
            for line in block.lines[covered:]:
                self._look_at(line)
        self._hash(block.lines)

    def _hash(self, texts: Sequence[bytes]) -> None:
        hashes, rooted = self._hashes, self._rooted
        hashes += b"".join(leaf_hashes(texts))
        whole = (len(hashes) - rooted) // _BLOCK_BYTES * _BLOCK_BYTES
        if whole > 0:
            self._roots += block_roots(bytes(hashes[rooted : rooted + whole]))
            self._rooted += whole

    def _look_at(self, text: bytes) -> None:
        """A line that nobody vouches for."""
        record = decode_record(text)
        if isinstance(record, BadLine):
            self._is_odd = True
        else:
            self._ids.append(hash(record.id.encode()[:ID_LENGTH]))
            self._stood.add((record.revision, record.chain))


def kept_hashes(segment: Segment) -> bytes | None:
    """The whole hashes in a segment's file of them; None where there is none."""
    try:
        content = segment.hashes.read_bytes()
    except OSError:
        return None
    return content[: len(content) // HASH_BYTES * HASH_BYTES]


def _ids_of(block: Block) -> list[bytes]:
    """The decision ids of lines: at once where all are as they are written, else one by one."""
    # A search for the whole block costs half of what a look at each line does.
    ids: list[bytes] = _IDS.findall(block.text)
    return ids if len(ids) == len(block.lines) else _ids_one_by_one(block.lines)


def _ids_one_by_one(texts: Iterable[bytes]) -> list[bytes]:
    return [found.encode()[:ID_LENGTH] for found in map(id_of, texts) if found is not None]


def id_of(line: bytes | None) -> str | None:
    """The decision id in a line, whatever else is in it."""
    try:
        return None if line is None else _ID.decode(line).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _open_path(segment: Segment) -> Path | None:
    """Where the records are; None where they are gone. A server may seal the segment just now: looked at twice."""
    return next((path for path in (segment.plain, segment.packed, segment.packed) if path.exists()), None)
