"""Proofs that leave the house: one record, its place in a shard, the path to the root, and the signed checkpoint.

    c2sp.org/tlog-proof@v1
    extra <base64 of the record's line>       may be left out
    index <place>
    <hash>                                    one line a node, from the leaf's sibling up
    <blank>
    <the checkpoint's note, verbatim>

Whoever has such a text, the record's line and the log's verifier key needs nothing else: no server, no ledger.

Source: C2SP tlog-proof, https://c2sp.org/tlog-proof; RFC 6962, section 2.1.1; decision page 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from policy_service.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from policy_service.ledger.merkle import (
    HASH_BYTES,
    MAX_PROOF,
    Leaves,
    inclusion_proof,
    leaf_hash,
    verify_inclusion,
)
from policy_service.ledger.notes import (
    MAX_NOTE_BYTES,
    FormatError,
    Verifier,
    decode_base64,
    encode_base64,
    parse_note,
)

SUFFIX: Final = ".tlog-proof"
MAX_EXTRA_BYTES: Final = 1 << 20

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_MAX_CHARS: Final = 2 * MAX_EXTRA_BYTES + MAX_NOTE_BYTES
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


class LogProof(msgspec.Struct, frozen=True, kw_only=True):
    """A proof as it was read or made, not verified.

    Args:
        index: the record's place in its shard, from 0.
        path: the inclusion proof, hashes of 32 bytes.
        checkpoint: its note, verbatim.
        extra: the record's line, or whatever somebody put there: nothing vouches for it before the proof is verified.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


class Proven(msgspec.Struct, frozen=True):
    """What a verified proof says: this line is record `index` of the shard that the checkpoint is of."""

    line: bytes
    index: int
    checkpoint: Checkpoint


def make_proof(leaves: Leaves, index: int, checkpoint: str, line: bytes | None = None) -> LogProof:
    """Prove a record under a checkpoint.

    Args:
        leaves: the shard's leaf hashes, as many as the checkpoint has at least.
        checkpoint: its note.
        line: the record's, to travel inside the proof.

    Raises:
        FormatError: the note is not a checkpoint's.
        ValueError: the checkpoint does not reach that record, or the leaf hashes do not reach the checkpoint.
    """
    size = parse_checkpoint(parse_note(checkpoint).text).size
    path = tuple(inclusion_proof(leaves, index, size))
    return LogProof(index=index, path=path, checkpoint=checkpoint, extra=line)


def proof_text(proof: LogProof) -> str:
    """The content of a `.tlog-proof` file."""
    extra = [] if proof.extra is None else [f"extra {encode_base64(proof.extra)}"]
    nodes = map(encode_base64, proof.path)
    return "\n".join([_HEADER, *extra, f"index {proof.index}", *nodes, "", proof.checkpoint])


def parse_proof(text: str | bytes) -> LogProof:
    """Read a proof without verifying it.

    Raises:
        FormatError: `malformed_proof`, or `malformed_note` where the checkpoint in it is none.
    """
    head, blank, checkpoint = _checked_text(text).partition("\n\n")
    header, *lines = head.split("\n")
    if header != _HEADER or not blank:
        raise _malformed("its first line or its blank line is missing")
    extra = _parse_extra(lines.pop(0)) if lines and lines[0].startswith("extra ") else None
    index = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if index is None:
        raise _malformed("it does not say which record it is about")
    parse_note(checkpoint)
    return LogProof(index=int(index[1]), path=_parse_path(lines), checkpoint=checkpoint, extra=extra)


def verify_proof(text: str | bytes, verifiers: Iterable[Verifier], line: bytes | None = None) -> Proven:
    """What a proof proves, from itself and the log's verifier keys alone.

    Args:
        line: the record in question, without its line feed; where it is None, the one that travels in the proof.

    Raises:
        FormatError: `malformed_proof`, or as `open_checkpoint`; `missing_record`; `not_included`.
    """
    proof = parse_proof(text)
    checkpoint = open_checkpoint(proof.checkpoint, verifiers)
    record = proof.extra if line is None else line
    if record is None:
        raise FormatError("missing_record", "the proof does not hold the record that it is about; give its line too")
    if not verify_inclusion(leaf_hash(record), proof.index, checkpoint.size, proof.path, checkpoint.root):
        raise FormatError("not_included", f"this is not record {proof.index} of `{checkpoint.origin}`, or was altered")
    return Proven(record, proof.index, checkpoint)


def _checked_text(text: str | bytes) -> str:
    if len(text) > _MAX_CHARS:
        raise _malformed("it is too large")
    try:
        return text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise _malformed("not UTF-8") from None


def _parse_extra(line: str) -> bytes:
    extra = decode_base64(line.removeprefix("extra "))
    if extra is None or len(extra) > MAX_EXTRA_BYTES:
        raise _malformed("what travels in it is not Base 64, or too large")
    return extra


def _parse_path(lines: list[str]) -> tuple[bytes, ...]:
    nodes = [decode_base64(line) for line in lines[: MAX_PROOF + 1]]
    path = tuple(node for node in nodes if node is not None and len(node) == HASH_BYTES)
    if len(path) != len(lines):
        raise _malformed("a line of its path is no hash, or there are too many")
    return path


def _malformed(reason: str) -> FormatError:
    return FormatError("malformed_proof", f"not a `{SUFFIX}` text: {reason}")
