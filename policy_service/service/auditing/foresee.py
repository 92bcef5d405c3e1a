"""Foresee: what recorded requests would have been answered, had the rules or the facts been others.

What was recorded is the yardstick; what the hypothesis answers is compared with it. A replay tells whether the records
can be trusted as such.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

from policy_service.engine.explain import explain
from policy_service.engine.ports import ProgramSource
from policy_service.language.policy import Policy
from policy_service.ledger.codec import decode_record
from policy_service.ledger.reader import Source
from policy_service.ledger.record import DecisionRecord, replayed_request
from policy_service.model.decision import SEMANTICS, Explanation
from policy_service.model.errors import StoreError
from policy_service.service.auditing.archive import Archive, ArchivedPrograms
from policy_service.service.auditing.history import History
from policy_service.service.auditing.hypotheses import Edit, Edited, WithPolicy
from policy_service.service.auditing.record_order import Compared, Group, RecordOrder
from policy_service.service.auditing.rederive import Rederiver, Verdict
from policy_service.service.auditing.replay import NOT_DECODED, ReplayOptions, facts_missing, without_garbage_collection

Flip = Literal["allow-to-deny", "deny-to-allow", "reason-only"]
FLIPS: Final[tuple[Flip, ...]] = ("allow-to-deny", "deny-to-allow", "reason-only")

MAX_GROUPS: Final = 10_000
"""Groups counted apart; what comes in more is counted together."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What is supposed.

    Args:
        policy: decided instead of whatever was active.
        edits: of the facts.
        facts_now: the facts as they are at the end of the past, for every record; the instants stay the records'.
    """

    policy: Policy | None = None
    edits: tuple[Edit, ...] = ()
    facts_now: bool = False


class FlipKind(msgspec.Struct, frozen=True, order=True):
    """What flips are grouped by.

    Args:
        rule: that denies, or in `reason-only` would deny; for want of one the reason, in parentheses.
        principal: `kind:id`; "-" where no key was verified.
    """

    flip: Flip
    rule: str
    workspace: str
    principal: str
    resource_type: str


class FlipGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Flips of one kind: how many, and which scopes they were about."""

    kind: FlipKind
    count: int
    scopes: tuple[str, ...]


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One flip, explained as it was and as it would have been. None: it cannot be explained."""

    kind: FlipKind
    record: DecisionRecord
    was: Explanation | None
    would_be: Explanation | None


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Args:
        records: read and wanted.
        compared: of these; the others have no counterpart: `left_out` says why, and how many.
        flips: how many of each kind, all kinds named.
        groups: by flip, largest first. examples: one each of the first groups.
    """

    records: int
    compared: int
    left_out: dict[str, int]
    flips: dict[str, int]
    groups: tuple[FlipGroup, ...]
    examples: tuple[Example, ...]


def foresee(
    archive: Archive, sources: Iterable[Source], scenario: Scenario, options: ReplayOptions | None = None
) -> Foreseen:
    """Decide all records of some files again under a scenario.

    Args:
        options: `shown` bounds the examples.

    Raises:
        StoreError: `ledger_unreadable`; with `facts_now`, why the facts cannot be had.
    """
    with without_garbage_collection():
        return _Foresight(archive, scenario, options or ReplayOptions()).run(sources)


class _Foresight:
    """One run."""

    def __init__(self, archive: Archive, scenario: Scenario, options: ReplayOptions) -> None:
        self._archive = archive
        self._scenario = scenario
        self._options = options
        self._published = ArchivedPrograms(archive)
        self._programs: ProgramSource = self._published
        if scenario.policy is not None:
            self._programs = WithPolicy(self._published, scenario.policy)
        self._rederiver = Rederiver(options.kept)
        self._history = self._supposed()
        self._compared = self._records = 0
        self._left_out: Counter[str] = Counter()
        self._flips = _Flips()

    def run(self, sources: Iterable[Source]) -> Foreseen:
        options = self._options
        order = RecordOrder(
            sources,
            lambda unread: self._left_out.update([unread.code]),
            wanted=options.wanted,
            progress=options.progress,
            run_bytes=options.run_bytes,
        )
        if self._scenario.facts_now:
            self._go_to_now()
        for groups in order.passes():
            if not self._scenario.facts_now:
                self._history = self._supposed()
            for group in groups:
                self._take(group)
        return self._report()

    def _supposed(self) -> History:
        """The past under the scenario, at its beginning."""
        supposed = Edited(self._scenario.edits, self._scenario.policy)
        return History(self._archive, self._programs, supposed, self._rederiver.upset)

    def _go_to_now(self) -> None:
        self._history.finish()
        if self._history.broken is not None:
            raise self._history.broken
        self._rederiver.use(self._history.snapshot)

    def _take(self, group: Group) -> None:
        self._records += len(group.lines)
        try:
            self._reach(group.revision)
        except StoreError as error:
            self._left_out[error.code] += len(group.lines)
            return
        for line, text in zip(group.lines, group.texts, strict=True):
            self._compare(line, text)

    def _reach(self, revision: int) -> None:
        if self._scenario.facts_now:
            return
        if not self._history.reach(revision):
            raise self._history.broken or facts_missing(self._history)
        self._rederiver.use(self._history.snapshot)

    def _compare(self, line: Compared, text: bytes) -> None:
        if line.semantics != SEMANTICS:
            self._left_out["other_semantics"] += 1
            return
        if line.chain != self._history.chain and not self._scenario.facts_now:
            self._left_out["facts_differ"] += 1
            return
        try:
            known = self._rederiver.derive(line.request, int(line.at)).verdict
        except NOT_DECODED:
            self._left_out["malformed_line"] += 1
            return
        self._compared += 1
        flip = flip_of(line, known)
        if flip is not None:
            self._flips.add(flip, line, known, text)

    def _report(self) -> Foreseen:
        groups = self._flips.groups()
        return Foreseen(
            records=self._records,
            compared=self._compared,
            left_out=dict(sorted(self._left_out.items())),
            flips={flip: self._flips.counts[flip] for flip in FLIPS},
            groups=groups,
            examples=self._examples([group.kind for group in groups[: self._options.shown]]),
        )

    def _examples(self, kinds: Iterable[FlipKind]) -> tuple[Example, ...]:
        """One flip of each kind, explained; the past is folded once more for that, in both ways."""
        chosen = list(self._chosen(kinds))
        was = dict(_explained(History(self._archive, self._published), [record for _, record in chosen]))
        supposed = self._history if self._scenario.facts_now else self._supposed()
        now = dict(_explained(supposed, [record for _, record in chosen], stands=self._scenario.facts_now))
        return tuple(
            Example(kind=kind, record=record, was=was.get(record.id), would_be=now.get(record.id))
            for kind, record in chosen
        )

    def _chosen(self, kinds: Iterable[FlipKind]) -> Iterator[tuple[FlipKind, DecisionRecord]]:
        for kind in kinds:
            record = decode_record(self._flips.first[kind], is_checked=False)
            if isinstance(record, DecisionRecord):
                yield kind, record


def _explained(
    history: History, records: list[DecisionRecord], *, stands: bool = False
) -> Iterator[tuple[str, Explanation]]:
    """The explanation of each record by id, on its facts; those that cannot be explained are left out.

    Args:
        stands: the history is where it is to be already.
    """
    for record in sorted(records, key=lambda record: record.revision):
        if not stands and not history.reach(record.revision):
            continue
        try:
            yield record.id, explain(replayed_request(record), history.snapshot, int(record.at))
        except StoreError:
            continue


def flip_of(line: Compared, known: Verdict) -> Flip | None:
    """What would have been another answer; None where it would have been the same for the same reason."""
    decision, reason, check, rule = known.told[:4]
    if line.decision != decision:
        return "allow-to-deny" if decision == "deny" else "deny-to-allow"
    return None if (line.reason, line.check, line.rule) == (reason, check, rule) else "reason-only"


class _Flips:
    """Flips by kind, and of each kind the first by its place in time."""

    def __init__(self) -> None:
        self.counts: Counter[Flip] = Counter()
        self.first: dict[FlipKind, bytes] = {}
        self._order: dict[FlipKind, tuple[int, str, bytes]] = {}
        self._groups: Counter[FlipKind] = Counter()
        self._scopes: dict[FlipKind, set[str]] = {}

    def add(self, flip: Flip, line: Compared, known: Verdict, text: bytes) -> None:
        """Count one."""
        self.counts[flip] += 1
        kind = _kind(flip, line, known)
        if kind not in self._groups and len(self._groups) >= MAX_GROUPS:
            kind = FlipKind(flip, "(others)", "-", "-", "-")
        self._groups[kind] += 1
        self._scopes.setdefault(kind, set()).add(known.request.scope)
        order = (line.revision, line.at, text)
        if kind not in self._order or order < self._order[kind]:
            self._order[kind], self.first[kind] = order, text

    def groups(self) -> tuple[FlipGroup, ...]:
        """What is taken away first, then what is given, then other reasons; of each the largest first."""
        kinds = sorted(self._groups, key=lambda kind: (FLIPS.index(kind.flip), -self._groups[kind], kind))
        return tuple(
            FlipGroup(kind=kind, count=self._groups[kind], scopes=tuple(sorted(self._scopes[kind]))) for kind in kinds
        )


def _kind(flip: Flip, line: Compared, known: Verdict) -> FlipKind:
    """The rule that denies is the recorded one only where the answer would be an allow."""
    _, reason, _, rule = (None, line.reason, None, line.rule) if flip == "deny-to-allow" else known.told[:4]
    principal = _principal(line)
    resource_type = known.request.resource.type
    return FlipKind(flip, rule or f"({reason})", line.workspace, principal, resource_type)


def _principal(line: Compared) -> str:
    if not bytes(line.principal):
        return "-"
    told: dict[str, Any] = msgspec.json.decode(line.principal)
    return f"{told.get('kind')}:{told.get('id')}"
