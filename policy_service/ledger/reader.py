"""Reading ledgers: the lines of a folder, or of any files, plain or compressed, whatever is in them.

Nothing here raises for what a file holds: a line that is no record is a value with its place, a compressed file that is
damaged ends with a word about it, and the last line of a segment that is still being written may be unfinished.

Memory does not grow with the length of a file.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec
import zstandard

from policy_service.ledger.codec import BadLine, decode_record
from policy_service.ledger.layout import FOLDER, Segment, contents, is_shard_id
from policy_service.ledger.record import DecisionRecord
from policy_service.model.errors import StoreError, UsageError

BLOCK: Final = 1 << 16
"""Bytes read at once: what a processor keeps near it, with what is made of them."""
MAX_LINE: Final = 1 << 20
"""Of a longer line only so much is kept: it is no record, whatever it is."""

_PACKED_BLOCK: Final = 1 << 17
"""Of a compressed file less at once: what comes before a damaged place is still read."""
_ENDINGS: Final = (".jsonl", ".jsonl.zst")
_SEGMENT: Final = re.compile(r"(.+)\.(\d{6,12})\.jsonl(?:\.zst)?", re.ASCII)


class Source(msgspec.Struct, frozen=True, order=True):
    """One file of records. Of which shard, and which of its segments, its name tells; "" and 0 where it does not."""

    shard: str
    number: int
    path: Path


class Block:
    """Lines that stand together.

    Args:
        offset: of the first of them in the (uncompressed) file.
        text: all of them, with line feeds between.
        is_empty: there are none; else an empty text is one empty line.
        rest: the beginning of a line that the file ends with, in its last block.
        trouble: why there is no more to be read, though there should be.
        position: how far the file itself is read, in bytes.
    """

    def __init__(
        self,
        offset: int,
        text: bytes,
        *,
        is_empty: bool = False,
        rest: bytes = b"",
        trouble: str | None = None,
        position: int = 0,
    ) -> None:
        self.offset = offset
        self.text = text
        self.is_empty = is_empty
        self.rest = rest
        self.trouble = trouble
        self.position = position

    @cached_property
    def count(self) -> int:
        """How many lines. Cost: 0.15 µs a line, as long as they are not taken apart."""
        return len(self.lines) if "lines" in self.__dict__ else len(self._fed().readlines())

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines one by one, taken apart when they are first asked for."""
        return [line[:-1] for line in self._fed()]

    def _fed(self) -> BytesIO:
        """The lines, each with its line feed. A stream finds them in half the time that `split` and `count` take."""
        return BytesIO() if self.is_empty else BytesIO(self.text + b"\n")


class Line(NamedTuple):
    """One line and where it stands: line numbers start at 1, offsets (of the uncompressed file) at 0."""

    source: Source
    number: int
    offset: int
    text: bytes


def sources(paths: Iterable[Path]) -> list[Source]:
    """The files of records among these files and folders, in the order they were written.

    A folder is a data directory, a ledger's own folder, or any that holds `.jsonl` or `.jsonl.zst` files.

    Raises:
        UsageError: `no_ledger`.
        StoreError: `ledger_unreadable`.
    """
    return sorted({source for path in paths for source in _sources_of(path)})


def _sources_of(path: Path) -> Iterator[Source]:
    if path.is_file():
        yield _source(path)
        return
    if not path.is_dir():
        raise UsageError("no_ledger", f"there is no ledger at `{path}`; name a data directory, or files of records")
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    for shard, segments in contents(folder).items():
        yield from (Source(shard, segment.number, segment.lines_path()) for segment in segments)
    for file in _files(folder):
        if file.name.endswith(_ENDINGS) and segment_of(file) is None:
            yield Source("", 0, file)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from None


def _source(path: Path) -> Source:
    segment = segment_of(path)
    return Source("", 0, path) if segment is None else Source(segment.shard, segment.number, path)


def blocks(path: Path, start: int = 0) -> Iterator[Block]:
    """The lines of a file from an offset on, which must be a line's first.

    Raises:
        StoreError: `ledger_unreadable`: it cannot be opened, or not be read.
    """
    with opened(path) as (stream, raw):
        rest, offset, dropped, trouble = b"", start, 0, None
        _skip(stream, start)
        while True:
            try:
                chunk = stream.read(_PACKED_BLOCK if stream is not raw else BLOCK)
            except zstandard.ZstdError as error:
                chunk, trouble = b"", f"its compression is damaged: {error}".lower()
            if not chunk:
                break
            text, feed, rest = (rest + chunk).rpartition(b"\n")
            if feed and dropped:
                # A line that was cut stands alone: where the next one begins is known only here.
                cut, feed, text = text.partition(b"\n")
                yield Block(offset, cut, position=raw.tell())
                offset, dropped = offset + len(cut) + 1 + dropped, 0
            if feed:
                yield Block(offset, text, position=raw.tell())
                offset += len(text) + 1
            excess = max(len(rest) - MAX_LINE, 0)
            rest, dropped = rest[: MAX_LINE + 1] if excess else rest, dropped + max(excess - 1, 0)
        yield Block(offset, b"", is_empty=True, rest=rest, trouble=trouble, position=raw.tell())


def holds(path: Path, needle: bytes) -> bool:
    """Whether bytes stand anywhere in a file's uncompressed content, as far as it can be read.

    Raises:
        StoreError: `ledger_unreadable`.

    Cost: 0.2 µs a record; a compressed one 1 µs.
    """
    seam, length = b"", len(needle)
    with opened(path) as (stream, _), suppress(zstandard.ZstdError):
        while chunk := stream.read(BLOCK):
            if needle in chunk or needle in seam + chunk[:length]:
                return True
            seam = (seam + chunk[-length:])[-length:]
    return False


def _skip(stream: IO[bytes], count: int) -> None:
    if stream.seekable():
        stream.seek(count)
        return
    while count > 0 and (skipped := stream.read(min(count, BLOCK))):
        count -= len(skipped)


def segment_of(path: Path) -> Segment | None:
    """Which segment of which shard a file holds, by its name; None where that does not tell."""
    named = _SEGMENT.fullmatch(path.name)
    return Segment(path.parent, named[1], int(named[2])) if named and is_shard_id(named[1]) else None


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The records of a file as a stream, and the file itself: the same, where it is not compressed.

    Raises:
        StoreError: `ledger_unreadable`, also for what happens while it is read.
    """
    try:
        with path.open("rb") as raw:
            if path.suffix != ".zst":
                yield raw, raw
                return
            with zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True, closefd=False) as stream:
                yield stream, raw
    except OSError as error:
        raise _unreadable(path, error) from None


def lines(path: Path | Source) -> Iterator[Line]:
    """The finished lines of a file, one by one. Raises as `blocks` does."""
    source = path if isinstance(path, Source) else _source(path)
    number = 0
    for block in blocks(source.path):
        offset = block.offset
        for text in block.lines:
            number += 1
            yield Line(source, number, offset, text)
            offset += len(text) + 1


def read(line: Line, *, is_checked: bool = True) -> DecisionRecord | BadLine:
    """The record of a line, or what is wrong with it."""
    return decode_record(line.text, is_checked=is_checked)


class Backward:
    """The lines of a file from its end to its beginning; a compressed one is spread out in a temporary file first.

    Args:
        end: the offset before which to start; None: at the end of the last finished line.

    Raises:
        StoreError: `ledger_unreadable`.
    """

    def __init__(self, path: Path, end: int | None = None) -> None:
        self._path = path
        self._end = end

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Offset and text of each line."""
        with seekable(self._path) as stream:
            end = _last_line_end(stream) if self._end is None else min(self._end, stream.seek(0, 2))
            while end > 0:
                start = _start_of_block(stream, end)
                stream.seek(start)
                texts = stream.read(end - start).split(b"\n")
                texts.pop()  # what was read ends with a line feed
                for text in reversed(texts):
                    end -= len(text) + 1
                    yield end, text


@contextmanager
def seekable(path: Path) -> Iterator[IO[bytes]]:
    """The uncompressed records of a file, to be read in any order. Raises as `opened` does."""
    with opened(path) as (stream, raw):
        if stream is raw:
            yield raw
            return
        with tempfile.TemporaryFile() as spread:
            try:
                while chunk := stream.read(BLOCK):
                    spread.write(chunk)
            except zstandard.ZstdError:
                pass  # what came before the damaged place can be read; `verify` tells of the rest
            yield spread


def _last_line_end(stream: IO[bytes]) -> int:
    """The offset behind the last line feed."""
    end = stream.seek(0, 2)
    while end > 0:
        start = max(end - BLOCK, 0)
        stream.seek(start)
        found = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _start_of_block(stream: IO[bytes], end: int) -> int:
    """The offset of a line's first byte, about a block before `end`, or further where a line is longer than that."""
    start = end
    while start > 0:
        start = max(start - BLOCK, 0)
        stream.seek(start)
        found = stream.read(min(BLOCK, end - 1 - start)).find(b"\n") if start else -1
        if start == 0 or found >= 0:
            return start + found + 1
    return 0


def _unreadable(path: Path, error: OSError) -> StoreError:
    reason = (error.strerror or "input failed").lower()
    return StoreError("ledger_unreadable", f"cannot read `{path}`: {reason}; are its files yours to read?")
