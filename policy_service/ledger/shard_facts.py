"""What the feed of changes says about the ledger: every shard that was opened and closed, and the chain's hashes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from policy_service.ledger.findings import Finding, finding
from policy_service.model.canonical import canonical_text, sha256_hex
from policy_service.model.changes import GENESIS_HASH, Change
from policy_service.model.errors import StoreError
from policy_service.model.facts import Bundle, LedgerShard

_HASH: Final = 32
_EXPIRE: Final = f"{LedgerShard.entity}.expire"
_NUMBER: Final = re.compile(r"\b\d{6,12}\b", re.ASCII)
"""The number of a segment, in the words of the change that tells of its end."""


class ShardsThen(msgspec.Struct, frozen=True):
    """The shards that were known at a revision, as checkpoints name them."""

    count: int
    digest: str
    open: tuple[str, ...]


class ShardFacts:
    """One pass over the feed of changes, which recomputes every hash.

    Args:
        revisions: those at which a checkpoint stands.

    Attributes:
        shards: all that were ever opened, by id, as they are at the end.
        then: the shards known at each of the revisions.
        bundles: the SHA-256 of the text of all that were published, by digest.
        expired: shards and numbers of segments whose records were removed on purpose.
        findings: where the feed is broken; it is read no further than that.

    Cost: 32 bytes a change, and one canonical encoding.
    """

    def __init__(self, changes: Iterable[Change], revisions: Collection[int] = ()) -> None:
        self._feed: Iterator[Change] = iter(changes)
        self._wanted = frozenset(revisions)
        self._hashes = bytearray(bytes(_HASH))
        self.shards: dict[str, LedgerShard] = {}
        self.then: dict[int, ShardsThen] = {}
        self.bundles: dict[str, str] = {}
        self.expired: set[tuple[str, int]] = set()
        self.findings: list[Finding] = []
        self._note(0)
        self._read()

    @property
    def head(self) -> int:
        """The last sound change."""
        return len(self._hashes) // _HASH - 1

    def chain_at(self, revision: int) -> str | None:
        """The hash of a change; None where there is none."""
        if not 0 <= revision <= self.head:
            return None
        return self._hashes[revision * _HASH : (revision + 1) * _HASH].hex()

    def _read(self) -> None:
        previous = GENESIS_HASH
        try:
            for change in self._feed:
                wrong = _wrong(change, self.head + 1, previous)
                if wrong is not None:
                    self.findings.append(_broken(self.head + 1, wrong))
                    return
                self._take(change)
                previous = change.hash
        except (StoreError, msgspec.MsgspecError, ValueError, KeyError) as error:
            told = error.message if isinstance(error, StoreError) else "it cannot be read"
            self.findings.append(_broken(self.head + 1, told))

    def _take(self, change: Change) -> None:
        for effect in change.effects:
            if effect.entity == LedgerShard.entity and effect.after is not None:
                self.shards[effect.key[0]] = msgspec.convert(effect.after, LedgerShard)
            elif effect.entity == Bundle.entity and effect.after is not None:
                self.bundles[effect.key[0]] = str(effect.after.get("content_sha256"))
        if change.action == _EXPIRE:
            self.expired |= {(change.subject, int(number)) for number in _NUMBER.findall(change.note)}
        self._hashes += bytes.fromhex(change.hash)
        self._note(change.revision)

    def _note(self, revision: int) -> None:
        if revision in self._wanted:
            self.then[revision] = shards_then(self.shards.values())


def shards_then(shards: Iterable[LedgerShard]) -> ShardsThen:
    """The shards known at some revision, as a checkpoint names them."""
    known = sorted(shards, key=lambda shard: shard.id)
    text = canonical_text([msgspec.to_builtins(shard) for shard in known])
    return ShardsThen(len(known), sha256_hex(text), tuple(shard.id for shard in known if shard.closed_at is None))


def _wrong(change: Change, revision: int, previous: str) -> str | None:
    if change.revision != revision:
        return f"change {change.revision} stands in its place"
    if change.previous_hash != previous:
        return "it does not follow the change before it"
    return None if change.is_intact() else "its content does not match its hash"


def _broken(revision: int, wrong: str) -> Finding:
    return finding(
        "change_altered", f"change {revision} was altered, removed or added: {wrong}", file="changes", line=revision
    )
