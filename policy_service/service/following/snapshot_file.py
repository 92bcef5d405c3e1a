"""The snapshot files of a node: fact bases on disk, from which a process starts in place of the whole feed of changes.

A file is a base as the engine packs it, and after it one line of JSON that says what it is. It holds verifiers of
secrets and no secret: mode 0600, in a folder of mode 0700. Whatever is wrong with a file, it is passed over with a line
in the log: the feed of changes tells everything again.

INVARIANT: no file that was altered, cut, or made from another database is ever started from (test_snapshot_file).

Source: docs/decisions/0015-facts-in-a-file.md.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from policy_service.engine.base import FactBase, unfit
from policy_service.engine.snapshot import Snapshot
from policy_service.model.errors import StoreError

FOLDER: Final = "snapshot"
TAIL_BYTES: Final = 256
_NAME: Final = re.compile(r"([0-9]{12,20})\.facts", re.ASCII)
_PIECE: Final = 1 << 20
_ABANDONED_S: Final = 3600
"""A file in the making that nobody has touched for so long is nobody's any more."""
_OTHERS_WRITE: Final = 0o022
_POPULATE_READ: Final = 22
"""MADV_POPULATE_READ, which `mmap` has no name for."""

_LOG: Final = logging.getLogger(__name__)


class Tail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line of a file.

    Args:
        format: of the file; another number is another version's.
        length: of the base before it, in bytes.
        sha256: of the base.
    """

    format: int
    revision: int
    chain: str
    length: int
    sha256: str


FORMAT: Final = 1


class SnapshotFiles:
    """The snapshot files in one folder. Several processes may read and write there at the same time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def newest(self, hash_at: Callable[[int], str | None], *, after: int = 0) -> FactBase | None:
        """The newest base that is intact and belongs to the database, in shared memory; None: there is none.

        Args:
            hash_at: the hash of the database's change at a revision; None where it has none.
            after: look only for bases of later revisions.

        Cost: reads the file once, at some 500 MB a second. Nothing is raised for what is wrong with a file.
        """
        for revision, path in self._files():
            if revision <= after:
                break
            try:
                base = _opened(path)
                if hash_at(base.revision) != base.chain_hash:
                    raise unfit("the database holds another change at its revision: it was restored or replaced")
            except StoreError as error:
                _LOG.warning("passed over `%s`: %s", path, error.message)
            except (OSError, ValueError) as error:
                _LOG.warning("passed over `%s`: it cannot be read (%s)", path, error)
            else:
                return base
        return None

    def write(self, snapshot: Snapshot) -> Path:
        """Write the snapshot's facts as a file, whole or not at all, and remove others.

        Only the one that the snapshot began with stays, in case that the new one goes bad. Not the newest by number:
        those of another version, or of a database that was set back, may be ahead of all that are of use.

        Raises:
            OSError: it cannot be written. StoreError: `snapshot_unwritable`.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_abandoned()
        path = self._path(snapshot.revision)
        making = self._folder / f"{snapshot.revision:012d}.{secrets.token_hex(4)}.making"
        try:
            with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                _write(file, snapshot)
            making.replace(path)
            _sync_folder(self._folder)
        finally:
            making.unlink(missing_ok=True)
        stay = {path, self._path(0 if snapshot.base is None else snapshot.base.revision)}
        for _, other in self._files():
            if other not in stay and other.is_file():
                other.unlink(missing_ok=True)
        return path

    def _path(self, revision: int) -> Path:
        return self._folder / f"{revision:012d}.facts"

    def _files(self) -> list[tuple[int, Path]]:
        """The files by revision, the newest first."""
        try:
            entries = list(self._folder.iterdir())
        except OSError:
            return []
        found = ((_NAME.fullmatch(path.name), path) for path in entries)
        return sorted(((int(match.group(1)), path) for match, path in found if match), reverse=True)

    def _remove_abandoned(self) -> None:
        for path in self._folder.glob("*.making"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink(missing_ok=True)


def _write(file: BinaryIO, snapshot: Snapshot) -> None:
    """The base, then its tail; on disk when this returns."""
    digest, length = hashlib.sha256(), 0
    for piece in _gathered(snapshot.packed(random_prime())):
        digest.update(piece)
        length += len(piece)
        file.write(piece)
    tail = msgspec.json.encode(Tail(FORMAT, snapshot.revision, snapshot.chain_hash, length, digest.hexdigest()))
    file.write(tail.ljust(TAIL_BYTES - 1) + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in large pieces: one by one a row's way to the disk takes longer than its making."""
    gathered = bytearray()
    for piece in pieces:
        gathered += piece
        if len(gathered) >= _PIECE:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _opened(path: Path) -> FactBase:
    """The base in a file, its hash checked.

    Raises:
        StoreError: `snapshot_unfit`. OSError, ValueError: it cannot be read.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & _OTHERS_WRITE:
            raise unfit("others than its owner may write it, and who writes it decides")
        tail = _tail(file, status.st_size)
        file.seek(0)
        if _digest(file, tail.length) != tail.sha256:
            raise unfit("its content was altered")
        body = mmap(file.fileno(), tail.length, access=ACCESS_READ)
    with suppress(OSError):
        # Its pages are in memory, it was read just now; one after the other they would come into this process in the
        # midst of decisions, each for some microseconds. An older kernel (before 5.14) does not know how: then they do.
        body.madvise(_POPULATE_READ)
    base = FactBase(body)
    if (base.revision, base.chain_hash) != (tail.revision, tail.chain):
        raise unfit("its last line is not its own")
    return base


def _tail(file: BinaryIO, size: int) -> Tail:
    if size <= TAIL_BYTES:
        raise unfit("it is cut")
    file.seek(size - TAIL_BYTES)
    try:
        tail = msgspec.json.decode(file.read(TAIL_BYTES), type=Tail)
    except msgspec.MsgspecError as error:
        raise unfit("it is cut, or another version's") from error
    if tail.format != FORMAT or tail.length != size - TAIL_BYTES:
        raise unfit("it is cut, or another version's")
    return tail


def _digest(file: BinaryIO, length: int) -> str:
    # Read and not mapped: what is only hashed stays out of this process's memory.
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_PIECE))
    while length > 0:
        count = file.readinto(buffer[: min(length, _PIECE)])  # type: ignore[attr-defined]  # a BufferedReader has it
        if not count:
            raise unfit("it is cut")
        digest.update(buffer[:count])
        length -= count
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def random_prime() -> int:
    """A secret prime of 62 bits, by which a base hashes its names."""
    while True:
        number = secrets.randbits(62) | 1 << 61 | 1
        if _is_prime(number):
            return number


def _is_prime(number: int) -> bool:
    """Whether an odd number of at most 64 bits is prime: Miller and Rabin with the bases that decide it for all those.

    Source: Sorenson and Webster, Strong pseudoprimes to twelve prime bases (2015).
    """
    odd = (number - 1) >> (twos := ((number - 1) & -(number - 1)).bit_length() - 1)
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
        power = pow(base, odd, number)
        if base % number == 0 or power in (1, number - 1):
            continue
        if not any((power := power * power % number) == number - 1 for _ in range(twos - 1)):
            return False
    return True
