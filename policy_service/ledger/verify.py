"""The whole of a ledger folder held against everything that vouches for it: nothing altered, dropped, added, reordered.

What this cannot tell: whether records past the last checkpoint *that left the machine* were rewritten by somebody who
has the signing key, or who could make the server sign. An auditor keeps checkpoints elsewhere (`--against`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from policy_service.ledger.decision_ids import DecisionIds, fingerprint
from policy_service.ledger.evidence import Promise, Vouched, checkpoints_of, contradictions
from policy_service.ledger.findings import Finding, finding, in_order
from policy_service.ledger.hashing import hashed
from policy_service.ledger.helpers import Helpers
from policy_service.ledger.layout import Segment, contents
from policy_service.ledger.notes import Verifier
from policy_service.ledger.reader import Line, Source, read
from policy_service.ledger.reader import lines as lines_of
from policy_service.ledger.record import DecisionRecord
from policy_service.ledger.scan import Scan, Task, scan
from policy_service.ledger.shard_check import Audit, ShardCheck
from policy_service.ledger.shard_facts import ShardFacts
from policy_service.model.errors import StoreError
from policy_service.model.facts import LedgerShard

Progress = Callable[[int, int], object]
"""Told how many bytes of files, and how many records, were looked at since."""

_EVIDENCE: Final = re.compile(r"(.+)\.(\d{6,12})\.(?:hashes|checkpoint)", re.ASCII)


Scanners = Helpers[Task, Scan]
"""Read segments: see `scanners`."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What came of verifying a ledger.

    Args:
        findings: errors first, the first bad record of a shard before its others.
        records: how many there are; covered: how many of them a checkpoint vouches for.
        changes: the last sound one of the feed; None where it was not read.
    """

    findings: tuple[Finding, ...]
    shards: int
    segments: int
    records: int
    covered: int
    checkpoints: int
    changes: int | None = None
    bundles: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return all(one.severity != "error" for one in self.findings)


class Evidence(msgspec.Struct, frozen=True):
    """The shards of a folder with their segments and checkpoints, and what was wrong with those."""

    folder: Path
    shards: dict[str, list[Segment]]
    vouched: dict[str, list[Vouched]]
    findings: list[Finding]

    def revisions(self) -> set[int]:
        """Those at which the checkpoints stand."""
        return {one.checkpoint.revision for vouched in self.vouched.values() for one in vouched}

    def all_vouched(self) -> list[Vouched]:
        """Of all shards."""
        return [one for vouched in self.vouched.values() for one in vouched]


def gather(folder: Path, verifiers: Sequence[Verifier], kept: Sequence[Vouched] = ()) -> Evidence:
    """Look at a folder: before the facts are read, so that no checkpoint is newer than they are.

    Args:
        kept: checkpoints that an auditor kept elsewhere.

    Raises:
        StoreError: `ledger_unreadable`.
    """
    shards = {shard: _whole(folder, shard, found) for shard, found in contents(folder).items()}
    vouched, findings = {}, []
    for shard, segments in shards.items():
        good, wrong = checkpoints_of(folder, shard, segments, verifiers)
        vouched[shard] = good
        findings += wrong
    for one in kept:
        vouched.setdefault(one.checkpoint.shard, []).append(one)
    for shard, good in vouched.items():
        findings += contradictions(shard, good)
    return Evidence(folder, shards, vouched, findings)


def _whole(folder: Path, shard: str, found: Sequence[Segment]) -> list[Segment]:
    """All segments from the first, without gaps: those too whose records are gone and whose evidence is here."""
    matches = (_EVIDENCE.fullmatch(path.name) for path in folder.glob(f"{shard}.*"))
    numbers = [int(match[2]) for match in matches if match] + [segment.number for segment in found]
    return [Segment(folder, shard, number) for number in range(1, max(numbers, default=0) + 1)]


def verify(
    evidence: Evidence,
    facts: ShardFacts | None,
    *,
    progress: Progress = lambda _bytes, _records: None,
    helpers: Scanners | None = None,
) -> Verified:
    """Hold a ledger against its evidence and the facts.

    Args:
        facts: of the same data directory, read with `evidence.revisions()`; None: they cannot be had.
        helpers: that read segments beside each other.

    Raises:
        StoreError: `helper_lost`.

    Cost: 2.5 µs a record, nearly all of it the helpers'; memory for the hashes of one segment, and two for each helper.
    """
    ids = DecisionIds()
    scans = (helpers or scanners(1)).results(_tasks(evidence, facts), lambda read: progress(*read))
    audit = Audit(ids, scans, _standing(facts), frozenset() if facts is None else facts.expired)
    findings = [*evidence.findings, *_facts_findings(evidence, facts)]
    records = covered = 0
    for shard, segments in evidence.shards.items():
        check = _check(shard, segments, evidence, facts, audit)
        findings += check.findings
        records, covered = records + check.size, covered + min(check.covered, check.size)
    findings += _duplicates(evidence, ids.suspects())
    ids.close()
    return Verified(
        findings=tuple(in_order(findings)),
        shards=len(evidence.shards),
        segments=sum(map(len, evidence.shards.values())),
        records=records,
        covered=covered,
        checkpoints=len(evidence.all_vouched()),
        changes=None if facts is None else facts.head,
    )


def scanners(jobs: int) -> Scanners:
    """So many processes to read segments beside each other: to be made, and to fail, as Helpers are."""
    return Helpers(jobs, scan)


def _standing(facts: ShardFacts | None) -> Callable[[int, str], bool]:
    if facts is None:
        return lambda _revision, _chain: True
    return lambda revision, chain: facts.chain_at(revision) == chain


def _check(
    shard: str, segments: Sequence[Segment], evidence: Evidence, facts: ShardFacts | None, audit: Audit
) -> ShardCheck:
    known = None if facts is None else facts.shards.get(shard)
    vouched, promises = evidence.vouched.get(shard, []), _promises(shard, evidence, facts)
    is_closed = known is not None and known.closed_at is not None
    check = ShardCheck(shard, promises, audit, is_closed=is_closed)
    check.run(segments)
    if is_closed and not vouched and check.size:
        told = "it was closed, and no checkpoint of it is here"
        check.findings.append(finding("checkpoint_missing", told, shard=shard))
    check.findings += _notices(shard, check, is_closed=is_closed or known is None)
    return check


def _tasks(evidence: Evidence, facts: ShardFacts | None) -> Iterator[Task]:
    """All segments, with how many records there are before each if the kept hashes tell the truth."""
    for shard, segments in evidence.shards.items():
        base, covered = 0, max((one.size for one in _promises(shard, evidence, facts)), default=0)
        for segment in segments:
            yield Task(segment, base, covered)
            base += hashed(segment)


def _promises(shard: str, evidence: Evidence, facts: ShardFacts | None) -> list[Promise]:
    known = None if facts is None else facts.shards.get(shard)
    return [_promise(one) for one in evidence.vouched.get(shard, [])] + _closing_promise(known)


def _promise(one: Vouched) -> Promise:
    checkpoint = one.checkpoint
    return Promise(checkpoint.size, checkpoint.root, f"checkpoint {one.file.name}", one.file)


def _closing_promise(known: LedgerShard | None) -> list[Promise]:
    if known is None or known.size is None or known.root is None:
        return []
    return [Promise(known.size, bytes.fromhex(known.root), "the change that closed the shard")]


def _notices(shard: str, check: ShardCheck, *, is_closed: bool) -> list[Finding]:
    found = []
    tail = check.size - check.covered
    if tail > 0:
        told = f"{_count(tail, 'record')} after the last checkpoint, for which nothing vouches yet"
        found.append(finding("tail_uncovered", told, shard=shard))
    if not is_closed:
        found.append(finding("shard_unclosed", "its server is running, or was killed", shard=shard))
    return found


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duplicates(evidence: Evidence, suspects: frozenset[int]) -> list[Finding]:
    """Decision ids that occur twice, by a second look at the records: only where there are any."""
    seen: dict[str, str] = {}
    found = []
    for line in _all_lines(evidence) if suspects else ():
        record = read(line, is_checked=False)
        if not isinstance(record, DecisionRecord) or fingerprint(record.id.encode()) not in suspects:
            continue
        name = line.source.path.name
        if record.id in seen:
            told = f"this decision id stands at {seen[record.id]} already"
            place: dict[str, Any] = {"shard": line.source.shard, "line": line.number, "record": record.id}
            found.append(finding("record_duplicate", told, file=name, **place))
        seen.setdefault(record.id, f"{name}:{line.number}")
    return found


def _all_lines(evidence: Evidence) -> Iterator[Line]:
    for shard, segments in evidence.shards.items():
        for segment in segments:
            yield from _lines(Source(shard, segment.number, segment.lines_path()))


def _lines(source: Source) -> Iterator[Line]:
    try:
        yield from lines_of(source)
    except StoreError:
        return  # what cannot be read was told of


def _facts_findings(evidence: Evidence, facts: ShardFacts | None) -> list[Finding]:
    found = _missing(evidence, {} if facts is None else facts.shards)
    if facts is None:
        return [*found, finding("facts_unchecked", "changes, bundles and the list of shards were not verified")]
    for one in evidence.all_vouched():
        found += _against_facts(one, facts)
    return found + facts.findings + _foreign(evidence, facts)


def _against_facts(one: Vouched, facts: ShardFacts) -> list[Finding]:
    """What a checkpoint says of the facts."""
    checkpoint = one.checkpoint
    there = facts.chain_at(checkpoint.revision)
    place: dict[str, Any] = {"shard": checkpoint.shard, "file": one.file}
    if there is None and facts.findings:
        return []  # the feed is broken before it, which was told
    if there is None:
        told = f"it was signed at change {checkpoint.revision}, and the feed ends at {facts.head}: changes were dropped"
        return [finding("chain_differs", told, **place)]
    if there != checkpoint.chain:
        told = f"change {checkpoint.revision} has another hash than when this was signed: the feed was rewritten"
        return [finding("chain_differs", told, **place)]
    then = facts.then[checkpoint.revision]
    said = (checkpoint.shard_count, checkpoint.shards_digest, checkpoint.open_shards)
    if said != (then.count, then.digest, then.open):
        told = f"it names {checkpoint.shard_count} shards, others than the facts knew at change {checkpoint.revision}"
        return [finding("shards_rewritten", told, **place)]
    return []


def _missing(evidence: Evidence, known: Mapping[str, LedgerShard]) -> list[Finding]:
    """Shards that a change or a checkpoint names, of which there is no file."""
    named = dict.fromkeys(known, "the change that opened it")
    for one in evidence.all_vouched():
        for shard in (one.checkpoint.shard, *one.checkpoint.open_shards):
            named.setdefault(shard, f"checkpoint {one.file.name}")
    return [
        finding("shard_missing", f"none of its files is here, and {by} tells of it", shard=shard)
        for shard, by in sorted(named.items())
        if shard not in evidence.shards and not _never_wrote(known.get(shard))
    ]


def _foreign(evidence: Evidence, facts: ShardFacts) -> list[Finding]:
    """Shards with files that no change ever opened. Where the feed is broken it may just not tell of them any more."""
    told = "no change of this store ever opened this shard: its files are another node's, or made up"
    strangers = [] if facts.findings else [shard for shard in evidence.shards if shard not in facts.shards]
    return [finding("shard_foreign", told, shard=shard) for shard in strangers]


def _never_wrote(known: LedgerShard | None) -> bool:
    """Whether a shard may have no files: it was closed empty, or its process ended before its first record."""
    return known is not None and known.size == 0
