"""Names of the files of a ledger folder, and what is in one: shards and their segments, in order.

    <shard>.lock                     held under flock by the process that writes
    <shard>.checkpoint               the latest signed checkpoint
    <shard>.blocks                   hashes over each 256 records, which make proofs quick; it may be missing
    <shard>.000001.jsonl             the records of segment 1, one a line; once sealed
    <shard>.000001.jsonl.zst         the same, compressed
    <shard>.000001.hashes            their leaf hashes, 32 bytes each
    <shard>.000001.checkpoint        the checkpoint at its end
    <shard>.000001.torn              the beginning of a record that a crash cut off

A shard's id starts with when it was opened, so names sort by time. Files of other names are nobody's business here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from policy_service.model.errors import StoreError
from policy_service.model.instants import NS_PER_S

FOLDER: Final = "ledger"
"""The ledger's name within a data directory."""

TAIL_LENGTH: Final = 8
"""Random characters at the end of a shard's id: of two shards opened in one second each has its own name."""

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_SHARD: Final = rf"\d{{8}}T\d{{6}}-[0-9A-Za-z]{{{TAIL_LENGTH}}}"
_SHARD_ID: Final = re.compile(_SHARD, re.ASCII)
_SEGMENT: Final = re.compile(rf"({_SHARD})\.(\d{{6,}})\.(jsonl|jsonl\.zst)", re.ASCII)
_OF_SHARD: Final = re.compile(rf"({_SHARD})\.(?:lock|checkpoint)", re.ASCII)


def new_shard_id(opened_at: int, tail: str) -> str:
    """The id of a shard.

    Args:
        opened_at: nanoseconds UTC.
        tail: 8 random base62 characters.
    """
    opened = datetime.fromtimestamp(opened_at // NS_PER_S, UTC)
    shard = f"{opened:%Y%m%dT%H%M%S}-{tail}"
    if not is_shard_id(shard):
        raise ValueError(f"`{shard}` is no shard id")
    return shard


def is_shard_id(text: str) -> bool:
    """Whether a shard can have this id."""
    return _SHARD_ID.fullmatch(text) is not None


class Segment(msgspec.Struct, frozen=True, order=True):
    """The files of one segment, there or not. Segments of one folder are ordered as they were written."""

    folder: Path
    shard: str
    number: int

    @property
    def plain(self) -> Path:
        """The records, one a line."""
        return self._file("jsonl")

    @property
    def packed(self) -> Path:
        """The same, compressed with Zstandard."""
        return self._file("jsonl.zst")

    @property
    def hashes(self) -> Path:
        """The leaf hashes of the records, 32 bytes each, in order."""
        return self._file("hashes")

    @property
    def checkpoint(self) -> Path:
        """The signed checkpoint at the end of this segment."""
        return self._file("checkpoint")

    @property
    def torn(self) -> Path:
        """The beginning of a record whose writing a crash cut short: it was never answered."""
        return self._file("torn")

    def lines_path(self) -> Path:
        """Where the records are now: plain as long as there is a plain file, which is removed last."""
        return self.plain if self.plain.exists() else self.packed

    def next(self) -> Segment:
        """The one after it."""
        return Segment(self.folder, self.shard, self.number + 1)

    def _file(self, ending: str) -> Path:
        return self.folder / f"{self.shard}.{self.number:06d}.{ending}"


def first_segment(folder: Path, shard: str) -> Segment:
    """Where a shard begins."""
    return Segment(folder, shard, 1)


def lock_path(folder: Path, shard: str) -> Path:
    """Held under flock by the process that writes the shard; gone once it is closed."""
    return folder / f"{shard}.lock"


def checkpoint_path(folder: Path, shard: str) -> Path:
    """The latest signed checkpoint of the shard."""
    return folder / f"{shard}.checkpoint"


def blocks_path(folder: Path, shard: str) -> Path:
    """The roots of the whole blocks of the shard's tree, 32 bytes each. Nothing depends on it."""
    return folder / f"{shard}.blocks"


def contents(folder: Path) -> Mapping[str, list[Segment]]:
    """The shards of a folder, by id, each with its segments that have records, by number. One look at the folder.

    A folder that is not there has none. Every segment is named once, whether plain, compressed or, for a moment, both.

    Raises:
        StoreError: `ledger_unreadable`.
    """
    found: dict[str, set[int]] = {}
    for name in _names(folder):
        if segment := _SEGMENT.fullmatch(name):
            found.setdefault(segment[1], set()).add(int(segment[2]))
        elif shard := _OF_SHARD.fullmatch(name):
            found.setdefault(shard[1], set())
    return {shard: [Segment(folder, shard, number) for number in sorted(found[shard])] for shard in sorted(found)}


def shards(folder: Path) -> list[str]:
    """The ids of a folder's shards, in the order of their opening. Raises as `contents` does."""
    return list(contents(folder))


def segments(folder: Path, shard: str) -> list[Segment]:
    """The segments of a shard that have records, in order. Raises as `contents` does."""
    return contents(folder).get(shard, [])


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except FileNotFoundError:
        return
    except OSError as error:
        reason = (error.strerror or "input failed").lower()
        raise StoreError("ledger_unreadable", f"cannot list `{folder}`: {reason}; is it a folder of yours?") from None
