"""A shard being written: whole groups, segments, and what happens when the system refuses."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from policy_service.ledger.layout import lock_path, segments
from policy_service.ledger.lock import ShardLock
from policy_service.ledger.shard import MAX_UNSYNCED, Limits, Position, ShardWriter
from policy_service.model.errors import StoreError
from tests.unit.ledger.disks import fill, largest_file, remount, small_disk

SHARD = "20270115T080000-AAAAaaaa"
LINES = [b'{"a":1}', b'{"b":2}']
GROUP = b'{"a":1}\n{"b":2}\n'

Open = Callable[..., ShardWriter]


class Seconds:
    """Seconds that go by when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def opened(tmp_path: Path, seconds: Seconds) -> Iterator[Open]:
    """Makes writers, and closes them."""
    made: list[ShardWriter] = []

    def make(folder: Path = tmp_path, shard: str = SHARD, rotated: Callable[[], None] = lambda: None, **limits: int):  # type: ignore[no-untyped-def]
        made.append(ShardWriter(folder, shard, Limits(**limits), elapsed=seconds, rotated=rotated))
        return made[-1]

    yield make
    for writer in made:
        writer.close()


def content(folder: Path, number: int = 1) -> bytes:
    return (folder / f"{SHARD}.{number:06d}.jsonl").read_bytes()


def refusal(act: Callable[[], object]) -> StoreError:
    """The StoreError that an act ends with: one line, without a path."""
    with pytest.raises(StoreError) as caught:
        act()
    assert "\n" not in caught.value.message
    assert "/" not in caught.value.message
    return caught.value


def test_a_group_is_in_the_file_when_append_returns(opened: Open, tmp_path: Path) -> None:
    writer = opened()
    writer.append(LINES)
    writer.append([b"{}"])
    assert content(tmp_path) == GROUP + b"{}\n"
    assert writer.position == Position(1, len(GROUP) + 3)
    report = writer.report()
    assert (report.records, report.bytes, report.writes, report.failures) == (3, len(GROUP) + 3, 2, 0)


def test_files_are_their_owners_alone(opened: Open, tmp_path: Path) -> None:
    opened()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_shard_has_one_holder(opened: Open, tmp_path: Path) -> None:
    """Of those who take it at once one gets it; when it is done its lock is gone, when it is killed it is free."""
    writer = opened()
    assert ShardLock.take(tmp_path, SHARD) is None
    assert "another process" in refusal(opened).message
    writer.close(is_done=False)
    lock = ShardLock.take(tmp_path, SHARD)
    assert lock is not None
    lock.release(is_done=True)
    lock.release(is_done=True)
    assert not lock_path(tmp_path, SHARD).exists()


def test_a_segment_that_is_full_is_followed_by_another(opened: Open, tmp_path: Path) -> None:
    turns: list[int] = []
    writer = opened(segment_bytes=2 * len(GROUP), rotated=lambda: turns.append(1))
    for _ in range(5):
        writer.append(LINES)
    assert [content(tmp_path, number) for number in (1, 2, 3)] == [GROUP * 2, GROUP * 2, GROUP]
    assert turns == [1, 1]
    assert writer.position == Position(3, len(GROUP))


def test_a_group_larger_than_a_segment_stays_whole(opened: Open, tmp_path: Path) -> None:
    writer = opened(segment_bytes=4)
    writer.append(LINES)
    writer.append(LINES)
    assert [content(tmp_path, number) for number in (1, 2)] == [GROUP, GROUP]


def test_a_segment_that_was_to_end_takes_nothing_more_however_small(opened: Open, tmp_path: Path) -> None:
    """Where no other can begin that is one state until it is mended: it does not come and go with the groups' sizes."""
    writer = opened(segment_bytes=len(GROUP) + 3)
    writer.append(LINES)
    in_the_way = tmp_path / f"{SHARD}.000002.jsonl"
    in_the_way.touch()
    assert refusal(lambda: writer.append(LINES)).code == "ledger_unavailable"
    assert refusal(lambda: writer.append([b"{}"])).code == "ledger_unavailable"
    assert refusal(writer.probe).code == "ledger_unavailable"
    assert content(tmp_path) == GROUP
    in_the_way.unlink()
    writer.append([b"{}"])
    assert (content(tmp_path), content(tmp_path, 2)) == (GROUP, b"{}\n")


def test_an_old_segment_is_followed_by_another_unless_it_is_empty(
    opened: Open, tmp_path: Path, seconds: Seconds
) -> None:
    writer = opened(segment_age_s=60)
    seconds.now = 100
    writer.append(LINES)
    seconds.now = 159
    writer.append(LINES)
    assert len(segments(tmp_path, SHARD)) == 1
    seconds.now = 160
    writer.append(LINES)
    assert len(segments(tmp_path, SHARD)) == 2


def test_a_shard_that_is_there_is_never_written_on(opened: Open, tmp_path: Path) -> None:
    (tmp_path / f"{SHARD}.000001.jsonl").write_bytes(b"somebody's\n")
    assert refusal(opened).code == "ledger_unavailable"
    assert content(tmp_path) == b"somebody's\n"
    assert not lock_path(tmp_path, SHARD).exists()


def test_a_missing_folder_is_told(opened: Open, tmp_path: Path) -> None:
    assert "no such file" in refusal(lambda: opened(tmp_path / "missing")).message


def test_a_full_disk_keeps_whole_records_and_goes_on_when_there_is_space(opened: Open, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        writer = opened(disk)
        writer.append(LINES)
        large = [b"x" * 50_000]
        ballast = fill(disk, leave=12_288)
        for _ in range(2):
            assert refusal(lambda: writer.append(large)).code == "ledger_full"
        assert content(disk) == GROUP
        assert refusal(writer.probe).code == "ledger_full"
        assert content(disk) == GROUP
        assert writer.report().last_error == "ledger_full"
        ballast.unlink()
        writer.probe()
        assert content(disk) == GROUP
        assert writer.report().last_error is None
        writer.append(large)
        assert content(disk) == GROUP + large[0] + b"\n"
        writer.close()


def test_little_space_is_told_before_there_is_none(opened: Open, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        writer = opened(disk, free_warning_bytes=100_000)
        assert writer.warning() is None
        fill(disk, leave=50_000)
        assert writer.warning() == "ledger_space_low"
        writer.append(LINES)
        writer.close()


def test_a_full_disk_when_a_segment_is_to_begin(opened: Open, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        writer = opened(disk, segment_bytes=10)
        writer.append(LINES)
        ballast = fill(disk)
        assert refusal(lambda: writer.append(LINES)).code == "ledger_full"
        ballast.unlink()
        writer.append(LINES)
        assert b"".join(content(disk, segment.number) for segment in segments(disk, SHARD)) == GROUP * 2
        writer.close()


def test_a_file_system_that_turns_read_only_and_back(opened: Open, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        writer = opened(disk, segment_bytes=10)
        writer.append(LINES)
        # A file that is open for writing keeps a file system from becoming read-only: the next segment meets it.
        writer.sync()
        os.close(writer._files._current)  # type: ignore[arg-type]
        remount(disk, "ro")
        refused = refusal(lambda: writer.append(LINES))
        assert (refused.code, "read-only" in refused.message) == ("ledger_unavailable", True)
        remount(disk, "rw")
        writer._files._current = os.open(disk / f"{SHARD}.000001.jsonl", os.O_RDWR | os.O_APPEND)
        writer.append(LINES)
        assert content(disk, 2) == GROUP
        writer.close()


def test_a_limit_met_in_the_middle_of_a_write(opened: Open, tmp_path: Path) -> None:
    """The system takes a part of the data and then none: what it took is taken back."""
    writer = opened()
    writer.append(LINES)
    with largest_file(20):
        assert refusal(lambda: writer.append(LINES)).code == "ledger_full"
        assert content(tmp_path) == GROUP
    writer.append(LINES)
    assert content(tmp_path) == GROUP * 2


@pytest.mark.parametrize("harm", ["remove", "replace", "move", "truncate", "append"])
def test_a_live_file_that_others_touch_ends_the_writing(opened: Open, tmp_path: Path, harm: str) -> None:
    writer = opened()
    writer.append(LINES)
    path = tmp_path / f"{SHARD}.000001.jsonl"
    if harm == "remove":
        path.unlink()
    elif harm == "replace":
        path.with_suffix(".new").write_bytes(GROUP)
        path.with_suffix(".new").replace(path)
    elif harm == "move":
        path.rename(path.with_suffix(".moved"))
    elif harm == "truncate":
        os.truncate(path, 3)
    else:
        with path.open("ab") as file:
            file.write(b"{}\n")
    for act in (lambda: writer.append(LINES), writer.probe):
        refused = refusal(act)
        assert refused.code == "ledger_unavailable"
        assert "changed by somebody else" in refused.message


def test_a_live_file_that_was_put_back_is_written_on(opened: Open, tmp_path: Path) -> None:
    writer = opened()
    writer.append(LINES)
    path = tmp_path / f"{SHARD}.000001.jsonl"
    path.rename(tmp_path / "elsewhere")
    refusal(writer.probe)
    (tmp_path / "elsewhere").rename(path)
    writer.append(LINES)
    assert content(tmp_path) == GROUP * 2


def test_syncing_while_segments_change(opened: Open, tmp_path: Path) -> None:
    """A thread syncs as fast as it can while another writes: nothing is lost, no descriptor is left open."""
    before = len(os.listdir("/proc/self/fd"))
    writer = opened(segment_bytes=3 * len(GROUP))
    ended = threading.Event()
    troubles: list[BaseException] = []

    def sync() -> None:
        try:
            while not ended.is_set():
                writer.sync()
        except BaseException as error:
            troubles.append(error)

    thread = threading.Thread(target=sync)
    thread.start()
    for _ in range(300):
        writer.append(LINES)
    ended.set()
    thread.join()
    assert troubles == []
    assert b"".join(content(tmp_path, n + 1) for n in range(100)) == GROUP * 300
    writer.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_behind_a_sync_that_failed_nothing_is_written(opened: Open, tmp_path: Path) -> None:
    writer = opened()
    writer.append(LINES)
    # A pipe cannot be synced: the system refuses as it does for a broken disk.
    whole, (read, write) = writer._files._current, os.pipe()
    writer._files._current = write
    assert refusal(writer.sync).code == "ledger_unavailable"
    writer._files._current = whole
    os.close(read)
    os.close(write)
    writer.append(LINES)
    assert [content(tmp_path, number) for number in (1, 2)] == [GROUP, GROUP]
    writer.sync()


def test_a_disk_that_keeps_nothing_gets_no_more_files(opened: Open, tmp_path: Path, monkeypatch: Any) -> None:
    """Nobody is answered, and the process does not run out of descriptors; when the disk is well it goes on."""
    writer = opened()
    with monkeypatch.context() as patch:
        patch.setattr("policy_service.ledger.syncing.os.fdatasync", refuse)
        for _ in range(30):
            with contextlib.suppress(StoreError):
                writer.append(LINES)
            assert refusal(writer.sync).code == "ledger_unavailable"
    assert len(segments(tmp_path, SHARD)) == MAX_UNSYNCED + 1
    assert "does not keep" in refusal(lambda: writer.append(LINES)).message
    writer.sync()
    writer.append(LINES)
    assert len(segments(tmp_path, SHARD)) == MAX_UNSYNCED + 2


def refuse(_: int) -> None:
    """What a broken disk says; it cannot be broken here."""
    raise OSError(errno.EIO, "the disk failed")
