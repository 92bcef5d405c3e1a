"""The facts at any revision of the past, moving forward: snapshots by folding changes 1 … R.

A hypothesis turns the past into one that was not: the same changes, edited. What was really there stays known: the
hash of each change as it is in the archive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from policy_service.engine.fold import verify
from policy_service.engine.ports import ProgramSource
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import GENESIS_HASH, Change, Effect
from policy_service.model.errors import StoreError
from policy_service.service.auditing.archive import Archive


class Hypothesis(Protocol):
    """What if the facts had been others?"""

    def effects(self, change: Change) -> Sequence[Effect]:
        """What the change would have done. Asked once for each change, in order."""
        ...


class History:
    """One pass through the past.

    Args:
        programs: of the bundles that are, or in a hypothesis would be, active.
        hypothesis: None: the past as it was.
        told: of the effects of each change that the snapshot has taken.

    Attributes:
        snapshot: the facts at `revision`; as they would have been, where there is a hypothesis.
        revision, chain: number and hash of the last change seen, as it is in the archive.
        broken: why the past cannot be read any further; None as long as it can.

    INVARIANT: without a hypothesis, the snapshot is the fold of changes 1 … revision, each verified against the one
    before it (test_history: the fold).
    """

    def __init__(
        self,
        archive: Archive,
        programs: ProgramSource,
        hypothesis: Hypothesis | None = None,
        told: Callable[[Sequence[Effect]], object] = lambda _effects: None,
    ) -> None:
        self._changes: Iterator[Change] = archive.changes()
        self._hypothesis = hypothesis
        self._told = told
        self.snapshot = Snapshot(programs)
        self.revision = 0
        self.chain = GENESIS_HASH
        self.broken: StoreError | None = None

    def reach(self, revision: int) -> bool:
        """Move forward to a revision. Whether the facts are now those at this very one.

        They are not where the past ends before it, breaks before it, or was left behind already.
        """
        while self.revision < revision and self.broken is None:
            if not self._advance():
                break
        return self.revision == revision

    def finish(self) -> int:
        """Move to the end of the past; its revision."""
        while self.broken is None and self._advance():
            pass
        return self.revision

    def _advance(self) -> bool:
        try:
            change = next(self._changes, None)
            if change is None:
                return False
            self._take(change)
        except StoreError as error:
            self.broken = error
            return False
        return True

    def _take(self, change: Change) -> None:
        taken = change
        if self._hypothesis is not None:
            verify(change, after_revision=self.revision, after_hash=self.chain)
            taken = self._edited(change, self._hypothesis)
        self.snapshot.apply(taken)
        self._told(taken.effects)
        self.revision, self.chain = change.revision, change.hash

    def _edited(self, change: Change, hypothesis: Hypothesis) -> Change:
        """The change as it would have been, in the chain of those before it."""
        unhashed = msgspec.structs.replace(
            change,
            effects=tuple(hypothesis.effects(change)),
            sealed=None,
            previous_hash=self.snapshot.chain_hash,
        )
        return msgspec.structs.replace(unhashed, hash=unhashed.expected_hash())
