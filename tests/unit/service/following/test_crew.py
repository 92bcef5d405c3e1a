"""What workers share: boards that one writes and others read, bells that wake."""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import time
from pathlib import Path

import pytest

from policy_service.service.following.crew import DOWN, MAX_TOLD, SILENT, SILENT_S, Board, Crew, WorkerState
from policy_service.service.following.wakers import BellWaker


class Seconds:
    """Seconds that go by when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def state(**more: object) -> WorkerState:
    return WorkerState(**{"pid": 7, "revision": 42, "told_at": 100.0, **more})  # type: ignore[arg-type]  # of its fields


def test_a_board_holds_the_last_text(tmp_path: Path) -> None:
    """Longer and shorter ones; one that is too long leaves the last."""
    board = Board(mmap.mmap(-1, 4096), 1024, 64)
    assert board.get() == b""
    for text in (b"first", b"", b"x" * 56, b"second"):
        assert board.put(text)
        assert board.get() == text
    assert not board.put(b"x" * 57)
    assert board.get() == b"second"


def test_boards_do_not_touch_each_other() -> None:
    """Each has its own part of the memory."""
    memory = mmap.mmap(-1, 4096)
    boards = [Board(memory, number * 64, 64) for number in range(4)]
    for number, board in enumerate(boards):
        assert board.put(bytes([65 + number]) * 56)
    assert [board.get()[:1] for board in boards] == [b"A", b"B", b"C", b"D"]


def test_a_reader_never_sees_half_of_one_text_and_half_of_another() -> None:
    """A real process writes without pause, texts of one letter each, while another reads."""
    memory = mmap.mmap(-1, 1 << 17)
    board = Board(memory, 0, 1 << 17)
    board.put(b"a")
    writer = os.fork()
    if writer == 0:
        try:
            for number in range(1 << 30):
                board.put(bytes([97 + number % 26]) * (1 + number * 7919 % 100_000))
        finally:
            os._exit(0)
    try:
        seen: set[bytes] = set()
        deadline = time.monotonic() + 60
        while len(seen) < 27 and time.monotonic() < deadline:
            text = board.get()
            # Nothing at all where it was met in the midst of writing again and again; never a mixture.
            assert len(set(text)) <= 1
            seen.add(text[:1])
        assert len(seen) > 10
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)


def test_a_text_whose_writer_died_in_the_middle_is_none() -> None:
    """Nobody takes it for one; the next text is whole again."""
    memory = mmap.mmap(-1, 128)
    board = Board(memory, 0, 128)
    board.put(b"whole")
    memory[9:10] = b"?"
    assert board.get() == b""
    memory[0:4] = b"\xff\xff\xff\xff"
    assert board.get() == b""
    board.put(b"again")
    assert board.get() == b"again"


def test_workers_are_down_until_they_tell_otherwise() -> None:
    """And again once their process has ended."""
    seconds = Seconds()
    crew = Crew(2, elapsed=seconds)
    assert [crew.trouble(number) for number in range(2)] == [DOWN, DOWN]
    crew.member(1).tell(state())
    crew.member(1).publish(b"meters")
    assert (crew.state(1), crew.trouble(1), crew.meters(1)) == (state(), None, b"meters")
    assert crew.trouble(0) == DOWN
    crew.down(1)
    assert (crew.trouble(1), crew.meters(1)) == (DOWN, b"")


def test_a_worker_that_tells_nothing_is_stuck() -> None:
    """Its trouble, if it had any, is told on."""
    seconds = Seconds()
    crew = Crew(1, elapsed=seconds)
    crew.member(0).tell(state())
    seconds.now += SILENT_S
    assert (crew.trouble(0), crew.hears(0)) == (None, True)
    seconds.now += 0.1
    assert (crew.trouble(0), crew.hears(0)) == (SILENT, False)
    crew.member(0).tell(state(trouble="stale", told_at=seconds.now))
    assert (crew.trouble(0), crew.hears(0)) == ("stale", True)


def test_a_long_mistake_is_cut() -> None:
    """A board has room for so much; the state is told all the same."""
    crew = Crew(1)
    crew.member(0).tell(state(policy_error="é" * 10_000))
    assert crew.state(0).policy_error == "é" * MAX_TOLD


def test_meters_that_are_too_long_leave_the_last() -> None:
    """False says so."""
    member = Crew(1).member(0)
    assert member.publish(b"short")
    assert not member.publish(b"x" * (1 << 20))
    assert member.crew.meters(0) == b"short"


def test_a_bell_rung_often_wakes_once() -> None:
    """All but whoever rings; never waiting, however often nobody listens."""
    crew = Crew(3)
    for _ in range(100_000):
        crew.member(0).ring()

    async def scene() -> list[int]:
        woken = [0, 0, 0]

        def count(number: int) -> None:
            woken[number] += 1

        tasks = [
            asyncio.create_task(BellWaker(crew.member(number).bell).run(lambda number=number: count(number)))  # type: ignore[misc]  # mypy knows no defaults of lambdas
            for number in range(3)
        ]
        await asyncio.sleep(0.3)
        heard = list(woken)
        crew.member(2).ring()
        async with asyncio.timeout(60):
            while not (woken[0] and woken[1] > heard[1]):
                await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        crew.member(2).ring()
        await asyncio.sleep(0.01)
        return [*heard, *woken]

    first, second, third, *after = asyncio.run(scene())
    assert first == 0, "whoever rings is not woken"
    # A pipe holds 64 Ki bytes, and is emptied 4 Ki at a time.
    assert 1 <= second <= 16
    assert 1 <= third <= 16
    assert after == [1, second + 1, third]


@pytest.mark.parametrize("count", [1, 64])
def test_a_crew_of_any_size_takes_no_memory_that_nobody_writes_to(count: int) -> None:
    """The settings allow for 64."""
    crew = Crew(count)
    assert crew.count == count
    assert all(crew.meters(number) == b"" for number in range(count))
