"""The workers of one `serve` and what they share: made before the first is forked, in memory and pipes, in no file.

Each worker has a *board* to say on where it stands and what it counted, which the others read; and a *bell*, a pipe
that the others write to when they have committed a change.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from policy_service.service.clock import elapsed_s

_HEAD: Final = struct.Struct("<II")
_STATE_BYTES: Final = 4096
_METERS_BYTES: Final = 1 << 20
"""Of address space: pages that nobody wrote to take no memory."""
_TRIES: Final = 20

DOWN: Final = "worker_down"
STARTING: Final = "starting"
SILENT: Final = "worker_silent"
SILENT_S: Final = 3.0
"""A worker that told nothing for so long is stuck: it looks for changes, and tells of it, several times a second."""
MAX_TOLD: Final = 1000
"""Characters of a mistake in the rule files that the others can tell."""


class Board:
    """A text in shared memory that one process replaces and others read, without waiting for each other.

    INVARIANT: a reader has a whole text that was put there, or none
    (test_a_reader_never_sees_half_of_one_text_and_half_of_another).
    """

    def __init__(self, memory: mmap.mmap, start: int, size: int) -> None:
        self._memory = memory
        self._start = start
        self._most = size - _HEAD.size

    def put(self, text: bytes) -> bool:
        """Replace the text. False where it is too long, and the last one stays. One writer at a time."""
        if len(text) > self._most:
            return False
        start = self._start
        self._memory[start : start + _HEAD.size + len(text)] = _HEAD.pack(len(text), zlib.crc32(text)) + text
        return True

    def get(self) -> bytes:
        """The text; empty where there is none, or its writer was killed in the midst of writing it."""
        for _ in range(_TRIES):
            length, check = _HEAD.unpack_from(self._memory, self._start)
            if length <= self._most:
                begin = self._start + _HEAD.size
                text = self._memory[begin : begin + length]
                if zlib.crc32(text) == check:
                    return text
        return b""


class Bell:
    """Wakes one worker. Rung many times before it is heard, it rings once."""

    def __init__(self) -> None:
        self.heard_at, self._rung_at = os.pipe()
        os.set_blocking(self.heard_at, False)
        os.set_blocking(self._rung_at, False)

    def ring(self) -> None:
        """From any thread and process. Never waits: a pipe that is full was rung long ago."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._rung_at, b"\0")

    def silence(self) -> None:
        """Forget that it rang."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.heard_at, 4096)


class WorkerState(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where one worker stands, as it says itself; `DOWN` is said of it.

    Args:
        pid: its process; 0 while there is none.
        revision: the last change its snapshot has seen.
        told_at: when it said so, in the seconds of `elapsed_s`, which all processes of a machine share.
        trouble: the code of what keeps it from deciding or from following; None when all is well.
        policy_error: the first mistake in the rule files that it watches.
    """

    pid: int
    revision: int
    told_at: float
    trouble: str | None = None
    policy_error: str | None = None


class Crew:
    """All workers of one `serve`. Made by the process that forks them; each then has a `Member` of it.

    Args:
        elapsed: seconds on a scale that all processes of the machine share.
    """

    def __init__(self, count: int, *, elapsed: Callable[[], float] = elapsed_s) -> None:
        self._elapsed = elapsed
        each = _STATE_BYTES + _METERS_BYTES
        self._memory = mmap.mmap(-1, count * each)
        self._states = [Board(self._memory, number * each, _STATE_BYTES) for number in range(count)]
        self._meters = [Board(self._memory, number * each + _STATE_BYTES, _METERS_BYTES) for number in range(count)]
        self._bells = [Bell() for _ in range(count)]
        for number in range(count):
            self.down(number)

    @property
    def count(self) -> int:
        """How many workers there are to be."""
        return len(self._states)

    def down(self, number: int) -> None:
        """Say of a worker whose process has ended that it did: only then may another say anything of it."""
        self._states[number].put(msgspec.msgpack.encode(WorkerState(pid=0, revision=0, told_at=0, trouble=DOWN)))
        self._meters[number].put(b"")

    def member(self, number: int) -> Member:
        """The place of one worker."""
        return Member(self, number)

    def trouble(self, number: int) -> str | None:
        """The code of what keeps a worker from deciding; `SILENT` where it says nothing any more. None: all is well."""
        trouble = self.state(number).trouble
        return trouble if trouble is not None or self.hears(number) else SILENT

    def state(self, number: int) -> WorkerState:
        """What a worker last said of itself."""
        text = self._states[number].get()
        if not text:
            return WorkerState(pid=0, revision=0, told_at=0, trouble=DOWN)
        return msgspec.msgpack.decode(text, type=WorkerState)

    def hears(self, number: int) -> bool:
        """Whether a worker has told of itself lately: it does so many times a second, unless it is stuck."""
        return self._elapsed() - self.state(number).told_at <= SILENT_S

    def meters(self, number: int) -> bytes:
        """What a worker last published of its meters; empty: nothing yet."""
        return self._meters[number].get()

    def tell(self, number: int, state: WorkerState) -> None:
        """Put a worker's state on its board."""
        error = state.policy_error
        if error is not None and len(error) > MAX_TOLD:
            state = msgspec.structs.replace(state, policy_error=error[:MAX_TOLD])
        self._states[number].put(msgspec.msgpack.encode(state))

    def publish(self, number: int, meters: bytes) -> bool:
        """Put a worker's meters on its board; False where they are too long for it."""
        return self._meters[number].put(meters)

    def bell(self, number: int) -> Bell:
        """The bell of one worker."""
        return self._bells[number]


class Member:
    """One worker's place in its crew."""

    def __init__(self, crew: Crew, number: int) -> None:
        self.crew = crew
        self.number = number

    @property
    def is_first(self) -> bool:
        """Whether this is the worker that does what one process of a machine is to do: watching rule files."""
        return self.number == 0

    @property
    def bell(self) -> Bell:
        """Rung by the others."""
        return self.crew.bell(self.number)

    def ring(self) -> None:
        """Wake all others: this worker has committed something. In any thread; some microseconds for each."""
        for number in range(self.crew.count):
            if number != self.number:
                self.crew.bell(number).ring()

    def tell(self, state: WorkerState) -> None:
        """Say where this worker stands."""
        self.crew.tell(self.number, state)

    def publish(self, meters: bytes) -> bool:
        """Say what this worker has counted; False where it is too much to be told."""
        return self.crew.publish(self.number, meters)
