"""The checkpoints of a ledger folder, opened with the log's verifier keys; and what else vouches for its records."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec

from policy_service.ledger.checkpoint import Checkpoint, contradiction, open_checkpoint
from policy_service.ledger.findings import Finding, finding
from policy_service.ledger.layout import Segment, checkpoint_path
from policy_service.ledger.notes import MAX_NOTE_BYTES, FormatError, Verifier


class Vouched(msgspec.Struct, frozen=True):
    """A checkpoint that was signed by a known key, and the file it stands in."""

    checkpoint: Checkpoint
    file: Path


class Promise(msgspec.Struct, frozen=True):
    """Somebody said that the first `size` records of a shard have this root.

    Args:
        by: who, in words; `file`: where that stands, if in a file.
    """

    size: int
    root: bytes
    by: str
    file: Path | None = None


def checkpoints_of(
    folder: Path, shard: str, segments: Sequence[Segment], verifiers: Sequence[Verifier]
) -> tuple[list[Vouched], list[Finding]]:
    """The checkpoints that a folder holds of a shard, and what is wrong with others."""
    files = [segment.checkpoint for segment in segments] + [checkpoint_path(folder, shard)]
    good, findings = [], []
    for file in files:
        content = _content(file)
        if content is None:
            continue
        opened = _opened(file, content, shard, verifiers)
        if isinstance(opened, Finding):
            findings.append(opened)
        else:
            good.append(Vouched(opened, file))
    return good, findings


def _content(file: Path) -> bytes | None:
    """Of a file that is there: its beginning, as long as a note may be and a byte more."""
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_NOTE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"unreadable: {error.strerror}".encode()


def _opened(file: Path, content: bytes, shard: str, verifiers: Sequence[Verifier]) -> Checkpoint | Finding:
    try:
        checkpoint = open_checkpoint(content, verifiers)
    except FormatError as error:
        is_forged = error.code in ("unknown_signer", "invalid_signature", "foreign_checkpoint")
        code = "checkpoint_forged" if is_forged else "checkpoint_unreadable"
        return finding(code, f"this checkpoint vouches for nothing: {error.message}", shard=shard, file=file)
    if checkpoint.shard != shard:
        told = f"this file is named after shard {shard}, but what is signed in it is of {checkpoint.shard}"
        return finding("checkpoint_foreign", told, shard=shard, file=file)
    return checkpoint


def contradictions(shard: str, vouched: Sequence[Vouched]) -> list[Finding]:
    """Checkpoints of one shard that cannot all be true, whatever its records are."""
    found = []
    for older, newer in pairwise(sorted(vouched, key=lambda one: (one.checkpoint.size, one.checkpoint.time))):
        wrong = contradiction(older.checkpoint, newer.checkpoint)
        if wrong is not None:
            told = f"{older.file.name} and this one cannot both be true: {wrong.message}"
            found.append(finding("checkpoint_contradicted", told, shard=shard, file=newer.file))
    return found
