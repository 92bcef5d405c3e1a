"""New lines of a folder as they are written, through all that happens to its files."""

from __future__ import annotations

from pathlib import Path

import zstandard

from policy_service.ledger.following import Follower
from policy_service.ledger.layout import Segment

FIRST, SECOND = "20270115T080000-AAAAAAAA", "20270115T080001-BBBBBBBB"


def write(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_each_line_comes_once_and_none_is_lost(tmp_path: Path) -> None:
    """Unfinished lines, new segments, sealing, new shards."""
    segment = Segment(tmp_path, FIRST, 1)
    write(segment.plain, b"old\n")
    follower = Follower(tmp_path)
    assert list(follower.new_lines()) == []
    write(segment.plain, b"one\ntw")
    assert list(follower.new_lines()) == [b"one"]
    write(segment.plain, b"o\nthree\n")
    write(segment.next().plain, b"four\n")
    write(Segment(tmp_path, SECOND, 1).plain, b"other\n")
    segment.packed.write_bytes(zstandard.ZstdCompressor().compress(segment.plain.read_bytes()))
    segment.plain.unlink()
    assert list(follower.new_lines()) == [b"two", b"three", b"four", b"other"]
    assert list(follower.new_lines()) == []


def test_from_the_beginning_it_gives_all(tmp_path: Path) -> None:
    """For whoever wants what is there, too."""
    write(Segment(tmp_path, FIRST, 1).plain, b"one\ntwo\n")
    assert list(Follower(tmp_path, from_now=False).new_lines()) == [b"one", b"two"]
