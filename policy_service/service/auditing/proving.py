"""Checkpoints to be kept elsewhere, and proofs of single records: what leaves the house for an auditor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from policy_service.ledger.checkpoint import open_checkpoint
from policy_service.ledger.evidence import Vouched, checkpoints_of
from policy_service.ledger.hashing import hashed, kept_leaves
from policy_service.ledger.layout import Segment, contents
from policy_service.ledger.notes import FormatError, Verifier
from policy_service.ledger.proof import make_proof, proof_text, verify_proof
from policy_service.ledger.query import Wanted, finder
from policy_service.ledger.reader import blocks, holds
from policy_service.model.errors import PolicyServiceError, UsageError

_SIGNATURE = "— "


class ProofError(PolicyServiceError):
    """The answer is no: there is no such record, or nothing that would prove it."""


class Spot(msgspec.Struct, frozen=True):
    """Where a record is: its line, and its place in its shard, from 0."""

    shard: str
    index: int
    line: bytes


def kept_checkpoints(file: Path, verifiers: Sequence[Verifier]) -> list[Vouched]:
    """The checkpoints that an auditor kept in a file: one or more notes, one after the other.

    Raises:
        UsageError: `unreadable_checkpoint`; `unfit_checkpoint`: it is none, or no known key has signed it.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise UsageError("unreadable_checkpoint", f"cannot read checkpoints from `{file}`") from None
    found = []
    for number, note in enumerate(_notes(text), 1):
        try:
            found.append(Vouched(open_checkpoint(note, verifiers), file))
        except FormatError as error:
            raise UsageError("unfit_checkpoint", f"`{file}`, checkpoint {number}: {error.message}") from None
    if not found:
        raise UsageError("unfit_checkpoint", f"`{file}` holds no checkpoint")
    return found


def _notes(text: str) -> Iterator[str]:
    """Notes that stand one after the other: each ends with its signatures."""
    note: list[str] = []
    for line in text.splitlines(keepends=True):
        if note and note[-1].startswith(_SIGNATURE) and not line.startswith(_SIGNATURE):
            yield "".join(note)
            note = []
        if note or line.strip():
            note.append(line)
    if note:
        yield "".join(note)


def latest_checkpoints(folder: Path, verifiers: Sequence[Verifier], *, of_all: bool = False) -> list[Vouched]:
    """The checkpoints to keep: the newest one, which vouches for all closed shards through the change chain, and the
    latest of each shard that it names as open.

    Args:
        of_all: the latest of every shard.
    """
    latest = []
    for shard, segments in contents(folder).items():
        good, _ = checkpoints_of(folder, shard, segments, verifiers)
        if good:
            latest.append(max(good, key=lambda one: (one.checkpoint.size, one.checkpoint.time)))
    if of_all or not latest:
        return latest
    newest = max(latest, key=lambda one: (one.checkpoint.revision, one.checkpoint.time))
    kept = {newest.checkpoint.shard, *newest.checkpoint.open_shards}
    return [one for one in latest if one.checkpoint.shard in kept]


def find_record(folder: Path, record_id: str) -> Spot | None:
    """The record of a decision id.

    Its place is counted by the hashes that are kept of the segments before: with these it is to be proven.

    Raises:
        StoreError: `ledger_unreadable`.

    Cost: 0.2 µs a record, for its bytes are looked for; lines are looked at where they were found.
    """
    needle = b'"id":%s' % msgspec.json.encode(record_id)
    for shard, segments in contents(folder).items():
        index = 0
        for segment in _all(segments):
            path = segment.lines_path()
            found = _in_segment(path, needle, record_id) if path.exists() and holds(path, needle) else None
            if found is not None:
                return Spot(shard, index + found[0], found[1])
            index += hashed(segment)
    return None


def _in_segment(path: Path, needle: bytes, record_id: str) -> tuple[int, bytes] | None:
    """The number of a record in its segment, from 0, and its line."""
    find = finder(Wanted())
    index = 0
    for block in blocks(path):
        for number, line in enumerate(block.lines, index) if needle in block.text else ():
            record = find(line) if needle in line else None
            if record is not None and record.id == record_id:
                return number, line
        index += block.count
    return None


def prove(folder: Path, record_id: str, verifiers: Sequence[Verifier]) -> str:
    """The text of a proof that a record is in the ledger; it verifies with the verifier key alone.

    Raises:
        ProofError: `unknown_record`; `not_covered`: no checkpoint reaches it yet; `unprovable`: it was altered.
    """
    spot = find_record(folder, record_id)
    if spot is None:
        raise ProofError("unknown_record", f"no record of this ledger has the id `{record_id}`")
    segments = contents(folder)[spot.shard]
    good, _ = checkpoints_of(folder, spot.shard, segments, verifiers)
    covering = [one for one in good if one.checkpoint.size > spot.index]
    if not covering:
        told = "no checkpoint reaches that record yet; ask again after the next one"
        raise ProofError("not_covered", told)
    newest = max(covering, key=lambda one: one.checkpoint.size)
    # The blocks only make it quick, and nothing vouches for them: without them it takes a second a million records.
    for with_blocks in (True, False):
        leaves = kept_leaves(folder, spot.shard, _all(segments), with_blocks=with_blocks)
        with contextlib.suppress(FormatError, ValueError):
            text = proof_text(make_proof(leaves, spot.index, newest.file.read_text(encoding="utf-8"), spot.line))
            verify_proof(text, verifiers)
            return text
    raise _unprovable()


def _all(segments: Sequence[Segment]) -> list[Segment]:
    """From the first one, those too whose records were removed."""
    last = max((segment.number for segment in segments), default=0)
    return [Segment(segments[0].folder, segments[0].shard, number) for number in range(1, last + 1)]


def _unprovable() -> ProofError:
    return ProofError(
        "unprovable",
        "its kept hashes do not lead to the signed root; run `ledger verify`",
    )
