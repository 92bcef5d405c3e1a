"""This process's copy of the facts: a snapshot that follows the store's changes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from policy_service.engine.base import FactBase
from policy_service.engine.fold import diverged
from policy_service.engine.ports import ProgramSource
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import GENESIS_HASH, Change
from policy_service.model.errors import RequestError, StoreError
from policy_service.model.facts import ActiveBundle, Bundle, LedgerShard, ShadowBundle
from policy_service.service.clock import elapsed_s
from policy_service.service.ports import Clock, FactStore

BATCH = 100
"""Changes read at a time. One that imports keys has hundreds of effects: more at once would fill the memory."""

DIVERGED = "store_diverged"

WAIT_NS = 250_000_000
"""How long a request with `min_revision` may wait for the snapshot."""

OUT_OF_REACH_RETRY_S = 5
"""When to ask again where the store has been out of reach for too long."""

_LOG: Final = logging.getLogger(__name__)


class Prepared(msgspec.Struct, frozen=True):
    """Changes read from the feed, which promised them as `after + 1`, `after + 2`, …

    Args:
        head: where there were none: the store's last revision and its hash.
        is_last: the feed had no more.
        settles: the active bundle's program is to be at hand after them; else more changes follow first.
        bundle: the digest of the bundle that is active after them, if its program was not at hand already.
        trouble: why that program cannot be had.
    """

    after: int
    changes: Sequence[Change]
    head: tuple[int, str] | None = None
    is_last: bool = True
    settles: bool = True
    bundle: str | None = None
    trouble: StoreError | None = None


class Standing(msgspec.Struct, frozen=True):
    """Where the facts stand: what a checkpoint of the ledger says of them beside the records.

    Args:
        revision, chain: number and hash of the last change seen.
        shards: every shard that was ever opened, by id, as of that change.
    """

    revision: int
    chain: str
    shards: Mapping[str, LedgerShard]


class Replica:
    """The snapshot, and how it is brought up to date.

    Reading changes and linking programs (`prepare`) may happen in any thread; `apply` and every use of the snapshot
    belong to one thread (the event loop's).

    A committed change that cannot be taken, or an active bundle that cannot be had, stops all deciding: whoever
    answered on would knowingly use old facts. That lasts until it can, or for ever where the store contradicts its own
    hash chain.

    INVARIANT: history is folded without its programs; only the bundle that is active at its end is linked
    (test_old_bundles_are_never_linked).

    Nothing is decided either on facts of an unknown age: once a deadline is set (`fresh_until`), somebody must move it
    on by looking at the store.

    Args:
        elapsed: seconds that go on whatever happens to the wall clock.
    """

    def __init__(self, store: FactStore, programs: ProgramSource, *, elapsed: Callable[[], float] = elapsed_s) -> None:
        self._store = store
        self._programs = programs
        self._snapshot = Snapshot(programs)
        self._standing = Standing(0, GENESIS_HASH, {})
        self._elapsed = elapsed
        self._deadline: float | None = None
        self._failure: StoreError | None = None
        self._stopped = False
        self._published: list[str] = []
        self._shadow: str | None = None

    @property
    def revision(self) -> int:
        """The last change that the snapshot has seen."""
        return self._snapshot.revision

    @property
    def place(self) -> tuple[int, str]:
        """Where the snapshot stands in the chain of changes: revision and hash, as a store's version token has them."""
        return self._snapshot.revision, self._snapshot.chain_hash

    @property
    def standing(self) -> Standing:
        """The same with the shards of the ledger, as of one change. In any thread; an older one is never altered."""
        return self._standing

    @property
    def failure(self) -> StoreError | None:
        """Why this replica decides nothing; None while it is sound."""
        return self._failure

    @property
    def weight(self) -> int:
        """How many facts have changed since the snapshot's base."""
        return self._snapshot.weight

    @property
    def base_revision(self) -> int:
        """The revision of the snapshot's base; 0 where it has none."""
        return 0 if self._snapshot.base is None else self._snapshot.base.revision

    @property
    def base_size(self) -> int:
        """How many facts, about, are in the snapshot's base."""
        return 0 if self._snapshot.base is None else len(self._snapshot.base)

    def begin(self, base: FactBase) -> None:
        """Go on from a base, forgetting all that was read; it must be one of this store. Before anything is decided."""
        former, self._snapshot = self._snapshot, Snapshot(self._programs, base)
        for _ in former.dismantled():
            pass
        shards = (fact for fact in self._snapshot.facts(LedgerShard.entity) if isinstance(fact, LedgerShard))
        self._standing = Standing(base.revision, base.chain_hash, {shard.id: shard for shard in shards})

    def adopt(self, snapshot: Snapshot) -> Snapshot | None:
        """Decide on another snapshot from here on, if it is at the very change that this one is at, and settled.

        INVARIANT: no decision differs for it (test_snapshot_keeping: adopted).

        Returns:
            the former one, to be given up; None where it was not adopted.
        """
        former = self._snapshot
        if (snapshot.revision, snapshot.chain_hash) != self.place or not (snapshot.is_settled and former.is_settled):
            return None
        self._snapshot = snapshot
        return former

    def view(self) -> Snapshot:
        """The snapshot, for deciding.

        Raises:
            StoreError: why the last committed change could not be taken; `store_diverged` for ever; `starting` while
                history is still being folded; `stale` past the deadline.
        """
        self.reached()
        if self._deadline is not None and self._elapsed() > self._deadline:
            raise _out_of_reach(self._snapshot.revision)
        return self._snapshot

    def reached(self) -> int:
        """The revision of a sound snapshot, however old. Raises as `view` does, but for the deadline."""
        if self._failure is not None:
            raise self._failure
        if not self._snapshot.is_settled:
            # Linking here would hold up the event loop.
            raise StoreError("starting", "this process has not read all of the facts yet; try again in a second")
        return self._snapshot.revision

    def fresh_until(self, deadline: float) -> None:
        """Decide no longer than until then, on the scale of `elapsed`, unless another call moves the deadline on."""
        self._deadline = deadline

    def stop(self, error: StoreError) -> None:
        """Decide nothing any more; every use raises `error` from now on."""
        self._failure = error
        self._stopped = True

    def prepare(self) -> Prepared:
        """Read the next changes and link the program they end with. Touches no snapshot; safe in any thread.

        Raises:
            StoreError: the changes cannot be read; `store_diverged`, for good, where they have a gap.
        """
        after, is_deciding = self._snapshot.revision, self._is_deciding()
        try:
            changes = self._store.changes_after(after, BATCH)
            head = None if changes else self._store.version_token()
        except StoreError as error:
            if error.code == DIVERGED:
                self.stop(error)
            raise
        is_last = len(changes) < BATCH
        first = next((index for index, change in enumerate(changes) if _activates(change)), 0)
        if is_deciding and first:
            # What comes before an activation need not wait for its linking.
            return Prepared(after, changes[:first], is_last=False)
        return self._linked(Prepared(after, changes, head, is_last, settles=is_last or is_deciding))

    def _is_deciding(self) -> bool:
        """Whether decisions are made already; else nobody misses a program yet, and history is folded."""
        return self._snapshot.is_settled and self._snapshot.bundle is not None

    def _linked(self, prepared: Prepared) -> Prepared:
        """The same, with the program that its changes end with linked, or told why not."""
        activations = [digest for change in prepared.changes for digest in _activates(change)]
        waiting = [] if self._snapshot.is_settled else [self._snapshot.bundle]
        *_, bundle = None, *waiting, *activations
        if bundle is None or not prepared.settles:
            return prepared
        try:
            self._programs.program(bundle)
        except StoreError as error:
            return msgspec.structs.replace(prepared, bundle=bundle, trouble=error)
        return msgspec.structs.replace(prepared, bundle=bundle)

    def apply(self, prepared: Prepared) -> int:
        """Advance the snapshot by prepared changes; those it has already seen are skipped. The new revision.

        Raises:
            StoreError: a change cannot be taken; those before it were.
        """
        if self._stopped and self._failure is not None:
            raise self._failure
        self._compare(prepared.head)
        for revision, change in enumerate(prepared.changes, start=prepared.after + 1):
            # Skipped by their place in the feed: what a change itself says of its revision is the snapshot's to verify.
            if revision > self._snapshot.revision:
                self._take(change)
        if prepared.settles:
            self._settle(prepared)
        return self._snapshot.revision

    def _settle(self, prepared: Prepared) -> None:
        """Let the active bundle decide, which was linked in preparation."""
        if self._snapshot.bundle not in (None, prepared.bundle):
            # Settled already; or prepared for other changes than those it met, and the next ones will do.
            return
        if prepared.trouble is not None and not self._snapshot.is_settled:
            self._failure = prepared.trouble
            raise prepared.trouble
        self._snapshot.settle()
        self._failure = None

    def _compare(self, head: tuple[int, str] | None) -> None:
        # An older database that was written to until it was as long again is another one all the same.
        if head is not None and head[0] == self._snapshot.revision and head[1] != self._snapshot.chain_hash:
            self.stop(diverged(head[0], "the database holds another change there than this process has seen"))
            self.reached()

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
        self._standing = Standing(change.revision, change.hash, self._shards_after(change))
        if self._is_deciding():
            self._published.extend(effect.key[0] for effect in change.effects if effect.entity == Bundle.entity)

    def _shards_after(self, change: Change) -> Mapping[str, LedgerShard]:
        """The shards as a change leaves them, which the snapshot has just taken. None is ever removed."""
        touched = [effect.key for effect in change.effects if effect.entity == LedgerShard.entity]
        if not touched:
            return self._standing.shards
        found = [self._snapshot.fact(LedgerShard.entity, key) for key in touched]
        return {**self._standing.shards, **{fact.id: fact for fact in found if isinstance(fact, LedgerShard)}}

    def take_published(self) -> list[str]:
        """Digests of the bundles published, and of one put in shadow, since this was last asked: to be linked aside."""
        published, self._published = self._published, []
        fact = self._snapshot.fact(ShadowBundle.entity, ("shadow",))
        shadow = fact.digest if isinstance(fact, ShadowBundle) else None
        if shadow is not None and shadow != self._shadow:
            published.append(shadow)
        self._shadow = shadow
        return published

    def link(self, digest: str) -> None:
        """Link a bundle beside the one that decides; trouble is logged. Takes a second or so, in any thread."""
        try:
            self._programs.program(digest)
        except StoreError as error:
            _LOG.warning("cannot link a published bundle: %s [%s]", error.message, error.code)

    def catch_up(self) -> int:
        """Apply every change there is now. The revision reached."""
        while True:
            prepared = self.prepare()
            self.apply(prepared)
            if prepared.is_last:
                return self.reached()

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
        while self.revision < revision or not self._snapshot.is_settled:
            prepared = self.prepare()
            is_late = not prepared.changes and self.revision < revision
            if is_late or clock.now() >= deadline:
                raise stale(revision, self.revision)
            self.apply(prepared)


def _activates(change: Change) -> list[str | None]:
    """The bundles that a change activates; None where it takes the active one away."""
    return [
        None if effect.after is None else effect.after["digest"]
        for effect in change.effects
        if effect.entity == ActiveBundle.entity
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


def _out_of_reach(reached: int) -> StoreError:
    return StoreError(
        "stale",
        f"the store has been out of reach for too long to decide on its facts at revision {reached}; try again later",
        {"revision": reached, "retry_after_s": OUT_OF_REACH_RETRY_S},
    )
