"""Checkpoints: how many records a shard holds, the root of their tree, and where the facts stood, in a signed note.

    <name>/<shard>
    <size>
    <root>
    time <ns>
    change-chain <revision> <hash>
    shards <count> <digest>
    open <shard>                    one line for each shard that is open, sorted

The first three lines are those of every transparency log; the others are extension lines, opaque to its tools.

INVARIANT: each checkpoint has one text, and no other text reads as one (test_ledger_notes: one text).

Source: C2SP tlog-checkpoint, https://c2sp.org/tlog-checkpoint; decision page 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, Literal

import msgspec

from policy_service.ledger.layout import is_shard_id
from policy_service.ledger.merkle import Leaves, Tree, as_leaf_hashes
from policy_service.ledger.notes import (
    FormatError,
    Signer,
    Verifier,
    decode_base64,
    encode_base64,
    is_key_name,
    open_note,
    sign_note,
)

_NUMBER: Final = r"(?:0|[1-9][0-9]{0,18})"
_HASH: Final = "[0-9a-f]{64}"
_SHARD: Final = "[0-9A-Za-z-]+"
_BODY: Final = re.compile(
    rf"(?P<name>[^\n]+)/(?P<shard>{_SHARD})\n"
    rf"(?P<size>{_NUMBER})\n"
    r"(?P<root>[A-Za-z0-9+/]{43}=)\n"
    rf"time (?P<time>{_NUMBER})\n"
    rf"change-chain (?P<revision>{_NUMBER}) (?P<chain>{_HASH})\n"
    rf"shards (?P<shard_count>{_NUMBER}) (?P<shards_digest>{_HASH})\n"
    rf"(?P<open_shards>(?:open {_SHARD}\n)*)",
    re.ASCII,
)
_NUMBERS: Final = ("size", "time", "revision", "shard_count")
_BOUND: Final = 1 << 63


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed.

    Args:
        name: of the key that signs it. With the shard it is the origin: the log's identity.
        shard: whose records these are.
        size: how many there are.
        root: of their Merkle tree, 32 bytes.
        time: when this was so, nanoseconds UTC, by the signer's clock. It proves nothing.
        revision, chain: number and hash of the last change there was, the hash as 64 hexadecimal digits.
        shard_count, shards_digest: how many shards had ever been opened at that revision, and the SHA-256 of what is
            known of them, as 64 hexadecimal digits.
        open_shards: ids of those open at that revision, sorted.
    """

    name: str
    shard: str
    size: int
    root: bytes
    time: int
    revision: int
    chain: str
    shard_count: int
    shards_digest: str
    open_shards: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """The identity of the log that this is of."""
        return f"{self.name}/{self.shard}"


class Inconsistency(msgspec.Struct, frozen=True):
    """Why two checkpoints cannot both be true. A value: whoever verifies a ledger wants to know them all.

    | code | when |
    |---|---|
    | `other_log` | they are of different shards or names |
    | `log_shrunk` | the newer one has fewer records |
    | `records_altered` | the records are not those of one of the roots |
    | `changes_rewritten` | it stands at an earlier change, or at the same one with another hash |
    | `shard_vanished` | fewer shards had been opened, or other ones at the same change |
    """

    code: Literal["other_log", "log_shrunk", "records_altered", "changes_rewritten", "shard_vanished"]
    message: str


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """The body of its note.

    Raises:
        ValueError: a member is not what it must be: no text would read as this checkpoint.
    """
    text = "".join(
        [
            f"{checkpoint.origin}\n{checkpoint.size}\n{encode_base64(checkpoint.root)}\n",
            f"time {checkpoint.time}\n",
            f"change-chain {checkpoint.revision} {checkpoint.chain}\n",
            f"shards {checkpoint.shard_count} {checkpoint.shards_digest}\n",
            *(f"open {shard}\n" for shard in checkpoint.open_shards),
        ]
    )
    if _read(text) != checkpoint:
        raise ValueError("a checkpoint that cannot be written down")
    return text


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the body of a checkpoint's note; what it says is not to be believed before the note is opened.

    Raises:
        FormatError: `malformed_checkpoint`.
    """
    checkpoint = _read(text)
    if checkpoint is None:
        raise FormatError("malformed_checkpoint", "signed or not, this is no checkpoint of a ledger")
    return checkpoint


def sign_checkpoint(checkpoint: Checkpoint, signers: Iterable[Signer]) -> str:
    """The signed note. Whoever calls has made sure that it is consistent with all that were signed before.

    Raises:
        ValueError: as `checkpoint_text`, and where a signer has another name than the checkpoint.
        FormatError: there is no signer.
    """
    keys = tuple(signers)
    if any(signer.verifier.name != checkpoint.name for signer in keys):
        raise ValueError(f"a checkpoint of `{checkpoint.name}` is signed by keys of that name alone")
    return sign_note(checkpoint_text(checkpoint), keys)


def open_checkpoint(note: str | bytes, verifiers: Iterable[Verifier]) -> Checkpoint:
    """The checkpoint of a note that a key of its own name has signed. Other signatures, a witness's say, do not count.

    Raises:
        FormatError: as `open_note`; `malformed_checkpoint`; `foreign_checkpoint`: a known key of another name alone
            has signed it.
    """
    opened = open_note(note, verifiers)
    checkpoint = parse_checkpoint(opened.text)
    if all(verifier.name != checkpoint.name for verifier in opened.signed_by):
        raise FormatError("foreign_checkpoint", f"`{opened.signed_by[0].name}` signed for `{checkpoint.name}`")
    return checkpoint


def contradiction(older: Checkpoint, newer: Checkpoint) -> Inconsistency | None:
    """The first thing in which two checkpoints contradict each other by themselves, without a look at any record."""
    if older.origin != newer.origin:
        return Inconsistency("other_log", f"one is of `{older.origin}`, the other of `{newer.origin}`")
    if newer.size < older.size:
        return Inconsistency("log_shrunk", f"there were {older.size} records, and now there are {newer.size}")
    if newer.size == older.size and newer.root != older.root:
        return Inconsistency("records_altered", f"the same {older.size} records have another root")
    is_same_change = newer.revision == older.revision
    if newer.revision < older.revision or (is_same_change and newer.chain != older.chain):
        return Inconsistency("changes_rewritten", f"change {older.revision} is gone or another one")
    if newer.shard_count < older.shard_count or (is_same_change and _shards(newer) != _shards(older)):
        return Inconsistency("shard_vanished", f"{older.shard_count} shards had been opened, and not the same are told")
    return None


def inconsistency(older: Checkpoint, newer: Checkpoint, leaves: Leaves) -> Inconsistency | None:
    """Whether, and how, a checkpoint is not consistent with an older one, given the shard's leaf hashes.

    Args:
        leaves: as many as the newer one has at least; those past it do not count.

    Cost: one node hash a leaf.
    """
    found = contradiction(older, newer)
    if found is not None:
        return found
    there, tree = as_leaf_hashes(leaves), Tree()
    for checkpoint in (older, newer):
        if len(there) < checkpoint.size:
            return Inconsistency("log_shrunk", f"there are {len(there)} records of {checkpoint.size}")
        tree.extend(there.between(tree.size, checkpoint.size))
        if tree.root() != checkpoint.root:
            return Inconsistency("records_altered", f"the first {checkpoint.size} records have another root")
    return None


def _shards(checkpoint: Checkpoint) -> tuple[int, str, tuple[str, ...]]:
    return checkpoint.shard_count, checkpoint.shards_digest, checkpoint.open_shards


def _read(text: str) -> Checkpoint | None:
    """The checkpoint that a text is, if it is one."""
    match = _BODY.fullmatch(text)
    if match is None:
        return None
    values: dict[str, Any] = match.groupdict()
    values |= {name: int(values[name]) for name in _NUMBERS}
    values["root"] = decode_base64(values["root"])
    values["open_shards"] = tuple(line.removeprefix("open ") for line in values["open_shards"].splitlines())
    return Checkpoint(**values) if _is_sound(values) else None


def _is_sound(values: dict[str, Any]) -> bool:
    """Whether what has the right shape is also in the right spelling and order."""
    shards = values["open_shards"]
    return (
        is_key_name(values["name"])
        and is_shard_id(values["shard"])
        and all(map(is_shard_id, shards))
        and values["root"] is not None
        and max(values[name] for name in _NUMBERS) < _BOUND
        and all(before < after for before, after in pairwise(shards))
        and len(shards) <= values["shard_count"]
    )
