"""Checkpoints of this process's shard: signed one after another, each consistent with the last, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from policy_service.ledger.checkpoint import (
    Checkpoint,
    Inconsistency,
    contradiction,
    inconsistency,
    open_checkpoint,
    sign_checkpoint,
)
from policy_service.ledger.keys import load_signers, load_verifiers, verifiers_path
from policy_service.ledger.layout import FILE_MODE, Segment, checkpoint_path
from policy_service.ledger.merkle import Leaves, Tree
from policy_service.ledger.notes import FormatError
from policy_service.ledger.shard_facts import shards_then
from policy_service.ledger.syncing import sync_folder
from policy_service.model.errors import StoreError
from policy_service.service.following.replica import Standing
from policy_service.service.ports import Clock

REFUSED: Final = "checkpoint_refused"


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint and its note."""

    checkpoint: Checkpoint
    note: str


class Notary:
    """Signs the checkpoints of one shard.

    INVARIANT: none is signed that contradicts the last one
    (test_a_checkpoint_that_would_contradict_the_last_is_refused).

    Args:
        key_path: `signing.key`; read for each signature, so that a rotated key needs no restart.
        standing: where the facts stand, in any thread.

    Attributes:
        last: the last checkpoint signed; None before the first.
    """

    def __init__(
        self, folder: Path, shard: str, key_path: Path, standing: Callable[[], Standing], clock: Clock
    ) -> None:
        self._folder = folder
        self._shard = shard
        self._key_path = key_path
        self._standing = standing
        self._clock = clock
        self.last: Checkpoint | None = None

    def resume(self) -> None:
        """Take up where another process left off: its last checkpoint must be consistent with the next.

        Raises:
            StoreError: `checkpoint_refused`: it is there, and no key of this ledger has signed it.
            UsageError: the verifier keys cannot be read.
            OSError: the file cannot be read.
        """
        path = checkpoint_path(self._folder, self._shard)
        if path.exists():
            self.last = read_checkpoint(path, self._key_path)

    def has_news(self, size: int) -> bool:
        """Whether there are records or changes that the last checkpoint does not know of."""
        return self.last is None or (self.last.size, self.last.revision) != (size, self._standing().revision)

    def sign(self, tree: Tree, ends: Segment | None = None, leaves: Leaves | None = None) -> Signed:
        """Sign what a tree holds, and put the note in the place of the last one. Its records are on the disk already.

        Args:
            ends: the segment that ends with this record; its checkpoint is kept.
            leaves: of the whole shard, where it was not this process that hashed what the last checkpoint is of.

        Raises:
            StoreError: `checkpoint_refused`: it would contradict the last one.
            UsageError: the signing key cannot be read.
            OSError: the note cannot be written.
        """
        signers = load_signers(self._key_path)
        checkpoint = self._checkpoint(signers[-1].verifier.name, tree)
        if self.last is not None:
            older = self.last
            wrong = contradiction(older, checkpoint) if leaves is None else inconsistency(older, checkpoint, leaves)
            if wrong is not None:
                raise _refused(self._shard, wrong)
        signed = Signed(checkpoint, sign_checkpoint(checkpoint, signers))
        for path in () if ends is None else (ends.checkpoint,):
            _put(path, signed.note)
        _put(checkpoint_path(self._folder, self._shard), signed.note)
        self.last = checkpoint
        return signed

    def _checkpoint(self, name: str, tree: Tree) -> Checkpoint:
        standing = self._standing()
        shards = shards_then(standing.shards.values())
        return Checkpoint(
            name=name,
            shard=self._shard,
            size=tree.size,
            root=tree.root(),
            time=self._clock.now(),
            revision=standing.revision,
            chain=standing.chain,
            shard_count=shards.count,
            shards_digest=shards.digest,
            open_shards=shards.open,
        )


def read_checkpoint(path: Path, key_path: Path) -> Checkpoint:
    """The checkpoint in a file, signed by a key of this ledger.

    Raises:
        StoreError: `checkpoint_refused`: it is not.
        UsageError: the verifier keys cannot be read.
        OSError: the file cannot be read.
    """
    try:
        return open_checkpoint(path.read_bytes(), load_verifiers(verifiers_path(key_path)))
    except FormatError as error:
        raise StoreError(REFUSED, f"`{path.name}` cannot be believed: {error.message}; run `ledger verify`") from None


def _put(path: Path, note: str) -> None:
    """The note in a file, at once: whoever reads sees the last one or this one."""
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(note.encode())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_folder(path.parent)


def _refused(shard: str, wrong: Inconsistency) -> StoreError:
    return StoreError(
        REFUSED,
        f"shard `{shard}` contradicts its last checkpoint: {wrong.message}; nothing is signed until `ledger verify` "
        "says why",
        {"why": wrong.code},
    )
