"""Segments that nobody writes any more are sealed: compressed, read back, and only then is the plain file removed.

INVARIANT: records are never removed unless a compressed copy was read back and is, record for record, what was hashed
and signed (test_sealing: a copy or an original that was altered).
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Final

import zstandard

from policy_service.ledger.hashing import CHUNK, damaged
from policy_service.ledger.layout import FILE_MODE, Segment
from policy_service.ledger.merkle import HASH_BYTES, leaf_hashes
from policy_service.ledger.syncing import sync_folder
from policy_service.model.errors import StoreError

LEVEL: Final = 6
"""Of Zstandard: records shrink to a tenth or less; higher levels take many times as long for little."""

_BATCH: Final = 512


def is_ready(segment: Segment) -> bool:
    """Whether a segment can be sealed: it is not yet, and its records were hashed and signed to its end."""
    return segment.plain.exists() and segment.hashes.exists() and segment.checkpoint.exists()


def seal(segment: Segment) -> int:
    """Compress a segment and remove the plain file. The bytes saved. It may be tried again after any failure.

    Raises:
        OSError: a file cannot be read or written; the plain file is still there.
        StoreError: `ledger_damaged`: the records are not those that were hashed; both are left as evidence.

    Cost: 1 s for some 100 MiB, most of it without holding up other threads.
    """
    size = segment.plain.stat().st_size
    beside = segment.packed.with_name(f"{segment.packed.name}.new")
    _compress(segment.plain, beside)
    try:
        _compare(beside, segment)
    except StoreError:
        beside.unlink()
        raise
    beside.replace(segment.packed)
    sync_folder(segment.folder)
    segment.plain.unlink()
    return size - segment.packed.stat().st_size


def check_sealed(segment: Segment) -> None:
    """Return if a segment is sealed and its records are those that were signed.

    Raises:
        OSError: a file cannot be read.
        StoreError: `ledger_unsealed`; `ledger_damaged`: the records are others.
    """
    if segment.plain.exists() or not segment.checkpoint.exists():
        raise StoreError("ledger_unsealed", f"`{segment.plain.name}` is not sealed; only sealed records are removed")
    _compare(segment.packed, segment)


def remove(segment: Segment) -> None:
    """Remove the records of a sealed segment, of which hashes and checkpoint stay: later ones still verify.

    Raises: as `check_sealed`; then the records are left as evidence.
    """
    check_sealed(segment)
    segment.packed.unlink()
    sync_folder(segment.folder)


def packed_lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a compressed segment, each with its line feed. Raises zstandard.ZstdError for damaged ones."""
    unpacked = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    return iter(io.BufferedReader(unpacked, CHUNK))


def _compress(plain: Path, packed: Path) -> None:
    descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, FILE_MODE)
    with plain.open("rb") as source, os.fdopen(descriptor, "wb") as target:
        size = os.fstat(source.fileno()).st_size
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
        compressor.copy_stream(source, target, size=size)
        target.flush()
        os.fsync(target.fileno())


def _compare(packed: Path, segment: Segment) -> None:
    """Return if the compressed records have the leaf hashes that were signed, all of them and no others."""
    try:
        with packed.open("rb") as file, segment.hashes.open("rb") as hashes:
            lines = packed_lines(file)
            while batch := list(islice(lines, _BATCH)):
                found = leaf_hashes(line.removesuffix(b"\n") for line in batch)
                if hashes.read(len(found) * HASH_BYTES) != b"".join(found) or not batch[-1].endswith(b"\n"):
                    raise _altered(segment)
            if hashes.read(1):
                raise _altered(segment)
    except zstandard.ZstdError:
        raise damaged(segment.packed, "cannot be decompressed") from None


def _altered(segment: Segment) -> StoreError:
    return damaged(segment.plain, "holds other records than those that were signed")
