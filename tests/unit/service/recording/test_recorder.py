"""Group commit: one write a turn, no answer before it, and no answer where it failed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

import pytest

from policy_service.model.errors import StoreError
from policy_service.service.recording.groups import WRITTEN
from policy_service.service.recording.recorder import SIZES, Recorder
from tests.fakes import MemoryLog

FULL = StoreError("ledger_full", "no room")


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())  # type: ignore[arg-type]  # a coroutine


def test_outside_an_event_loop_each_call_is_a_write() -> None:
    """Whole and in order; nothing is nothing to wait for."""
    log = MemoryLog()
    recorder = Recorder("os", log)
    recorder.record_lines([b"a", b"b"]).check()
    recorder.record_lines([b"c"]).check()
    assert log.writes == [[b"a", b"b"], [b"c"]]
    assert recorder.record_lines([]) is WRITTEN
    synced = Recorder("fsync", log)
    synced.record_lines([b"d"]).check()
    assert log.synced == 3


def test_the_records_of_one_turn_are_one_write() -> None:
    """However many callbacks of the turn decide; the next turn's are the next write's."""
    log = MemoryLog()
    recorder = Recorder("os", log)

    async def scene() -> None:
        first, second = recorder.record_lines([b"a"]), recorder.record_lines([b"b", b"c"])
        assert first is second
        assert log.writes == []
        await first.written()
        await recorder.record_lines([b"d"]).written()

    run(scene)
    assert log.writes == [[b"a", b"b", b"c"], [b"d"]]
    report = recorder.report()
    assert (report.records, report.bytes, report.writes, report.failures) == (4, 8, 2, 0)
    assert dict(zip(SIZES, report.sizes, strict=True)) == {1: 1, 2: 1} | dict.fromkeys(SIZES[2:], 2)


def test_nothing_is_answered_before() -> None:
    """At the moment of each answer its line is in the file; with `fsync` it is synced."""

    async def scene() -> None:
        for durability in ("os", "fsync"):
            log = MemoryLog()
            recorder = Recorder(durability, log)  # type: ignore[arg-type]  # of the two
            for number in range(20):
                line = str(number).encode()
                await recorder.record_lines([line]).written()
                assert line in log.lines()
                assert durability == "os" or log.synced == len(log.writes)

    run(scene)


def test_while_a_group_is_synced_the_next_one_gathers() -> None:
    """The slower the disk, the larger the groups: all that is decided meanwhile is one write."""
    log = MemoryLog()
    log.is_slow = True
    recorder = Recorder("fsync", log)

    async def scene() -> None:
        first = recorder.record_lines([b"0"])
        await asyncio.sleep(0)
        groups = []
        for number in range(1, 50):
            groups.append(recorder.record_lines([str(number).encode()]))
            await asyncio.sleep(0)
        assert log.writes == [[b"0"]]
        assert not first.is_settled
        log.go.set()
        await asyncio.gather(first.written(), *(group.written() for group in groups))

    run(scene)
    assert [len(write) for write in log.writes] == [1, 49]
    assert log.synced == 2


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_a_group_that_cannot_be_written_fails_as_a_whole_and_recovery_needs_nobody(durability: str) -> None:
    """Every one who waits gets the sink's own code; the next group is tried anew."""
    log = MemoryLog()
    recorder = Recorder(durability, log)  # type: ignore[arg-type]  # of the two

    async def scene() -> None:
        log.broken = FULL
        group = recorder.record_lines([b"a"])
        assert recorder.record_lines([b"b"]) is group
        for _ in range(2):
            with pytest.raises(StoreError) as raised:
                await group.written()
            assert raised.value.code == "ledger_full"
        assert recorder.report().failures == 1
        log.broken = None
        await recorder.record_lines([b"c"]).written()

    run(scene)
    assert log.lines() == [b"c"]
    assert recorder.trouble() is None
    assert recorder.report().records == 1


def test_a_sync_that_fails_is_a_failure_though_the_lines_are_there() -> None:
    """A record means decided, not delivered: who was refused may find a record."""
    log = MemoryLog()
    log.is_slow = True
    recorder = Recorder("fsync", log)

    async def scene() -> None:
        group = recorder.record_lines([b"a"])
        await asyncio.sleep(0.01)
        log.broken = StoreError("ledger_unavailable", "input/output error")
        log.go.set()
        with pytest.raises(StoreError):
            await group.written()

    run(scene)
    assert log.lines() == [b"a"]


def test_a_bug_of_the_log_is_a_failure_of_the_group(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for ever, and nobody gets an answer."""
    log = MemoryLog()
    log.broken = ZeroDivisionError("a bug")
    recorder = Recorder("os", log)
    with caplog.at_level(logging.ERROR), pytest.raises(StoreError) as raised:
        recorder.record_lines([b"a"]).check()
    assert raised.value.code == "ledger_unavailable"
    assert "ZeroDivisionError" in caplog.text


def test_trouble_is_found_to_be_over_without_a_decision(caplog: pytest.LogCaptureFixture) -> None:
    """A process that is not ready gets no requests: whoever asks whether it is ready has it looked at anew."""
    log = MemoryLog()
    recorder = Recorder("os", log)
    assert recorder.trouble() is None
    log.broken = FULL
    assert recorder.trouble() is None, "nobody looks while all is well"
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with pytest.raises(StoreError):
                recorder.record_lines([b"a"]).check()
        assert (trouble := recorder.trouble()) is not None
        assert trouble.code == "ledger_full"
        log.broken = None
        assert recorder.trouble() is None
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    log.soon = "ledger_space_low"
    assert recorder.warning() == "ledger_space_low"


def test_without_a_shard_nothing_is_decided() -> None:
    """Only `serve` opens one."""
    recorder = Recorder("os")
    with pytest.raises(StoreError) as raised:
        recorder.record_lines([b"a"]).check()
    assert raised.value.code == "ledger_unavailable"
    assert recorder.trouble() is not None
    assert recorder.warning() is None
    log = MemoryLog()
    recorder.use(log)
    recorder.record_lines([b"a"]).check()
    recorder.use(None)
    assert recorder.trouble() is not None
    assert log.lines() == [b"a"]


def test_a_shard_is_given_up_only_when_its_sync_is_over() -> None:
    """Whoever closes the file next finds nobody in it."""
    log = MemoryLog()
    log.is_slow = True
    recorder = Recorder("fsync", log)

    async def scene() -> None:
        recorder.record_lines([b"a"])
        await asyncio.sleep(0)
        threading.Timer(0.05, log.go.set).start()
        recorder.use(None)
        assert log.synced == 1

    run(scene)


def test_the_state_is_that_of_the_last_attempt() -> None:
    """A group is synced, and the one behind it cannot be written: the good end of the first hides nothing."""
    log = MemoryLog()
    log.is_slow = True
    recorder = Recorder("fsync", log)

    async def scene() -> None:
        first = recorder.record_lines([b"a"])
        await asyncio.sleep(0)
        second = recorder.record_lines([b"b"])
        log.fails_after_sync = FULL
        log.go.set()
        await first.written()
        with pytest.raises(StoreError):
            await second.written()

    run(scene)
    assert (trouble := recorder.trouble()) is not None
    assert trouble.code == "ledger_full"
    assert recorder.report().records == 1
