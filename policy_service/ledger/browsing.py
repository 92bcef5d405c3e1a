"""The lines of many shards as one sequence by time, newest or oldest first, from any place in it.

Shards of several processes overlap in time: they are merged. A shard is opened when its time has come, so that a long
history costs nothing before it is reached.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple

from policy_service.ledger.layout import Segment
from policy_service.ledger.reader import Backward, Source, lines
from policy_service.model.instants import NS_PER_S

_AT: Final = b'{"at":"'
"""How every record begins in the canonical form."""


_LATEST: Final = (1 << 63) - 1


class Place(NamedTuple):
    """A line's segment, and its offset there."""

    number: int
    offset: int


class Seen(NamedTuple):
    """A line, when it was decided (as far as it tells; else as the line before it), and where it stands."""

    at: int
    shard: str
    place: Place
    text: bytes


class Bookmark(NamedTuple):
    """Where a reader from new to old has come to.

    Args:
        reached: all lines of later instants were seen.
        newest: shards opened after this one were not there when reading began.
        places: of each shard that is being read, the line seen last; one that is not here was not begun, or is done.
    """

    reached: int
    newest: str
    places: Mapping[str, Place]


class Browser:
    """Reads from new to old.

    Args:
        shards: their segments, in order.
        ends: when a shard was closed, nanoseconds UTC; of others nobody knows when their last record is.
        start: where to go on.

    Raises, while it is iterated:
        StoreError: `ledger_unreadable`.
    """

    def __init__(
        self, shards: Mapping[str, Sequence[Segment]], ends: Mapping[str, int], start: Bookmark | None = None
    ) -> None:
        self._shards = shards
        newest = max(shards, default="") if start is None else start.newest
        self._newest = newest
        self._reached: float = math.inf if start is None else start.reached
        self._places: dict[str, Place] = {} if start is None else dict(start.places)
        known = sorted((ends.get(shard, math.inf), shard) for shard in shards if shard <= newest)
        # A shard that ended later than what was reached was begun; if it has no place any more, it is done.
        self._waiting = [one for one in known if start is None or one[0] < self._reached]
        self._heap: list[tuple[int, str, Seen, Iterator[Seen]]] = []
        for shard, place in self._places.items():
            self._push(shard, self._stream(shard, place))

    def bookmark(self) -> Bookmark | None:
        """Where to go on; None where all was seen."""
        if not self._heap and not self._waiting:
            return None
        reached = int(self._reached) if self._reached != math.inf else _LATEST
        return Bookmark(reached, self._newest, dict(self._places))

    def __iter__(self) -> Iterator[Seen]:
        while self._heap or self._waiting:
            self._begin()
            if not self._heap:
                continue
            _, shard, seen, stream = heapq.heappop(self._heap)
            self._reached = min(self._reached, seen.at)
            self._places[shard] = seen.place
            # The next one of the shard first: what is told may be the last that is asked for.
            self._push(shard, stream)
            yield seen

    def _begin(self) -> None:
        """Open the shards whose time has come."""
        while self._waiting and (not self._heap or self._waiting[-1][0] >= -self._heap[0][0]):
            _, shard = self._waiting.pop()
            self._push(shard, self._stream(shard, None))
            if not self._heap:
                return

    def _push(self, shard: str, stream: Iterator[Seen]) -> None:
        following = next(stream, None)
        if following is None:
            self._places.pop(shard, None)
        else:
            number, offset = following.place
            self._places.setdefault(shard, Place(number, offset + len(following.text) + 1))
            heapq.heappush(self._heap, (-following.at, shard, following, stream))

    def _stream(self, shard: str, place: Place | None) -> Iterator[Seen]:
        at = _LATEST
        for segment in reversed(self._shards.get(shard, ())):
            if place is not None and segment.number > place.number:
                continue
            end = place.offset if place is not None and segment.number == place.number else None
            for offset, text in Backward(segment.lines_path(), end):
                at = instant_of(text) or at
                yield Seen(at, shard, Place(segment.number, offset), text)


def oldest_first(shards: Mapping[str, Sequence[Segment]]) -> Iterator[Seen]:
    """All lines of some shards, by time. Raises as `Browser` does."""
    waiting = sorted(((_opened_at(shard), shard) for shard in shards), reverse=True)
    heap: list[tuple[int, str, Seen, Iterator[Seen]]] = []
    while heap or waiting:
        while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
            shard = waiting.pop()[1]
            _push(heap, shard, _forward(shard, shards[shard]))
        if heap:
            _, shard, seen, stream = heapq.heappop(heap)
            yield seen
            _push(heap, shard, stream)


def _push(heap: list[tuple[int, str, Seen, Iterator[Seen]]], shard: str, stream: Iterator[Seen]) -> None:
    following = next(stream, None)
    if following is not None:
        heapq.heappush(heap, (following.at, shard, following, stream))


def _forward(shard: str, segments: Sequence[Segment]) -> Iterator[Seen]:
    at = 0
    for segment in segments:
        for line in lines(Source(shard, segment.number, segment.lines_path())):
            at = instant_of(line.text) or at
            yield Seen(at, shard, Place(segment.number, line.offset), line.text)


def instant_of(line: bytes) -> int | None:
    """When a record was decided, by its canonical form; None for what is none."""
    if line.startswith(_AT):
        with suppress(ValueError):
            return int(line[len(_AT) : line.index(b'"', len(_AT))])
    return None


def _opened_at(shard: str) -> int:
    """When a shard was opened, to the second, by its id; 0 where that does not tell."""
    with suppress(ValueError):
        opened = datetime.strptime(shard[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return int(opened.timestamp()) * NS_PER_S
    return 0
