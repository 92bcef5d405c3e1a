"""Making the snapshot file of a store: from the newest one and the changes after it, in bounded memory.

It runs in a process of its own (`policy-service snapshot`), so that no server stalls, and none keeps what it took.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.model.errors import StoreError
from policy_service.service.following.replica import BATCH
from policy_service.service.following.snapshot_file import SnapshotFiles
from policy_service.service.ports import FactStore

SPILL: Final = 250_000
"""Facts held in memory at most, some 600 MB: then they go to disk, and the fold goes on from there. Each time all facts
before them are copied: with half as many, a million keys would be copied twice as often."""


class Made(msgspec.Struct, frozen=True):
    """What came of it.

    Args:
        revision: of the newest file; 0 where the store is empty.
        facts: how many were folded for it, after the file before.
    """

    revision: int
    facts: int


class _NoPrograms:
    """Facts are folded here; nothing is decided."""

    def program(self, digest: str) -> Program:
        raise StoreError("bundle_missing", f"bundle `{digest}` is not linked here")


def hash_at(store: FactStore) -> Callable[[int], str | None]:
    """Asks a store for the hash of its change at a revision; None where it has none, or cannot tell."""

    def ask(revision: int) -> str | None:
        try:
            changes = store.changes_after(revision - 1, 1)
        except StoreError:
            # Whatever it is, whoever reads the changes next meets it too, and says so.
            return None
        return changes[0].hash if changes else None

    return ask


def make_snapshot(store: FactStore, files: SnapshotFiles, *, spill: int = SPILL) -> Made:
    """Write a snapshot file as of the store's last change, if the newest one is older.

    INVARIANT: it holds what a fold of all changes holds, wherever it was spilled (test_snapshot_file: spilled).

    Raises:
        StoreError: the changes cannot be read or folded. OSError: the file cannot be written.
    """
    snapshot, folded = Snapshot(_NoPrograms(), files.newest(hash_at(store))), 0
    while changes := store.changes_after(snapshot.revision, BATCH):
        for change in changes:
            snapshot.apply(change)
        if snapshot.weight >= spill:
            folded += snapshot.weight
            snapshot = _spilled(snapshot, store, files)
    if snapshot.weight:
        folded += snapshot.weight
        files.write(snapshot)
    return Made(snapshot.revision, folded)


def _spilled(snapshot: Snapshot, store: FactStore, files: SnapshotFiles) -> Snapshot:
    """The same facts, on disk."""
    files.write(snapshot)
    base = files.newest(hash_at(store))
    if base is None or base.revision != snapshot.revision:
        raise StoreError(
            "snapshot_unfit", "the snapshot file that was just written cannot be read; look after its disk"
        )
    for _ in snapshot.dismantled():
        pass
    return Snapshot(_NoPrograms(), base)
