"""Reading files of records, whatever is in them."""

from __future__ import annotations

from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.ledger import reader
from policy_service.ledger.codec import BadLine
from policy_service.ledger.reader import Backward, Source, blocks, holds, lines, read, sources
from policy_service.model.errors import StoreError, UsageError

SHARD = "20270115T080000-AAAAAAAA"


def texts(path: Path) -> list[bytes]:
    return [line.text for line in lines(path)]


def packed(path: Path, content: bytes) -> Path:
    path.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(content))
    return path


@pytest.mark.parametrize("is_packed", [False, True])
@given(content=st.lists(st.binary(max_size=40)).map(b"\n".join), size=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_forwards_and_backwards_give_the_same_finished_lines(
    is_packed: bool, content: bytes, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However they lie across blocks, with the offset of each."""
    path = tmp_path_factory.mktemp("lines") / f"x.jsonl{'.zst' if is_packed else ''}"
    packed(path, content) if is_packed else path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "BLOCK", size)
        patch.setattr(reader, "_PACKED_BLOCK", size)
        forwards = [(line.offset, line.text) for line in lines(path)]
        backwards = list(Backward(path))
        rest = list(blocks(path))[-1].rest
    finished = content.split(b"\n")
    assert [text for _, text in forwards] == finished[:-1]
    assert backwards == forwards[::-1]
    assert rest == finished[-1]
    assert all(content[offset : offset + len(text)] == text for offset, text in forwards)


@pytest.mark.parametrize("is_packed", [False, True])
@given(
    content=st.lists(st.sampled_from([b"a", b"b", b"\n"]), max_size=40).map(b"".join),
    needle=st.lists(st.sampled_from([b"a", b"b"]), min_size=1, max_size=6).map(b"".join),
    size=st.integers(1, 9),
)
@settings(max_examples=120, deadline=None)
def test_bytes_are_found_wherever_they_stand(
    is_packed: bool, content: bytes, needle: bytes, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Across what is read at once too, however little that is."""
    path = tmp_path_factory.mktemp("holds") / f"x.jsonl{'.zst' if is_packed else ''}"
    packed(path, content) if is_packed else path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "BLOCK", size)
        assert holds(path, needle) == (needle in content)


@pytest.mark.parametrize("is_packed", [False, True])
def test_reading_goes_on_from_an_offset(tmp_path: Path, is_packed: bool) -> None:
    """Of a compressed file, of its content."""
    path = tmp_path / f"x.jsonl{'.zst' if is_packed else ''}"
    packed(path, b"one\ntwo\nthree\n") if is_packed else path.write_bytes(b"one\ntwo\nthree\n")
    assert next(block.lines for block in blocks(path, 4)) == [b"two", b"three"]


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of it a beginning is kept, and what follows is found at its place."""
    monkeypatch.setattr(reader, "MAX_LINE", 10)
    monkeypatch.setattr(reader, "BLOCK", 7)
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"a\n" + b"x" * 1000 + b"\nb\n")
    found = list(lines(path))
    assert (found[0].text, found[-1].text) == (b"a", b"b")
    assert len(found[1].text) < 30
    assert found[-1].offset == 1003


def test_a_damaged_compressed_file_ends_with_a_word_about_it(tmp_path: Path) -> None:
    """What came before is read; nothing raises, backwards neither."""
    path = packed(tmp_path / "x.jsonl.zst", b"".join(b"line %d\n" % n for n in range(100_000)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    last = list(blocks(path))[-1]
    assert last.trouble is not None
    assert len(texts(path)) < 100_000
    list(Backward(path))


def test_what_is_no_record_is_a_value(tmp_path: Path) -> None:
    """With the code of why."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{}\n\n\xff\n{"v":99}\n')
    found = [read(line) for line in lines(path)]
    assert [one.code for one in found if isinstance(one, BadLine)] == [*["malformed_line"] * 3, "unknown_schema"]


def test_files_are_read_in_the_order_of_their_writing(tmp_path: Path) -> None:
    """Those of shards by shard and segment, others before them; a data directory is its ledger."""
    folder = tmp_path / "ledger"
    folder.mkdir()
    for name in (f"{SHARD}.000010.jsonl", f"{SHARD}.000002.jsonl.zst", "export.jsonl", "notes.txt", f"{SHARD}.lock"):
        (folder / name).touch()
    found = sources([tmp_path])
    assert [source.path.name for source in found] == [
        "export.jsonl",
        f"{SHARD}.000002.jsonl.zst",
        f"{SHARD}.000010.jsonl",
    ]
    assert found == sources([folder, folder / "export.jsonl"])
    assert found[1] == Source(SHARD, 2, folder / f"{SHARD}.000002.jsonl.zst")


def test_no_ledger_is_said_so(tmp_path: Path) -> None:
    """With what to name instead."""
    with pytest.raises(UsageError, match="there is no ledger at"):
        sources([tmp_path / "missing"])
    with pytest.raises(StoreError, match="cannot read"):
        texts(tmp_path / "missing.jsonl")
