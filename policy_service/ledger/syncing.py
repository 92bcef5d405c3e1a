"""The files of a shard that are written and perhaps not on the disk yet, and how they get there, in any thread."""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path


class Syncing:
    """The live file's descriptor, and those of finished files until they are synced.

    `begin` and `current` belong to the thread that writes; `run` may be called in any.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._turn = threading.Lock()
        self._current: int | None = None
        self._finished: deque[int] = deque()
        self._begun = self._named = 0

    def current(self) -> int:
        """The descriptor to write to."""
        assert self._current is not None  # a writer begins with a file, and does not write once it is closed
        return self._current

    def begin(self, descriptor: int) -> None:
        """Write to this new file from now on."""
        # Another thread looks at `_current` first and at `_finished` then: in this order it misses neither.
        if self._current is not None:
            self._finished.append(self._current)
        self._begun += 1
        self._current = descriptor

    @property
    def waiting(self) -> int:
        """Files that are finished and not synced yet."""
        return len(self._finished)

    def run(self) -> None:
        """Return when all that was written before the call survives a loss of power. Raises OSError."""
        with self._turn:
            current, begun = self._current, self._begun
            finished = list(self._finished)
            for descriptor in finished:
                os.fdatasync(descriptor)
            if current is not None and current not in finished:
                os.fdatasync(current)
            if begun != self._named:
                sync_folder(self._folder)
                self._named = begun
            for descriptor in finished:
                os.close(descriptor)
                self._finished.popleft()

    def close(self) -> None:
        """Close all of them, synced or not."""
        with self._turn:
            current, self._current = self._current, None
            for descriptor in (*self._finished, *(() if current is None else (current,))):
                os.close(descriptor)
            self._finished.clear()


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a loss of power: of files made, renamed, removed. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
