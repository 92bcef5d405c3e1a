"""Recorded lines in the order of their revisions, whatever the order of files, shards and lines.

What a shard wrote is in that order already and is only merged, group by group. A line that stands behind a later one is
set aside, in sorted runs on disk, and comes in a second pass. So memory is flat however much there is.

Only what a replay compares is decoded of a line; its spelling is for `verify` to judge.
"""

from __future__ import annotations

import heapq
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple, Protocol

import msgspec

from policy_service.ledger.codec import BadLine, decode_record
from policy_service.ledger.reader import Block, Source, blocks
from policy_service.ledger.record import SCHEMA

RUN_BYTES: Final = 64 << 20
"""Of lines out of order, in memory at once."""
_BATCH: Final = 1024
_ABSENT: Final = msgspec.Raw(b"")
_COST_A_LINE: Final = 120
"""Bytes that a line takes in memory besides its own."""


class HasLines(Protocol):
    """A block, or some of its lines."""

    @property
    def lines(self) -> list[bytes]:
        """Their texts."""
        ...


class Texts(NamedTuple):
    """Lines that were chosen."""

    lines: list[bytes]


class Asked(msgspec.Struct, gc=False, kw_only=True):
    """A recorded request in its two halves: the credential, and all else. Members in the order of the line."""

    context: msgspec.Raw = _ABSENT
    credential: msgspec.Raw
    resource: msgspec.Raw
    scope: msgspec.Raw
    source_ip: msgspec.Raw = _ABSENT

    def halves(self) -> tuple[bytes, bytes]:
        """The credential, and the rest: values of JSON one behind the other, which no others give.

        To join is the quickest way from a Raw to its bytes.
        """
        return b"".join((self.credential,)), b"".join((self.resource, self.scope, self.context, self.source_ip))

    def whole(self) -> bytes:
        """The request, in some spelling."""
        members = zip(self.__struct_fields__, msgspec.structs.astuple(self), strict=True)
        return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in members if bytes(value))


class Compared(msgspec.Struct, gc=False, kw_only=True):
    """The members of a record that a replay derives again, and what it derives them from.

    They stand here as they stand in a line: so each is found at the first look.
    """

    at: str
    bundle: str
    chain: str
    check: str | None = None
    decision: str
    facts: msgspec.Raw
    principal: msgspec.Raw = _ABSENT
    reason: str
    request: Asked
    revision: int
    rule: str | None = None
    semantics: int
    v: int
    workspace: str


class Group(NamedTuple):
    """Lines of one revision that stand together.

    Args:
        lines: what is compared of each.
        all_texts: has their texts, from `start` on: taken apart only where they are asked for.
    """

    revision: int
    lines: Sequence[Compared]
    all_texts: HasLines
    start: int = 0

    @property
    def texts(self) -> Sequence[bytes]:
        """The text of each line."""
        return self.all_texts.lines[self.start : self.start + len(self.lines)]

    def text(self, number: int) -> bytes:
        """The text of one line, from 0."""
        return self.all_texts.lines[self.start + number]


class Unread(NamedTuple):
    """A line, or the rest of a file, that is no record.

    Args:
        number: of the line; 0 for what concerns the file.
        code: `malformed_line`, `unknown_schema`; `torn_line`, a file ends within a line; `damaged_file`.
    """

    path: Path
    number: int
    code: Literal["malformed_line", "unknown_schema", "not_canonical", "torn_line", "damaged_file"]
    message: str


LineFilter = Callable[[bytes], bool]
_DECODER: Final = msgspec.json.Decoder(Compared)


class RecordOrder:
    """All records of some files, by revision.

    Args:
        wanted: of all lines those that count; None: all.
        progress: told how many bytes of the files were read since it was told last.
        run_bytes: memory for lines out of order.

    Attributes:
        unread: gets what is no record, as it is met.
        set_aside: how many lines stood behind later ones.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        unread: Callable[[Unread], None],
        *,
        wanted: LineFilter | None = None,
        progress: Callable[[int], None] = lambda _count: None,
        run_bytes: int = RUN_BYTES,
    ) -> None:
        self._streams = [list(files) for _, files in groupby(sorted(sources), _stream_name)]
        self._unread = unread
        self._wanted = wanted
        self._progress = progress
        self._aside = _Aside(run_bytes)

    @property
    def set_aside(self) -> int:
        """Lines that stood behind later ones, as far as was read."""
        return self._aside.count

    def passes(self) -> Iterator[Iterator[Group]]:
        """Groups, their revisions never falling within a pass. The first has all that is in order, a second the rest.

        Raises:
            StoreError: `ledger_unreadable`.
        """
        yield _merged((_first_revision(files), self._in_order(files)) for files in self._streams)
        if self._aside.count:
            yield _merged((0, run) for run in self._aside.runs())

    def _in_order(self, files: Iterable[Source]) -> Iterator[Group]:
        """The groups of one stream; lines that come too late for their place are set aside."""
        last = 0
        for source in files:
            for lines, texts in self._records(source):
                for group in grouped(lines, texts):
                    if group.revision < last:
                        self._aside.put(group)
                    else:
                        last = group.revision
                        yield group

    def _records(self, source: Source) -> Iterator[tuple[list[Compared], HasLines]]:
        """The records of a file, block by block."""
        before = position = 0
        for block in blocks(source.path):
            yield self._decoded(source.path, before, block)
            before += block.count
            self._progress(block.position - position)
            position = block.position
            self._tell_end(source.path, before, block)

    def _decoded(self, path: Path, before: int, block: Block) -> tuple[list[Compared], HasLines]:
        if self._wanted is not None:
            return self._one_by_one(path, before, block.lines, self._wanted)
        try:
            lines = _DECODER.decode_lines(block.text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            lines = []
        # As many as there are lines, or some line is none that can be decoded: an empty one, or one with a tail.
        if len(lines) == block.count and all(line.v == SCHEMA for line in lines):
            return lines, block
        return self._one_by_one(path, before, block.lines, lambda _text: True)

    def _one_by_one(
        self, path: Path, before: int, texts: list[bytes], wanted: LineFilter
    ) -> tuple[list[Compared], HasLines]:
        lines, kept = [], list[bytes]()
        for number, text in enumerate(texts, start=before + 1):
            line = _line(text)
            if line is None or line.v != SCHEMA:
                self._tell_bad(path, number, text)
            elif wanted(text):
                lines.append(line)
                kept.append(text)
        return lines, Texts(kept)

    def _tell_bad(self, path: Path, number: int, text: bytes) -> None:
        found = decode_record(text, is_checked=False)
        if isinstance(found, BadLine):
            self._unread(Unread(path, number, found.code, found.message))
        else:
            self._unread(Unread(path, number, "malformed_line", "its numbers are out of bounds"))

    def _tell_end(self, path: Path, before: int, block: Block) -> None:
        if block.trouble is not None:
            self._unread(Unread(path, 0, "damaged_file", block.trouble))
        elif block.rest:
            self._unread(Unread(path, before + 1, "torn_line", "the file ends within this line: it was never answered"))


class _Aside:
    """Lines out of order: in memory up to a bound, then in sorted runs on disk."""

    def __init__(self, most_bytes: int) -> None:
        self.count = 0
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lines: list[tuple[int, bytes]] = []
        self._runs: list[IO[bytes]] = []

    def put(self, group: Group) -> None:
        """Keep these lines for later."""
        self.count += len(group.texts)
        self._lines += [(group.revision, text) for text in group.texts]
        self._bytes += sum(map(len, group.texts)) + len(group.texts) * _COST_A_LINE
        if self._bytes > self._most_bytes:
            self._write()

    def runs(self) -> Iterator[Iterator[Group]]:
        """The groups of each run, in order."""
        if self._lines:
            self._write()
        for run in self._runs:
            run.seek(0)
            yield _groups_of(run)

    def _write(self) -> None:
        run = tempfile.TemporaryFile()  # noqa: SIM115 - closed once it is read
        self._lines.sort(key=itemgetter(0))
        run.writelines(text + b"\n" for _, text in self._lines)
        self._runs.append(run)
        self._lines, self._bytes = [], 0


def _groups_of(run: IO[bytes]) -> Iterator[Group]:
    """What was written of a run, again."""
    with run:
        while texts := [text[:-1] for text in islice(run, _BATCH)]:
            yield from grouped(_DECODER.decode_lines(b"\n".join(texts)), Texts(texts))


def grouped(lines: list[Compared], texts: HasLines) -> Iterator[Group]:
    """Neighbours of one revision together. Cost: next to nothing where they are in order."""
    revisions = [line.revision for line in lines]
    is_sorted = revisions == sorted(revisions)
    start = 0
    while start < len(lines):
        revision = revisions[start]
        end = bisect_right(revisions, revision, start) if is_sorted else start + 1
        yield Group(revision, lines[start:end], texts, start)
        start = end


def _merged(streams: Iterable[tuple[int, Iterator[Group]]]) -> Iterator[Group]:
    """The groups of many streams by revision. A stream is opened when its first revision, given with it, has come."""
    heap: list[tuple[int, int, Group | None, Iterator[Group]]] = [
        (first, number, None, stream) for number, (first, stream) in enumerate(streams)
    ]
    heapq.heapify(heap)
    while heap:
        _, number, group, stream = heapq.heappop(heap)
        if group is not None:
            yield group
        following = next(stream, None)
        if following is not None:
            heapq.heappush(heap, (following.revision, number, following, stream))


def _stream_name(source: Source) -> tuple[str, str]:
    """Segments of one shard make one stream; another file is one of its own."""
    return source.shard, "" if source.shard else str(source.path)


def _first_revision(files: Sequence[Source]) -> int:
    """The revision of a stream's first record; 0 where that cannot be told."""
    block = next(blocks(files[0].path))
    line = _line(block.lines[0]) if block.lines else None
    return 0 if line is None else line.revision


def _line(text: bytes) -> Compared | None:
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
