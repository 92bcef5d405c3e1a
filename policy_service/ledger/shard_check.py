"""One shard held against everything that vouches for it: kept hashes, signed roots, and what comes after the last one.

A segment's lines give one list of leaf hashes, its `.hashes` file keeps another. Where they differ, the signed roots
say which of the two is true.

INVARIANT: an altered line that is covered by a checkpoint is named exactly, as long as the kept hashes are true
(test_ledger_tampering: named exactly).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from policy_service.ledger.codec import BadLine, decode_record
from policy_service.ledger.comparing import explained, first_difference
from policy_service.ledger.decision_ids import DecisionIds
from policy_service.ledger.evidence import Promise
from policy_service.ledger.findings import Finding, finding
from policy_service.ledger.layout import Segment
from policy_service.ledger.merkle import EMPTY_ROOT, HASH_BYTES, Tree
from policy_service.ledger.reader import blocks, lines
from policy_service.ledger.scan import Scan, Task, id_of, scan
from policy_service.model.errors import StoreError

_BAD: Final = {
    "malformed_line": "record_malformed",
    "not_canonical": "record_not_canonical",
    "unknown_schema": "unknown_schema",
}


class Audit(NamedTuple):
    """What the checks of all shards share.

    Args:
        ids: sees the ids of all records.
        scans: of all segments of all shards, in their order.
        stands: whether the facts know a change of that number and hash.
        expired: shards and numbers of segments whose records were removed on purpose, as a change says.
    """

    ids: DecisionIds
    scans: Iterator[Scan]
    stands: Callable[[int, str], bool] = lambda _revision, _hash: True
    expired: Container[tuple[str, int]] = frozenset()


class Judged(NamedTuple):
    """One segment against its kept hashes and the signed roots.

    Args:
        end: how many records it has by the checkpoint at its end; None where nobody says.
        trees: the shard's tree grown by the lines, and by the kept hashes where they differ, to the last root.
        is_of_lines: whether the last root within it that holds is that of the lines; None where none is.
        broken: the promises that neither list of hashes keeps.
    """

    lines: Scan
    end: int | None
    trees: list[Tree]
    is_of_lines: bool | None
    broken: list[Promise]

    @property
    def difference(self) -> int | None:
        """The first place where lines and kept hashes are not the same."""
        lines = self.lines
        return None if lines.kept is None else first_difference(lines.hashes, lines.kept)

    @property
    def needed(self) -> int:
        """How many lines there must be at least."""
        return max(len(self.lines.kept or b"") // HASH_BYTES, self.end or 0)

    def grown(self, tree: Tree) -> Tree:
        """The tree grown by this segment: by the true hashes, as far as can be told.

        Args:
            tree: of the segments before.
        """
        kept = self.lines.kept or b""
        is_longer = len(kept) > len(self.lines.hashes)
        is_kept = is_longer if self.difference is None else not self.is_of_lines
        source, grown = self.lines.as_kept() if is_kept else self.lines, self.trees[-1 if is_kept else 0]
        count = source.finished if self.end is None else min(self.end, source.finished)
        if grown.size > tree.size + count:
            grown = Tree(tree.size, tree.peaks)
        source.grow(grown, tree.size + count)
        return grown


class ShardCheck:
    """Checks one shard, segment after segment.

    Args:
        promises: who vouches for how much of it.
        is_closed: by a change: then nothing may follow what is vouched for.

    Attributes:
        findings: what was found so far.
        covered: for how many records somebody vouches.
    """

    def __init__(self, shard: str, promises: Sequence[Promise], audit: Audit, *, is_closed: bool = False) -> None:
        self._shard = shard
        self._promises = sorted(promises, key=lambda promise: promise.size)
        self._is_closed = is_closed
        self._audit = audit
        self._tree = Tree()
        self._is_lost = False
        self.findings: list[Finding] = []
        self.covered = max((promise.size for promise in promises), default=0)

    @property
    def size(self) -> int:
        """How many records were seen so far, or are vouched for in their place."""
        return self._tree.size

    def run(self, segments: Sequence[Segment]) -> None:
        """Check all segments, in order and without gaps, and that nothing is missing at the end. Call once."""
        for promise in self._promises:
            if promise.size == 0 and promise.root != EMPTY_ROOT:
                self._broken(promise, promise.by)
        for segment in segments:
            self._segment(segment, is_last=segment is segments[-1])
        self._end(segments[-1] if segments else None)

    def _segment(self, segment: Segment, *, is_last: bool) -> None:
        found = next(self._audit.scans)
        if found.base != self.size:  # those before it were not as they were thought to be
            found = scan(Task(segment, self.size, self.covered))
        self._audit.ids.add(found.ids)
        if found.is_odd or not all(self._audit.stands(*one) for one in found.stood):
            self._look_closely(segment)
        judged = self._judge(segment, found, is_last)
        self._tell(segment, judged, is_last)
        self._is_lost = self._is_lost or (found.is_gone and found.kept is None)
        self._tree = judged.grown(self._tree)

    def _look_closely(self, segment: Segment) -> None:
        """At the lines that nobody vouches for: each must be a good record."""
        with contextlib.suppress(StoreError):  # what cannot be read is told of by what comes of the scan
            for index, line in enumerate(lines(segment.lines_path())):
                if self.size + index >= self.covered:
                    self._look_at(segment, line.text, index)

    def _look_at(self, segment: Segment, line: bytes, index: int) -> None:
        record = decode_record(line)
        if isinstance(record, BadLine):
            self._found(_BAD[record.code], record.message, segment, index, line=line)
        elif not self._audit.stands(record.revision, record.chain):
            told = f"it was decided on change {record.revision}, whose hash it names is not that of this store's change"
            self._found("record_of_other_facts", told, segment, index, line=line)

    # what vouches for it

    def _judge(self, segment: Segment, found: Scan, is_last: bool) -> Judged:
        kept = found.kept
        ends = [promise.size - self.size for promise in self._promises if promise.file == segment.checkpoint]
        end = max((end for end in ends if end >= 0), default=None)
        if end is None and not is_last and kept is not None and self.covered > self.size + len(kept) // HASH_BYTES:
            # Somebody vouches for more than it: so its hashes were complete.
            end = len(kept) // HASH_BYTES
        candidates = [found] if kept is None or kept == found.hashes else [found, found.as_kept()]
        trees = [Tree(self.size, self._tree.peaks) for _ in candidates]
        is_of_lines, broken = self._compare(candidates, trees)
        return Judged(found, end, trees, is_of_lines, broken)

    def _compare(self, candidates: Sequence[Scan], trees: Sequence[Tree]) -> tuple[bool | None, list[Promise]]:
        """Whether the signed roots are those of the first list of hashes, and those that are of none."""
        base, is_first, broken = self.size, None, []
        limit = base + max(one.finished for one in candidates)
        promises = [] if self._is_lost else [one for one in self._promises if base < one.size <= limit]
        for promise in promises:
            of = []
            for hashes, tree in zip(candidates, trees, strict=True):
                if promise.size - base <= hashes.finished:
                    hashes.grow(tree, promise.size)
                    of.append(tree.root() == promise.root)
                else:
                    of.append(False)
            if any(of):
                is_first = of[0]
            else:
                broken.append(promise)
        return is_first, broken

    # what is to be told

    def _tell(self, segment: Segment, judged: Judged, is_last: bool) -> None:
        lines, difference = judged.lines, judged.difference
        if lines.trouble is not None:
            self._found("segment_damaged", f"it cannot be read from here on: {lines.trouble}", segment, lines.finished)
        if lines.is_gone:
            self._gone(segment, judged)
        elif difference is not None:
            self._differ(segment, judged, difference)
        elif lines.finished < judged.needed and lines.trouble is None:
            told = f"it ends here, and {judged.needed - lines.finished} more records were vouched for"
            self._found("records_missing", told, segment, lines.finished, line=lines.rest or None)
        elif judged.end is not None and lines.finished > judged.end:
            told = f"{lines.finished - judged.end} lines stand behind the signed end of this segment"
            self._found("record_inserted", told, segment, judged.end)
        elif self._is_closed and lines.finished > self.covered - self.size:
            first = max(self.covered - self.size, 0)
            told = f"{lines.finished - first} lines stand behind the end of a shard that was closed"
            self._found("record_inserted", told, segment, first)
        elif lines.rest:
            self._torn(segment, judged, is_last)
        self._tell_of_hashes(segment, judged)
        for promise in judged.broken:
            self._broken(promise, f"{promise.by} gives another root for the first {promise.size} records")

    def _gone(self, segment: Segment, judged: Judged) -> None:
        is_expired = (self._shard, segment.number) in self._audit.expired
        if is_expired and judged.lines.kept is not None and not judged.broken:
            told = f"its {judged.needed} records were kept as long as they were to be; hashes and checkpoint are here"
            self._found("records_expired", told, segment)
            return
        self._found("segment_missing", f"segment {segment.number} of this shard is gone", segment, 0)

    def _differ(self, segment: Segment, judged: Judged, index: int) -> None:
        assert judged.lines.kept is not None  # there was something to differ from
        if judged.is_of_lines:
            self._found("hashes_altered", f"hash {index + 1} is not that of the record that was signed for", segment)
            return
        difference = explained(judged.lines.hashes, judged.lines.kept, index)
        self._found(difference.code, difference.message, segment, index)

    def _torn(self, segment: Segment, judged: Judged, is_last: bool) -> None:
        count = len(judged.lines.rest)
        if is_last and judged.end is None and not self._is_closed:
            told = f"{count} bytes of a record that was not finished"
            self._found("torn_line", told, segment, judged.lines.finished)
        else:
            told = f"{count} bytes that are no record stand behind the last one"
            self._found("record_inserted", told, segment, judged.lines.finished)

    def _tell_of_hashes(self, segment: Segment, judged: Judged) -> None:
        kept = len(judged.lines.kept or b"") // HASH_BYTES
        if judged.difference is None and kept < min(judged.lines.finished, self.covered - self.size):
            self._found("hashes_missing", f"{kept} of {judged.lines.finished} records have their hashes kept", segment)

    def _broken(self, promise: Promise, told: str) -> None:
        """Records are not those that were signed for; where it is known which, that was told already."""
        if any(one.severity == "error" and (one.number or 0) <= promise.size for one in self.findings):
            return
        since = max((one.size for one in self._promises if one.size <= self.size), default=0)
        place: dict[str, Any] = {"shard": self._shard, "number": since + 1, "file": promise.file}
        told = f"{told}: one of the records {since + 1} to {promise.size} was altered, and the kept hashes with it"
        self.findings.append(finding("root_differs", told, **place))

    def _end(self, last: Segment | None) -> None:
        promise = self._promises[-1] if self._promises else None
        if promise is None or promise.size <= self.size or self._is_lost:
            return
        if any(one.code in ("records_missing", "segment_missing") for one in self.findings):
            return
        told = f"{promise.by} vouches for {promise.size} records, and there are {self.size}"
        if last is None:
            self.findings.append(finding("records_missing", told, shard=self._shard, number=self.size + 1))
        else:
            self._found("records_missing", told, last, _line_count(last), number=self.size + 1)

    def _found(
        self,
        code: str,
        message: str,
        segment: Segment,
        index: int | None = None,
        *,
        line: bytes | None = None,
        number: int | None = None,
    ) -> None:
        """Note a finding about a segment, or its line `index` from 0."""
        place: dict[str, Any] = {"shard": self._shard, "file": segment.lines_path()}
        if code in ("hashes_altered", "hashes_missing"):
            place["file"] = segment.hashes
        if index is not None:
            text = _line_at(segment, index) if line is None else line
            place |= {"line": index + 1, "number": number or self.size + index + 1, "record": id_of(text)}
        self.findings.append(finding(code, message, **place))


def _line_at(segment: Segment, index: int) -> bytes | None:
    path = segment.lines_path()
    try:
        return next(islice(lines(path), index, None)).text if path.exists() else None
    except (StopIteration, StoreError):
        return None


def _line_count(segment: Segment) -> int:
    try:
        return sum(len(block.lines) for block in blocks(segment.lines_path()))
    except StoreError:
        return 0
