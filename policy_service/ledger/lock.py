"""Who writes a shard: whoever holds its lock file under flock, which the system lets go when the process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from policy_service.ledger.layout import FILE_MODE, lock_path


class ShardLock:
    """A shard's lock, held. Whoever holds it alone may write or repair the shard.

    INVARIANT: of several who take a shard at once one gets it (test_a_shard_has_one_holder).
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, folder: Path, shard: str) -> ShardLock | None:
        """The lock of a shard; None where somebody holds it. The file is made where it is missing.

        Raises:
            OSError: the file cannot be opened or made.
        """
        path = lock_path(folder, shard)
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_in_place = _names(path, descriptor)
        except BlockingIOError:
            is_in_place = False
        except OSError:
            os.close(descriptor)
            raise
        if not is_in_place:
            # Held by somebody; or let go just now and removed: then another took care of the shard.
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def release(self, *, is_done: bool) -> None:
        """Let go. `is_done`: nobody is to write the shard any more, so the file goes too."""
        if self._descriptor is None:
            return
        if is_done:
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = None


def _names(path: Path, descriptor: int) -> bool:
    """Whether the name still belongs to the open file."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))
