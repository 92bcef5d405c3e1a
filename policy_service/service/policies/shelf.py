"""What one worker had made, put where the other workers of its server find it: one makes, all link.

The shelf is made by the supervisor before it forks, in memory that has no name (memfd): no path, no folder, nothing
that outlives the server or that another user could open. What is taken from it becomes code, so it counts only with a
MAC under a key that was drawn before the fork and is nowhere but in the memory of these processes. Whatever is amiss
(half written, damaged, written by somebody who got at the descriptor), there is nothing on the shelf, and the worker
makes the program itself.

Source: docs/decisions/0014-policies-are-made-beside-the-serving.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import logging
import os
import secrets
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Final

PLACES: Final = 3
"""Bundles that workers may want at the same time: the active one, one in shadow, one that was just published."""
MAX_BYTES: Final = 256 * 1024 * 1024
_HEAD: Final = struct.Struct(">32sQQ32s")
"""Name, number of the writing, length, MAC."""
_PIECE: Final = 1 << 18
"""Hashed at once: other threads run between two pieces."""
_LOOK_S: Final = 0.02
_LOG: Final = logging.getLogger(__name__)


def name_of(files: Mapping[str, str]) -> bytes:
    """Names files by their text, in 32 bytes. In pieces: what hashes megabytes in one call holds up every decision."""
    hashed = hashlib.sha256()
    for name in sorted(files):
        for text in (name, files[name]):
            data = text.encode(errors="surrogatepass")
            hashed.update(len(data).to_bytes(8, "big") + data)
    return hashed.digest()


class Shelf:
    """Made programs, as frames of the process that made them. Made before workers are forked; each uses its copy.

    INVARIANT: what is taken is byte for byte what a worker of this server put there under that name, or nothing
    (test_shelf: nothing that was touched is taken).

    Args:
        places: so many are kept; for one more, the eldest goes.
    """

    def __init__(self, places: int = PLACES) -> None:
        self._key = secrets.token_bytes(32)
        self._places = [os.memfd_create(f"policy-{number}") for number in range(places)]
        self._turns = os.memfd_create("policy-turns")

    def close(self) -> None:
        """Let go of the memory; it is freed once all processes have."""
        for descriptor in (*self._places, self._turns):
            os.close(descriptor)

    @contextlib.contextmanager
    def turn(self, patience_s: float) -> Iterator[None]:
        """One process at a time: the others would make the same meanwhile. Who waits too long goes on without.

        A lock of the process, not of the descriptor, which all of them share: it is gone when the process is. Threads
        of one process take turns by themselves.
        """
        until = time.monotonic() + patience_s
        while not (is_held := self._is_taken()) and time.monotonic() < until:
            time.sleep(_LOOK_S)
        try:
            yield
        finally:
            if is_held:
                fcntl.lockf(self._turns, fcntl.LOCK_UN)

    def _is_taken(self) -> bool:
        try:
            fcntl.lockf(self._turns, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def get(self, name: bytes) -> bytes | None:
        """What was put under a name, if it is there and whole."""
        for descriptor in self._places:
            found, number, length, mac = self._head(descriptor)
            if found != name or length > MAX_BYTES:
                continue
            # Read first, judged then: nobody can change the copy.
            frames = os.pread(descriptor, length, _HEAD.size)
            if len(frames) == length and hmac.compare_digest(mac, self._mac(name, number, frames)):
                return frames
            _LOG.warning("a made policy was passed over: it is not what was put there")
        return None

    def put(self, name: bytes, frames: bytes) -> None:
        """Keep what was made. Where there is no room for it the others make it themselves."""
        if len(frames) > MAX_BYTES:
            return
        heads = {descriptor: self._head(descriptor) for descriptor in self._places}
        # A damaged number is no reason to fail.
        number = (max(head[1] for head in heads.values()) + 1) % 2**64
        # The same name again, or the place that was written longest ago.
        place = min(heads, key=lambda descriptor: (heads[descriptor][0] != name, heads[descriptor][1]))
        try:
            os.ftruncate(place, 0)
            _write(place, frames, _HEAD.size)
            _write(place, _HEAD.pack(name, number, len(frames), self._mac(name, number, frames)), 0)
        except OSError as error:
            _LOG.warning("a made policy is not kept for the other workers: %s", error.strerror)
            with contextlib.suppress(OSError):
                os.ftruncate(place, 0)

    def _head(self, descriptor: int) -> tuple[bytes, int, int, bytes]:
        head = os.pread(descriptor, _HEAD.size, 0)
        found: tuple[bytes, int, int, bytes] = _HEAD.unpack(head if len(head) == _HEAD.size else bytes(_HEAD.size))
        return found

    def _mac(self, name: bytes, number: int, frames: bytes) -> bytes:
        mac = hmac.new(self._key, _HEAD.pack(name, number, len(frames), b""), hashlib.sha256)
        for start in range(0, len(frames), _PIECE):
            mac.update(memoryview(frames)[start : start + _PIECE])
        return mac.digest()


def _write(descriptor: int, data: bytes, at: int) -> None:
    waiting = memoryview(data)
    while waiting:
        count = os.pwrite(descriptor, waiting, at)
        waiting, at = waiting[count:], at + count
