"""Replay: every recorded decision made again, on the facts of its revision, and compared.

Nothing is believed of a record but what was asked, when, and on which revision. Its facts are folded anew from the
changes, its bundle is loaded from its files, and all that the record tells besides must come out as recorded.

INVARIANT: order does not matter: shuffled records, in any split into shards, give the same report (test_replay:
shuffled; split).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from policy_service.ledger.codec import BadLine, decode_record
from policy_service.ledger.reader import Source
from policy_service.ledger.record import (
    DecisionRecord,
    RecordedCaller,
    RecordedFacts,
    differences,
    is_of_this_engine,
    replayed_request,
)
from policy_service.model.decision import Decision
from policy_service.model.errors import StoreError
from policy_service.service.auditing.archive import Archive, ArchivedPrograms
from policy_service.service.auditing.history import History
from policy_service.service.auditing.record_order import RUN_BYTES, Compared, Group, LineFilter, RecordOrder
from policy_service.service.auditing.rederive import KEPT, Rederiver, Told, Verdict
from policy_service.service.auditing.replay_report import SHOWN, Code, Difference, Finding, ReplayReport, Tally, pairs

_PLAIN: Final = ("reason", "check", "rule", "revision", "bundle")
_SAID: Final[dict[Code, str]] = {
    "differs": "decided again, it comes out otherwise",
    "facts_differ": "the changes up to its revision are not those that it was decided on",
}
_LONGEST_INSTANT: Final = 19
"""Digits of the last nanosecond that 64 bits hold."""
NOT_DECODED: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)
"""What reading a part of a line may raise."""


class _Called(msgspec.Struct, gc=False):
    caller: RecordedCaller


_CALLED: Final = msgspec.json.Decoder(_Called)


class ReplayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to replay; none of it changes what is found.

    Args:
        wanted: which lines count; None: all.
        progress: told of bytes read, as they are.
        shown: findings to keep.
        run_bytes: memory for lines out of order. kept: verdicts to keep.
    """

    wanted: LineFilter | None = None
    progress: Callable[[int], None] = lambda _count: None
    shown: int = SHOWN
    run_bytes: int = RUN_BYTES
    kept: int = KEPT


def replay(archive: Archive, sources: Iterable[Source], options: ReplayOptions | None = None) -> ReplayReport:
    """Decide all records of some files again and compare.

    Raises:
        StoreError: `ledger_unreadable`, a file cannot be read.

    Cost: some 4 µs a record where requests are alike; memory is flat in their number.
    """
    return tallied(archive, sources, options or ReplayOptions()).report()


def tallied(archive: Archive, sources: Iterable[Source], options: ReplayOptions) -> Tally:
    """The same, as a tally to which others can be added."""
    with without_garbage_collection():
        return _Replay(archive, options).run(sources)


def facts_missing(history: History) -> StoreError:
    """The error for a record that is newer than the facts."""
    return StoreError(
        "facts_missing", f"the changes end at revision {history.revision}; bring the facts that go with the records"
    )


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Nothing looks for garbage among the facts and derivations, which are many; they are freed all the same."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Replay:
    """One run."""

    def __init__(self, archive: Archive, options: ReplayOptions) -> None:
        self._archive = archive
        self._options = options
        self._programs = ArchivedPrograms(archive)
        self._rederiver = Rederiver(options.kept)
        self._tally = Tally(options.shown)
        self._history = self._past()

    def run(self, sources: Iterable[Source]) -> Tally:
        options, tally = self._options, self._tally
        order = RecordOrder(
            sources, tally.not_read, wanted=options.wanted, progress=options.progress, run_bytes=options.run_bytes
        )
        for groups in order.passes():
            self._history = self._past()
            for group in groups:
                self._take(group)
            self._tell_break()
        for digest, error in self._programs.troubles.items():
            tally.troubles[digest] = error.message
        return tally

    def _past(self) -> History:
        """The past, at its beginning."""
        return History(self._archive, self._programs, told=self._rederiver.upset)

    def _tell_break(self) -> None:
        if self._history.broken is not None:
            self._tally.troubles["changes"] = self._history.broken.message

    def _take(self, group: Group) -> None:
        self._tally.came_to(group.revision)
        try:
            self._reach(group.revision)
        except StoreError as error:
            for text in group.texts:
                self._not_replayed(text, error.message)
            return
        self._tally.bundles[str(self._history.snapshot.bundle)] += len(group.lines)
        self._compare(group)

    def _reach(self, revision: int) -> None:
        """Have the facts and the policy of a revision. Raises StoreError where they cannot be had."""
        history = self._history
        if not history.reach(revision):
            raise history.broken or facts_missing(history)
        self._rederiver.use(history.snapshot)

    def _compare(self, group: Group) -> None:
        """What a record tells must be what is derived, byte for byte; else it is looked at closely."""
        if not _are_instants(group.lines):
            for line, text in zip(group.lines, group.texts, strict=True):
                self._compare_one(line, text)
            return
        rederiver, chain, join, others = self._rederiver, self._history.chain, b"".join, list[int]()
        for number, line in enumerate(group.lines):
            asked = line.request  # its halves, without a call
            bearer = rederiver.bearers.get(join((asked.credential,)))
            of_kinds = rederiver.verdicts.get(join((asked.resource, asked.scope, asked.context, asked.source_ip)))
            verdict = None
            if bearer is not None and of_kinds is not None and bearer.stands and bearer.is_steady:
                verdict = of_kinds.get(bearer.kind)
            if bearer is None or verdict is None or not verdict.resource.stands:
                try:
                    bearer, verdict = rederiver.derive(line.request, int(line.at))
                except NOT_DECODED:
                    others.append(number)
                    continue
            if (
                line.chain != chain
                or line.principal != bearer.principal
                or (
                    told_by(line) != verdict.told
                    and not (verdict.is_callers and _is_callers(line, verdict, group, number))
                )
            ):
                others.append(number)
        self._tally.same += len(group.lines) - len(others)
        for number in others:
            self._compare_one(group.lines[number], group.texts[number])

    def _compare_one(self, line: Compared, text: bytes) -> None:
        """A record of which anything may be wrong, compared value by value."""
        record = self._record(text)
        if record is None:
            return
        try:
            now = int(line.at)
            code, found = self._differences(record, now)
        except NOT_DECODED as error:
            self._tally.found(_finding(record, "not_replayed", f"it cannot be read: {error}"))
            return
        if found:
            self._tally.found(_finding(record, code, _SAID[code], found))
        else:
            self._tally.same += 1

    def _differences(self, record: DecisionRecord, now: int) -> tuple[Code, tuple[Difference, ...]]:
        if record.chain != self._history.chain:
            return "facts_differ", (Difference("chain", record.chain, self._history.chain),)
        return "differs", compare(record, *self._rederiver.decide(replayed_request(record), now))

    def _not_replayed(self, text: bytes, why: str) -> None:
        record = self._record(text)
        if record is not None:
            self._tally.found(_finding(record, "not_replayed", why))

    def _record(self, text: bytes) -> DecisionRecord | None:
        """The whole record; None where there is nothing more to do with it, and that is counted."""
        record = decode_record(text, is_checked=False)
        if isinstance(record, BadLine):
            self._tally.found(Finding(code="not_replayed", message=record.message, record="?", at="?", revision=0))
        elif not is_of_this_engine(record):
            self._tally.other_semantics[record.semantics] += 1
        else:
            return record
        return None


def told_by(line: Compared, workspace: str | None = None) -> Told:
    """What a line tells of a verdict; with another workspace, where one is given."""
    return (
        line.decision,
        line.reason,
        line.check,
        line.rule,
        line.bundle,
        line.workspace if workspace is None else workspace,
        line.facts,
        line.semantics,
    )


def _is_callers(line: Compared, verdict: Verdict, group: Group, number: int) -> bool:
    """Whether a line tells of a verdict, and of the caller's workspace where no key's can be told."""
    if told_by(line, workspace="") != verdict.told:
        return False
    try:
        return _CALLED.decode(group.text(number)).caller.workspace == line.workspace
    except NOT_DECODED:
        return False


def _are_instants(lines: Iterable[Compared]) -> bool:
    """Whether all instants are spelled as their numbers are. Cost: 0.1 µs each, a third of looking at one alone."""
    instants = [line.at for line in lines]
    joined = "".join(instants)
    are_digits = joined.isascii() and joined.isdigit()
    return are_digits and min(instants) >= "1" and max(map(len, instants)) <= _LONGEST_INSTANT


def compare(record: DecisionRecord, decision: Decision, facts: RecordedFacts) -> tuple[Difference, ...]:
    """All in which a record differs from what came out again, decision first."""
    names = differences(record, decision)
    if decision.key_id is None and "key_id" in names:
        names.remove("key_id")  # of a key that was not known the record has what was presented: an input
    recorded, again = _recorded(record), _again(decision)
    fields = [(name, recorded[name], again[name]) for name in names]
    fields.append(("workspace", record.workspace, decision.workspace or record.caller.workspace))
    fields += [(f"facts.{name}", getattr(record.facts, name), getattr(facts, name)) for name in facts.__struct_fields__]
    return pairs(fields)


def _recorded(record: DecisionRecord) -> dict[str, Any]:
    principal = record.principal
    return {
        **{name: getattr(record, name) for name in _PLAIN},
        "at": record.at,
        "decision": record.decision,
        "key_id": record.request.credential.key_id,
        "principal": None if principal is None else f"{principal.kind}:{principal.id}",
    }


def _again(decision: Decision) -> dict[str, Any]:
    kind, identity = decision.principal_kind, decision.principal_id
    return {
        **{name: getattr(decision, name) for name in _PLAIN},
        "at": str(decision.now),
        "decision": "allow" if decision.allowed else "deny",
        "key_id": decision.key_id,
        "principal": None if kind is None else f"{kind}:{identity}",
    }


def _finding(record: DecisionRecord, code: Code, message: str, found: tuple[Difference, ...] = ()) -> Finding:
    return Finding(
        code=code, message=message, record=record.id, at=record.at, revision=record.revision, differences=found
    )
