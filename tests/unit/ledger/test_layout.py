"""Names of files in a ledger folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy_service.ledger import layout
from policy_service.model.errors import StoreError

OPENED = 1_800_000_000_123_456_789
A = "20270115T080000-AAAAaaaa"
B = "20270115T080001-00000000"


def test_a_shard_is_named_after_the_second_it_was_opened_in() -> None:
    assert layout.new_shard_id(OPENED, "AAAAaaaa") == A
    with pytest.raises(ValueError, match="no shard id"):
        layout.new_shard_id(OPENED, "../etc")


def test_a_segment_knows_its_files(tmp_path: Path) -> None:
    segment = layout.first_segment(tmp_path, A).next()
    names = [path.name for path in (segment.plain, segment.packed, segment.hashes, segment.checkpoint, segment.torn)]
    assert names == [f"{A}.000002.{ending}" for ending in ("jsonl", "jsonl.zst", "hashes", "checkpoint", "torn")]
    assert layout.lock_path(tmp_path, A).name == f"{A}.lock"
    assert layout.checkpoint_path(tmp_path, A).name == f"{A}.checkpoint"


def test_the_records_are_in_the_plain_file_as_long_as_there_is_one(tmp_path: Path) -> None:
    segment = layout.first_segment(tmp_path, A)
    assert segment.lines_path() == segment.packed
    segment.plain.touch()
    segment.packed.touch()
    assert segment.lines_path() == segment.plain


def test_shards_and_segments_are_listed_in_order_and_foreign_files_are_not(tmp_path: Path) -> None:
    names = (
        f"{B}.000001.jsonl",
        f"{A}.1000000.jsonl",
        f"{A}.000002.jsonl",
        f"{A}.000002.jsonl.zst",
        f"{A}.000001.jsonl.zst",
        f"{A}.000001.hashes",
        f"{A}.000009.hashes",
        f"{A}.lock",
        "notes.txt",
        f"{A}.000003.jsonl.bak",
        f"{A}.jsonl",
        f".{A}.000004.jsonl",
    )
    for name in names:
        (tmp_path / name).touch()
    assert layout.shards(tmp_path) == [A, B]
    assert [segment.number for segment in layout.segments(tmp_path, A)] == [1, 2, 1_000_000]
    assert [segment.number for segment in layout.segments(tmp_path, B)] == [1]
    assert layout.segments(tmp_path, "20270115T080002-00000000") == []


def test_a_shard_without_records_is_one_all_the_same(tmp_path: Path) -> None:
    layout.lock_path(tmp_path, A).touch()
    assert layout.contents(tmp_path) == {A: []}


def test_a_folder_that_is_not_there_is_empty_and_one_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    assert layout.shards(tmp_path / "missing") == []
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot list") as refused:
        layout.shards(tmp_path / "file")
    assert refused.value.code == "ledger_unreadable"
