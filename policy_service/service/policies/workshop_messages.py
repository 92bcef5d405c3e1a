"""What a server and the process that makes its programs say to each other, in frames on two pipes.

A job is the rule files; the answer is either their mistakes, or the policy and its compiled parts in slices: each is
small enough to be taken in between two decisions. Pickle and marshal are fit for this: the other end is a process that
this one started, of the same code and the same interpreter, and nobody else holds the pipes.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import pickle
import select
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from policy_service.engine.emit import Part
from policy_service.engine.link import compiled
from policy_service.language.policy import Policy, Rule
from policy_service.model.spans import Diagnostic

RULES: Final = 64
"""Rules of one slice."""
MAX_FRAME: Final = 256 * 1024 * 1024
_LENGTH: Final = struct.Struct(">I")
_READ: Final = 1 << 18


class Mistakes(msgspec.Struct, frozen=True):
    """The files have mistakes: this is the whole answer."""

    diagnostics: tuple[Diagnostic, ...]


class Outline(msgspec.Struct, frozen=True):
    """A policy without the rules of its resource types."""

    policy: Policy


class Rules(msgspec.Struct, frozen=True):
    """The next rules of a resource type."""

    resource_type: str
    rules: tuple[Rule, ...]


class CompiledPart(msgspec.Struct, frozen=True):
    """The next part of the program. `code`: marshalled."""

    part: Part
    code: bytes

    @classmethod
    def of(cls, digest: str, part: Part) -> CompiledPart:
        """A part of the policy of this digest, compiled."""
        return cls(part, marshal.dumps(compiled(digest, part)))


class Done(msgspec.Struct, frozen=True):
    """That was all of it. `parts`, `rules`: how many there were."""

    digest: str
    parts: int
    rules: int


Message = Mistakes | Outline | Rules | CompiledPart | Done


class Gone(Exception):  # noqa: N818 - it is said of the other process
    """The other process ended, or said what no process of ours says."""


def outlined(policy: Policy) -> Iterator[Outline | Rules]:
    """A policy in slices."""
    bare = {name: msgspec.structs.replace(one, rules=()) for name, one in policy.resources.items()}
    yield Outline(msgspec.structs.replace(policy, resources=bare))
    for name, resource in policy.resources.items():
        for start in range(0, len(resource.rules), RULES):
            yield Rules(name, resource.rules[start : start + RULES])


class PolicyInSlices:
    """A policy that is put together again."""

    def __init__(self, outline: Outline) -> None:
        self._policy = outline.policy
        self._rules: dict[str, list[Rule]] = {name: [] for name in outline.policy.resources}

    def add(self, slice_: Rules) -> None:
        """The next rules of a type."""
        self._rules[slice_.resource_type] += slice_.rules

    def rules(self) -> int:
        """How many there are so far."""
        return sum(map(len, self._rules.values()))

    def whole(self) -> Policy:
        """The policy, equal to what was sent."""
        resources = {
            name: msgspec.structs.replace(resource, rules=tuple(self._rules[name]))
            for name, resource in self._policy.resources.items()
        }
        return msgspec.structs.replace(self._policy, resources=resources)


class Pipe:
    """Frames over two file descriptors, which it does not own.

    Args:
        patience_s: how long the other end may be silent in the middle of something; None: for ever.
    """

    def __init__(self, reading: int, writing: int, *, patience_s: float | None = None) -> None:
        self._reading = reading
        self._writing = writing
        self._patience_s = patience_s
        self._buffer = bytearray()

    def send(self, message: Message | Mapping[str, str]) -> None:
        """Write one frame. Raises Gone."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        waiting = memoryview(_LENGTH.pack(len(data)) + data)
        try:
            while waiting:
                waiting = waiting[os.write(self._writing, waiting) :]
        except OSError as error:
            raise Gone(f"it does not read: {error.strerror}") from None

    def receive(self) -> Any:
        """What the next frame says. Raises Gone."""
        return opened(self.frame())

    def frame(self) -> bytes:
        """The next frame, as it came. Raises Gone."""
        (size,) = _LENGTH.unpack(self._take(_LENGTH.size))
        if size > MAX_FRAME:
            raise Gone("it talks nonsense")
        return self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not readable(self._reading, self._patience_s):
                raise Gone(f"it was silent for {self._patience_s:.0f} s")
            more = os.read(self._reading, _READ)
            if not more:
                raise Gone("it ended")
            self._buffer += more
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


def opened(frame: bytes | memoryview) -> Any:
    """What a frame says. Raises Gone."""
    try:
        return pickle.loads(frame)  # noqa: S301 - from a process that this one started, as said above
    except Exception as error:
        raise Gone(f"it talks nonsense: {type(error).__name__}") from error


def joined(frames: Iterable[bytes]) -> bytes:
    """Frames as one text of bytes."""
    return b"".join(piece for frame in frames for piece in (_LENGTH.pack(len(frame)), frame))


class Frames:
    """Frames that are all there already.

    Args:
        data: what `joined` made.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)

    def frame(self) -> memoryview:
        """The next one. Raises Gone."""
        if len(self._data) < _LENGTH.size:
            raise Gone("it ended")
        (size,) = _LENGTH.unpack_from(self._data)
        end = _LENGTH.size + size
        frame, self._data = self._data[_LENGTH.size : end], self._data[end:]
        return frame


def widen(descriptor: int) -> None:
    """Let a pipe hold as much as the system allows to everybody."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 1 << 20)


def readable(descriptor: int, within_s: float | None) -> bool:
    """Wait until there is something to read, or the end. Whether there is."""
    # A server with many connections has descriptors that `select` does not take.
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(None if within_s is None else within_s * 1000))


def yielding(pause: Callable[[float], None] = time.sleep, *, least_s: float = 0.0005) -> Callable[[], None]:
    """A function that is called between slices: it rests for as long as the slice before took.

    So the event loop has the interpreter at least half of the time, and never waits for longer than one slice.
    """
    began = time.thread_time()

    def rest() -> None:
        nonlocal began
        pause(max(time.thread_time() - began, least_s))
        began = time.thread_time()

    return rest
