"""What a replay found: counts, and the first findings, whatever the order in which records came."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from policy_service.model.canonical import canonical_text
from policy_service.service.auditing.record_order import Unread

SHOWN: Final = 20
"""Findings kept unless another bound is given."""

Code = Literal["differs", "facts_differ", "not_replayed"]


class Difference(msgspec.Struct, frozen=True):
    """One value that came out another: as recorded, and again."""

    field: str
    recorded: Any
    again: Any


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One record that does not re-derive.

    | code | means |
    |---|---|
    | `differs` | decided again, something came out otherwise |
    | `facts_differ` | the changes up to its revision are not those it was decided on: nothing else can be compared |
    | `not_replayed` | it cannot be decided again: `message` says why |

    Args:
        at: when it was decided, as recorded.
    """

    code: Code
    message: str
    record: str
    at: str
    revision: int
    differences: tuple[Difference, ...] = ()

    def order(self) -> tuple[int, str, str, str, str]:
        """Where it stands among others: by what it says alone."""
        return self.revision, self.record, self.message, self.at, str(self.differences)


class UnreadLine(msgspec.Struct, frozen=True, order=True):
    """A line, or a file, that could not be read as records. `line` 0: the file."""

    file: str
    line: int
    code: str
    message: str


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Args:
        records: read and wanted; the next four make them up.
        same, differ, not_replayed: how many of them.
        other_semantics: how many by version: decided under another meaning of the engine, which this one cannot judge.
        by_code: findings by code. by_field: how many records differ in a field.
        unread: lines that are no records, by code; `torn_line`, the end of a file that a crash cut off, is no fault.
        bundles: how many records each policy decided, by digest.
        first_revision, last_revision: of the records; None where there are none.
        findings, unread_lines: the first of them, in an order of their own.
        troubles: why bundles cannot be had, by digest; and of `changes`, why they end where they end.
    """

    records: int
    same: int
    differ: int
    not_replayed: int
    other_semantics: dict[int, int]
    by_code: dict[str, int]
    by_field: dict[str, int]
    unread: dict[str, int]
    bundles: dict[str, int]
    first_revision: int | None
    last_revision: int | None
    findings: tuple[Finding, ...]
    unread_lines: tuple[UnreadLine, ...]
    troubles: dict[str, str]

    @property
    def is_clean(self) -> bool:
        """Whether everything re-derives that this engine can judge."""
        faults = sum(count for code, count in self.unread.items() if code != "torn_line")
        return not (self.differ or self.not_replayed or faults or "changes" in self.troubles)


class Tally:
    """A report as it grows. Adding is all it does, so parts may come in any order.

    Args:
        shown: findings to keep.
    """

    def __init__(self, shown: int = SHOWN) -> None:
        self.same = 0
        self.other_semantics: Counter[int] = Counter()
        self.by_code: Counter[str] = Counter()
        self.by_field: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()
        self.bundles: Counter[str] = Counter()
        self.troubles: dict[str, str] = {}
        self._revisions: tuple[int, int] | None = None
        self._findings = Smallest(shown)
        self._unread_lines = Smallest(shown)

    def found(self, finding: Finding) -> None:
        """One record that does not re-derive."""
        self.by_code[finding.code] += 1
        self.by_field.update(difference.field for difference in finding.differences)
        self._findings.add(finding.order(), finding)

    def not_read(self, unread: Unread) -> None:
        """One line that is no record."""
        self.unread[unread.code] += 1
        line = UnreadLine(str(unread.path), unread.number, unread.code, unread.message)
        self._unread_lines.add((line.file, line.line, line.code), line)

    def came_to(self, revision: int) -> None:
        """Records of this revision were looked at."""
        first, last = self._revisions or (revision, revision)
        self._revisions = (min(first, revision), max(last, revision))

    def add(self, other: Tally) -> None:
        """What came of other records."""
        self.same += other.same
        for ours, theirs in zip(self._counters(), other._counters(), strict=True):
            ours.update(theirs)
        self.troubles |= other.troubles
        for revision in other._revisions or ():
            self.came_to(revision)
        self._findings.extend(other._findings)
        self._unread_lines.extend(other._unread_lines)

    def _counters(self) -> tuple[Counter[Any], ...]:
        return self.other_semantics, self.by_code, self.by_field, self.unread, self.bundles

    def report(self) -> ReplayReport:
        """Everything so far."""
        first, last = self._revisions or (None, None)
        differ = self.by_code["differs"] + self.by_code["facts_differ"]
        others = sum(self.other_semantics.values())
        return ReplayReport(
            records=self.same + differ + self.by_code["not_replayed"] + others,
            same=self.same,
            differ=differ,
            not_replayed=self.by_code["not_replayed"],
            other_semantics=_sorted(self.other_semantics),
            by_code=_sorted(+self.by_code),
            by_field=_sorted(self.by_field),
            unread=_sorted(self.unread),
            bundles=_sorted(self.bundles),
            first_revision=first,
            last_revision=last,
            findings=tuple(self._findings.values()),
            unread_lines=tuple(self._unread_lines.values()),
            troubles=_sorted(self.troubles),
        )


class Smallest:
    """The smallest few of what is added, by an order given with each: they do not depend on when they came."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[tuple[Any, Any]] = []

    def add(self, order: Any, value: Any) -> None:
        """Keep it, if it is among the smallest."""
        self._kept.append((order, value))
        if len(self._kept) >= 2 * self._most + 64:
            self._cut()

    def extend(self, other: Smallest) -> None:
        """Those that another kept."""
        for order, value in other._kept:
            self.add(order, value)

    def values(self) -> list[Any]:
        """Those that are kept, smallest first."""
        self._cut()
        return [value for _, value in self._kept]

    def _cut(self) -> None:
        self._kept = heapq.nsmallest(self._most, self._kept, key=lambda item: item[0])


def _sorted(counts: dict[Any, Any]) -> dict[Any, Any]:
    return dict(sorted(counts.items()))


def pairs(fields: Iterable[tuple[str, Any, Any]]) -> tuple[Difference, ...]:
    """Those that differ, as JSON would tell them: `1` is neither `true` nor `1.0`."""
    told = ((name, msgspec.to_builtins(recorded), msgspec.to_builtins(again)) for name, recorded, again in fields)
    return tuple(
        Difference(name, recorded, again)
        for name, recorded, again in told
        if canonical_text(recorded) != canonical_text(again)
    )
