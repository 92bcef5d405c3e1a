"""What a scan gives in one go is what the lines give one by one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from policy_service.ledger.codec import encode_record
from policy_service.ledger.decision_ids import DecisionIds, fingerprint, fingerprints
from policy_service.ledger.layout import Segment
from policy_service.ledger.merkle import BLOCK, Tree, leaf_hash
from policy_service.ledger.scan import Task, scan
from tests.unit.ledger.records import CHAIN, a_record, a_request

SHARD = "20260101T000000-abcdefgh"


def segment_of(folder: Path, lines: list[bytes], rest: bytes = b"") -> Segment:
    segment = Segment(folder, SHARD, 1)
    segment.plain.write_bytes(b"".join(line + b"\n" for line in lines) + rest)
    return segment


def lines_of(count: int) -> list[bytes]:
    line = encode_record(a_record())
    return [line.replace(b"D%021d" % 1, b"E%021d" % number) for number in range(count)]


@pytest.mark.parametrize("base", [0, 1, 255, 256, 300])
@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 700])
def test_hashes_roots_and_ids_are_those_of_the_lines_one_by_one(tmp_path: Path, base: int, count: int) -> None:
    """Wherever in its shard the segment begins, and to whatever size its tree is grown."""
    lines = lines_of(count)
    found = scan(Task(segment_of(tmp_path, lines, b"torn"), base, covered=base + count))
    hashes = [leaf_hash(line) for line in lines]
    assert found.hashes == b"".join(hashes)
    assert found.ids.tolist() == [fingerprint(b"E%021d" % number) for number in range(count)]
    assert (found.rest, found.trouble, found.is_odd, found.is_gone) == (b"torn", None, False, False)
    before = [leaf_hash(b"before %d" % number) for number in range(base)]
    for sizes in ([count], [count // 2, count], [1, 2, 257, 511, count]):
        expected, tree = Tree(), Tree()
        expected.extend(before)
        tree.extend(before)
        done = 0
        for size in (size for size in sizes if done <= size <= count):
            expected.extend(hashes[done:size])
            found.grow(tree, base + size)
            assert (tree.size, tree.root()) == (expected.size, expected.root())
            done = size


def test_whole_blocks_have_their_roots(tmp_path: Path) -> None:
    """So a tree grows by one step for each, not by 256."""
    found = scan(Task(segment_of(tmp_path, lines_of(700)), base=200, covered=900))
    assert (found.first_block, len(found.roots)) == (1, 2)
    leaves = [leaf_hash(line) for line in lines_of(700)][56 : 56 + BLOCK]
    tree = Tree()
    tree.extend(leaves)
    assert found.roots[0] == tree.root()


def test_a_block_is_added_only_behind_a_whole_block() -> None:
    """Elsewhere it would be another tree."""
    tree = Tree()
    tree.append(b"h" * 32)
    with pytest.raises(ValueError, match="within a block"):
        tree.extend_blocks([b"r" * 32])


@pytest.mark.parametrize(
    "odd",
    [
        b'{"id" : "Z000000000000000000001"}',  # its own id is spelled otherwise
        b'{"facts":{},"id":"short"}',
        b'{"facts":{},"id":"D\\u0030000000000000000000001"}',
        encode_record(
            a_record(request=a_request(context={"a": {"b": {}, "id": "Y000000000000000000001"}}), id="X" + "0" * 21)
        ),
    ],
)
def test_an_id_is_read_whatever_its_line_looks_like(tmp_path: Path, odd: bytes) -> None:
    """A line that looks as if it had two ids, or none, has the one that it says."""
    lines = [*lines_of(3), odd]
    found = scan(Task(segment_of(tmp_path, lines), covered=4))
    told = msgspec.json.decode(odd)["id"].encode()
    assert found.ids.tolist()[3] == fingerprint(told)
    assert len(found.ids) == 4


def test_what_nobody_vouches_for_is_looked_at(tmp_path: Path) -> None:
    """Which changes its records stand on is told, and whether all are good records."""
    lines = lines_of(3)
    found = scan(Task(segment_of(tmp_path, lines), covered=1))
    assert (found.stood, found.is_odd) == (frozenset({(7, CHAIN)}), False)
    found = scan(Task(segment_of(tmp_path, [*lines, b"no record"]), covered=1))
    assert found.is_odd
    assert len(found.ids) == 3


def test_a_segment_without_records_is_gone(tmp_path: Path) -> None:
    """Its kept hashes may be there."""
    segment = Segment(tmp_path, SHARD, 1)
    assert scan(Task(segment)).is_gone
    segment.hashes.write_bytes(b"h" * 33)
    assert scan(Task(segment)).kept == b"h" * 32


@pytest.mark.parametrize("twice", [[], [5], [5, 9]])
def test_ids_that_occur_twice_are_suspects(twice: list[int]) -> None:
    """And no others."""
    ids = DecisionIds()
    ids.add(fingerprints(b"%d" % number for number in range(1000)))
    ids.add(fingerprints(b"%d" % number for number in twice))
    assert ids.suspects() == {fingerprint(b"%d" % number) for number in twice}
    ids.close()
