"""Shards whose writer is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.ledger.hashing import CHUNK, ShardTree, mapped_leaves
from policy_service.ledger.layout import Segment, first_segment, segments
from policy_service.ledger.merkle import EMPTY_ROOT, LeafHashes, leaf_hash, leaf_hashes, subtree_root
from policy_service.ledger.recovery import recover
from policy_service.ledger.sealing import seal
from policy_service.model.errors import StoreError

SHARD = "20270115T080000-AAAAaaaa"


def root_of(*lines: bytes) -> bytes:
    """The root by the plain definition, from the lines in memory."""
    return subtree_root(LeafHashes(b"".join(map(leaf_hash, lines))))


@pytest.fixture
def first(tmp_path: Path) -> Segment:
    return first_segment(tmp_path, SHARD)


@pytest.mark.parametrize("torn", [b"", b"{", b'{"whole":"but for its line feed"}', b"\0" * 70_000, b" "])
def test_a_torn_last_line_is_cut_and_kept_beside(first: Segment, torn: bytes) -> None:
    first.plain.write_bytes(b"one\ntwo\n" + torn)
    found = recover(first.folder, SHARD)
    assert (found.tree.size, found.tree.root(), found.torn_bytes) == (2, root_of(b"one", b"two"), len(torn))
    assert first.plain.read_bytes() == b"one\ntwo\n"
    assert (first.torn.read_bytes() if torn else b"") == torn
    assert first.torn.exists() == bool(torn)


def test_a_file_of_nothing_but_a_torn_line_holds_no_record(first: Segment) -> None:
    first.plain.write_bytes(b"x" * 200_000)
    found = recover(first.folder, SHARD)
    assert (found.tree.size, found.tree.root(), first.plain.read_bytes()) == (0, EMPTY_ROOT, b"")


def test_torn_lines_of_two_crashes_are_both_kept(first: Segment) -> None:
    for torn in (b"one", b"two"):
        first.plain.write_bytes(torn)
        recover(first.folder, SHARD)
    assert first.torn.read_bytes() == b"onetwo"


def test_recovering_again_finds_the_same(first: Segment) -> None:
    first.plain.write_bytes(b"one\ntw")
    once = recover(first.folder, SHARD)
    again = recover(first.folder, SHARD)
    assert (again.tree.size, again.tree.root(), again.torn_bytes) == (once.tree.size, once.tree.root(), 0)


def test_a_shard_that_never_had_a_segment_is_empty(tmp_path: Path) -> None:
    found = recover(tmp_path, SHARD)
    assert (found.tree.size, found.tree.root(), found.last) == (0, EMPTY_ROOT, None)


def test_all_segments_count_sealed_ones_and_those_whose_records_are_gone_too(first: Segment) -> None:
    second, third = first.next(), first.next().next()
    for segment, content in ((first, b"a\nb\nc\n"), (second, b"d\n"), (third, b"e\nf")):
        segment.plain.write_bytes(content)
    recover(first.folder, SHARD)
    for segment in (first, second):
        segment.checkpoint.touch()
        seal(segment)
    first.packed.unlink()
    assert [segment.number for segment in segments(first.folder, SHARD)] == [2, 3]
    found = recover(first.folder, SHARD)
    assert (found.tree.size, found.tree.root(), found.last) == (5, root_of(b"a", b"b", b"c", b"d", b"e"), third)
    leaves = mapped_leaves([first, second, third])
    assert subtree_root(leaves) == found.tree.root()


def test_a_missing_segment_is_told(first: Segment) -> None:
    first.next().plain.write_bytes(b"x\n")
    with pytest.raises(StoreError, match=r"000001.jsonl` is missing") as refused:
        recover(first.folder, SHARD)
    assert refused.value.code == "ledger_damaged"


def test_a_torn_line_in_the_midst_of_a_shard_is_no_crash(first: Segment) -> None:
    first.plain.write_bytes(b"one\ntw")
    first.next().plain.write_bytes(b"")
    with pytest.raises(StoreError, match="no whole record at byte 4"):
        recover(first.folder, SHARD)


def test_hashes_follow_what_is_written(first: Segment) -> None:
    """Taken little by little, in chunks and at once the hashes are the same."""
    lines = [b"x" * (n * 9) for n in range(400)]
    content = b"".join(line + b"\n" for line in lines)
    assert len(content) > 2 * CHUNK
    first.plain.write_bytes(content)
    tree = ShardTree(first.folder, SHARD)
    end = 0
    for line in lines[:50]:
        end += len(line) + 1
        tree.take(end)
        assert tree.taken == end
    tree.take()
    tree.take()
    assert first.hashes.read_bytes() == b"".join(leaf_hashes(lines))
    assert tree.tree.root() == root_of(*lines)


def test_hashes_of_an_attempt_that_failed_are_written_anew(first: Segment) -> None:
    first.plain.write_bytes(b"one\n")
    first.hashes.write_bytes(b"half of a hash")
    tree = ShardTree(first.folder, SHARD)
    tree.take()
    assert first.hashes.read_bytes() == leaf_hash(b"one")
    tree.next_segment()
    tree.segment.hashes.write_bytes(b"half of a hash")
    with pytest.raises(StoreError, match="is cut short"):
        tree.take_hashes()
