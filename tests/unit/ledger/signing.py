"""Keys that are always the same, and a checkpoint to sign."""

from __future__ import annotations

from typing import Any

from policy_service.ledger.checkpoint import Checkpoint
from policy_service.ledger.merkle import leaf_hashes, subtree_root
from policy_service.ledger.notes import Signer

NAME = "ledger.example/demo"
SHARD = "20260601T120000-0123abCD"
OTHER_SHARD = "20260601T120001-0123abCD"
SIGNER = Signer(NAME, bytes(range(32)))
NEWER = Signer(NAME, bytes(range(1, 33)))
WITNESS = Signer("witness.example", bytes(range(2, 34)))
LINES = [f'{{"id":"{number}"}}'.encode() for number in range(11)]
LEAVES = b"".join(leaf_hashes(LINES))


def a_checkpoint(size: int = len(LINES), **changed: Any) -> Checkpoint:
    """Of the first `size` lines."""
    members: dict[str, Any] = {
        "name": NAME,
        "shard": SHARD,
        "size": size,
        "root": subtree_root(LEAVES, 0, size),
        "time": 1_780_315_200_000_000_000,
        "revision": 7,
        "chain": "ab" * 32,
        "shard_count": 3,
        "shards_digest": "cd" * 32,
        "open_shards": (SHARD, OTHER_SHARD),
    }
    return Checkpoint(**members | changed)
