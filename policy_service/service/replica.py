"""This process's copy of the facts: a snapshot that follows the store's changes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec

from policy_service.engine.ports import ProgramSource
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import Change
from policy_service.model.errors import RequestError, StoreError
from policy_service.model.facts import ActiveBundle
from policy_service.service.ports import Clock, FactStore

BATCH = 500
"""Changes read at a time."""

DIVERGED = "store_diverged"

WAIT_NS = 250_000_000
"""How long a request with `min_revision` may wait for the snapshot."""


class Prepared(msgspec.Struct, frozen=True):
    """Changes read from the feed, which promised them as `after + 1`, `after + 2`, …"""

    after: int
    changes: Sequence[Change]


class Replica:
    """The snapshot, and how it is brought up to date.

    Reading changes and linking programs (`prepare`) may happen in any thread; `apply` and every use of the snapshot
    belong to one thread (the event loop's).

    A committed change that cannot be taken stops all deciding: whoever answered on would knowingly use old facts. That
    lasts until the change can be taken, or for ever where the store contradicts its own hash chain.
    """

    def __init__(self, store: FactStore, programs: ProgramSource) -> None:
        self._store = store
        self._programs = programs
        self._snapshot = Snapshot(programs)
        self._failure: StoreError | None = None
        self._stopped = False

    @property
    def revision(self) -> int:
        """The last change that the snapshot has seen."""
        return self._snapshot.revision

    @property
    def failure(self) -> StoreError | None:
        """Why this replica decides nothing; None while it is sound."""
        return self._failure

    def view(self) -> Snapshot:
        """The snapshot, for deciding.

        Raises:
            StoreError: why the last committed change could not be taken; `store_diverged` for ever.
        """
        if self._failure is not None:
            raise self._failure
        return self._snapshot

    def stop(self, error: StoreError) -> None:
        """Decide nothing any more; every use raises `error` from now on."""
        self._failure = error
        self._stopped = True

    def prepare(self) -> Prepared:
        """Read the next changes and link the program they end with. Touches no snapshot; safe in any thread.

        Raises:
            StoreError: the changes cannot be read; `store_diverged`, for good, where they have a gap.
        """
        after = self._snapshot.revision
        try:
            changes = self._store.changes_after(after, BATCH)
        except StoreError as error:
            if error.code == DIVERGED:
                self.stop(error)
            raise
        for digest in _activated(changes)[-1:]:
            # A bundle that cannot be had is `apply`'s to tell, which knows what that means for deciding.
            with contextlib.suppress(StoreError):
                self._programs.program(digest)
        return Prepared(after, changes)

    def apply(self, prepared: Prepared) -> int:
        """Advance the snapshot by prepared changes; those it has already seen are skipped. The new revision.

        Raises:
            StoreError: a change cannot be taken; those before it were.
        """
        if self._stopped and self._failure is not None:
            raise self._failure
        for revision, change in enumerate(prepared.changes, start=prepared.after + 1):
            # Skipped by their place in the feed: what a change itself says of its revision is the snapshot's to verify.
            if revision > self._snapshot.revision:
                self._take(change)
        return self._snapshot.revision

    def _take(self, change: Change) -> None:
        try:
            self._snapshot.apply(change)
        except StoreError as error:
            self._failure = error
            self._stopped = error.code == DIVERGED
            raise
        except Exception:
            # A bug, and perhaps half a change in the snapshot: nothing may be decided on that.
            self.stop(StoreError("replica_failed", f"change {change.revision} broke this worker; restart it"))
            raise
        self._failure = None

    def catch_up(self) -> int:
        """Apply every change there is now. The revision reached."""
        while True:
            prepared = self.prepare()
            self.apply(prepared)
            if len(prepared.changes) < BATCH:
                return self.view().revision

    def reach(self, revision: int | None, clock: Clock) -> None:
        """Catch up until the snapshot has seen `revision`, for at most 250 ms. None asks for nothing.

        Raises:
            RequestError: 400 `revision_unknown`, the store has no such revision.
            StoreError: `stale`, not reached in time; details: `retry_after_s`.
        """
        if revision is None or self.view().revision >= revision:
            return
        refuse_unknown_revision(revision, self._store.head())
        deadline = clock.now() + WAIT_NS
        while self.revision < revision:
            prepared = self.prepare()
            if not prepared.changes or clock.now() >= deadline:
                raise stale(revision, self.revision)
            self.apply(prepared)


def _activated(changes: Sequence[Change]) -> list[str]:
    return [
        effect.after["digest"]
        for change in changes
        for effect in change.effects
        if effect.entity == ActiveBundle.entity and effect.after is not None
    ]


def refuse_unknown_revision(revision: int, head: int) -> None:
    """Raise RequestError 400 `revision_unknown` for a revision ahead of the store's head."""
    if revision > head:
        raise RequestError(
            "revision_unknown",
            f"revision {revision} does not exist yet, the last one is {head}; use one that this service returned",
            {"head": head},
        )


def stale(revision: int, reached: int) -> StoreError:
    """The answer when the snapshot did not reach a wanted revision in time."""
    return StoreError(
        "stale",
        f"the facts of this worker are at revision {reached}, not yet at {revision}; try again in a second",
        {"revision": reached, "retry_after_s": 1},
    )
