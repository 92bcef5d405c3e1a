"""Hashes over blocks of records make proofs quick. Nothing depends on them: without them proofs take longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.ledger.hashing import SLICE, ShardTree
from policy_service.ledger.keys import load_verifiers
from policy_service.ledger.layout import Segment, blocks_path, first_segment
from policy_service.ledger.merkle import BLOCK, LeafHashes, leaf_hash, subtree_root
from policy_service.ledger.proof import verify_proof
from policy_service.ledger.recovery import recover
from policy_service.service.auditing.proving import ProofError, prove
from tests.ledger_houses import LedgerHouse

SHARD = "20270115T080000-AAAAaaaa"
LINES = [b"%d" % number for number in range(5 * BLOCK // 2)]


def blocks_of(lines: list[bytes]) -> bytes:
    """By the plain definition."""
    leaves = LeafHashes(b"".join(map(leaf_hash, lines)))
    return b"".join(subtree_root(leaves, start, start + BLOCK) for start in range(0, len(lines) - BLOCK + 1, BLOCK))


def test_they_are_kept_as_records_are_hashed(tmp_path: Path) -> None:
    """Over the borders of segments, a little at a time; and after a crash the same."""
    tree = ShardTree(tmp_path, SHARD)
    for start in range(0, len(LINES), 200):
        with tree.segment.plain.open("ab") as file:
            file.writelines(line + b"\n" for line in LINES[start : start + 200])
        tree.take()
        if start == 400:
            tree.next_segment()
    kept = blocks_path(tmp_path, SHARD)
    assert kept.read_bytes() == blocks_of(LINES)
    kept.write_bytes(b"what a crash left" * 100)
    recover(tmp_path, SHARD)
    assert kept.read_bytes() == blocks_of(LINES)


def test_where_they_cannot_be_kept_records_are_hashed_all_the_same(tmp_path: Path) -> None:
    first = first_segment(tmp_path, SHARD)
    first.plain.write_bytes(b"".join(line + b"\n" for line in LINES))
    blocks_path(tmp_path, SHARD).mkdir()
    tree = ShardTree(tmp_path, SHARD)
    tree.take()
    assert tree.tree.size == len(LINES)


@pytest.fixture
def house(tmp_path: Path) -> LedgerHouse:
    made = LedgerHouse(tmp_path / "data")
    shard = made.open_shard()
    segments = [made.write(shard, number, 400) for number in (1, 2)]
    made.checkpoint(shard, *segments)
    made.close()
    return made


def harmed(kept: Path, harm: str) -> None:
    content = kept.read_bytes()
    if harm == "missing":
        kept.unlink()
    else:
        kept.write_bytes({"whole": content, "short": content[:40], "wrong": bytes(len(content)), "empty": b""}[harm])


@pytest.mark.parametrize("harm", ["whole", "missing", "short", "wrong", "empty"])
def test_a_proof_is_made_whatever_became_of_them(house: LedgerHouse, harm: str) -> None:
    """And what is handed out verifies."""
    (shard,) = house.written
    harmed(blocks_path(house.folder, shard), harm)
    keys = load_verifiers(house.data_dir / "signing.pub")
    for index in (0, 300, 799):
        record = house.written[shard][index]
        assert verify_proof(prove(house.folder, record.id, keys), keys).index == index


def test_a_record_that_was_altered_is_not_proven_with_them(house: LedgerHouse) -> None:
    (shard,) = house.written
    segment = Segment(house.folder, shard, 2)
    segment.plain.write_bytes(
        segment.plain.read_bytes().replace(b'"scope":"pipelines:run"', b'"scope":"pipelines:ruin"')
    )
    keys = load_verifiers(house.data_dir / "signing.pub")
    with pytest.raises(ProofError) as raised:
        prove(house.folder, house.written[shard][500].id, keys)
    assert raised.value.code == "unprovable"


def test_who_rests_between_slices_makes_the_same_tree(tmp_path: Path) -> None:
    """Once at least for every `SLICE` records: so others get their turn."""
    rests: list[int] = []
    tree = ShardTree(tmp_path, SHARD, lambda: rests.append(1))
    tree.segment.plain.write_bytes(b"".join(line + b"\n" for line in LINES))
    tree.take()
    assert len(rests) >= len(LINES) // SLICE
    assert tree.segment.hashes.read_bytes() == b"".join(map(leaf_hash, LINES))
    assert blocks_path(tmp_path, SHARD).read_bytes() == blocks_of(LINES)
