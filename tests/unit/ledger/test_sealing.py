"""Segments that are sealed, and those that must not be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zstandard

from policy_service.ledger.hashing import ShardTree
from policy_service.ledger.layout import Segment, first_segment
from policy_service.ledger.sealing import is_ready, packed_lines, remove, seal
from policy_service.model.errors import StoreError
from tests.unit.ledger.disks import fill, small_disk

SHARD = "20270115T080000-AAAAaaaa"
CONTENT = b"".join(b'{"n":%d}\n' % n for n in range(5000))


def signed(folder: Path) -> Segment:
    """A segment that was hashed and signed."""
    segment = first_segment(folder, SHARD)
    segment.plain.write_bytes(CONTENT)
    ShardTree(folder, SHARD).take()
    segment.checkpoint.touch()
    return segment


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    return signed(tmp_path)


def refusal(segment: Segment, act: object = seal) -> StoreError:
    with pytest.raises(StoreError) as caught:
        act(segment)  # type: ignore[operator]
    return caught.value


def test_a_sealed_segment_has_its_records_compressed_and_nothing_else(segment: Segment) -> None:
    saved = seal(segment)
    assert saved == len(CONTENT) - segment.packed.stat().st_size > 0
    assert not segment.plain.exists()
    assert segment.packed.stat().st_mode & 0o777 == 0o600
    with segment.packed.open("rb") as file:
        assert b"".join(packed_lines(file)) == CONTENT
    assert sorted(path.name for path in segment.folder.glob("*.000001.*")) == [
        f"{SHARD}.000001.{ending}" for ending in ("checkpoint", "hashes", "jsonl.zst")
    ]


def test_a_segment_is_ready_when_it_was_hashed_and_signed(segment: Segment) -> None:
    assert is_ready(segment)
    for path in (segment.checkpoint, segment.hashes, segment.plain):
        path.rename(path.with_suffix(".away"))
        assert not is_ready(segment)
        path.with_suffix(".away").rename(path)


def test_an_empty_segment_can_be_sealed(tmp_path: Path) -> None:
    segment = first_segment(tmp_path, SHARD)
    segment.plain.touch()
    ShardTree(tmp_path, SHARD).take()
    seal(segment)
    with segment.packed.open("rb") as file:
        assert list(packed_lines(file)) == []


@pytest.mark.parametrize("harm", ["flip", "drop", "add", "cut"])
def test_records_that_are_not_those_that_were_signed_are_left_as_they_are(segment: Segment, harm: str) -> None:
    """They are evidence; and nothing compressed stands in their place."""
    altered = {
        "flip": CONTENT.replace(b"4999", b"4998"),
        "drop": CONTENT[: CONTENT.rindex(b"\n", 0, -1) + 1],
        "add": CONTENT + b"{}\n",
        "cut": CONTENT[:-1],
    }[harm]
    segment.plain.write_bytes(altered)
    assert refusal(segment).code == "ledger_damaged"
    assert segment.plain.read_bytes() == altered
    assert not segment.packed.exists()


def test_a_disk_too_full_to_seal_keeps_the_plain_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        segment = signed(disk)
        ballast = fill(disk)
        with pytest.raises(OSError, match="No space"):
            seal(segment)
        assert segment.plain.read_bytes() == CONTENT
        ballast.unlink()
        seal(segment)
        assert not segment.plain.exists()


def test_what_is_removed_is_sealed_and_verified(segment: Segment) -> None:
    assert refusal(segment, remove).code == "ledger_unsealed"
    seal(segment)
    segment.checkpoint.rename(segment.folder / "away")
    assert refusal(segment, remove).code == "ledger_unsealed"
    (segment.folder / "away").rename(segment.checkpoint)
    remove(segment)
    assert not segment.packed.exists()
    assert segment.hashes.exists()
    assert segment.checkpoint.exists()


def test_a_compressed_segment_that_was_altered_is_never_removed(segment: Segment) -> None:
    seal(segment)
    whole = segment.packed.read_bytes()
    segment.packed.write_bytes(zstandard.compress(CONTENT.replace(b"17", b"18")))
    assert refusal(segment, remove).code == "ledger_damaged"
    for damage in (whole[:-5], b"no Zstandard at all", whole[:40] + b"\0\0" + whole[42:]):
        segment.packed.write_bytes(damage)
        assert refusal(segment, remove).code == "ledger_damaged"
        assert segment.packed.read_bytes() == damage
    os.truncate(segment.packed, 0)
    assert refusal(segment, remove).code == "ledger_damaged"
