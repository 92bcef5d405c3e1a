"""Shards of the ledger are facts: opened and closed as changes, so that a shard cannot vanish unnoticed.

A shard is known before its first record is written, and what it holds is known once nobody writes it any more.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from policy_service.ledger.layout import new_shard_id
from policy_service.model.changes import ChangeDraft
from policy_service.model.errors import StoreError
from policy_service.model.facts import LedgerShard
from policy_service.service.caller import Caller
from policy_service.service.commits import commit
from policy_service.service.effects import draft, put
from policy_service.service.ports import Clock, FactReader, FactStore, IdSource
from policy_service.service.results import Planned, Written


class Shards:
    """Opens and closes shards on behalf of the operator: whoever runs the process that writes them."""

    def __init__(self, store: FactStore, clock: Clock, ids: IdSource, caller: Caller) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._caller = caller

    def name(self) -> LedgerShard:
        """A new shard, of which nobody knows yet."""
        now = self._clock.now()
        return LedgerShard(id=new_shard_id(now, self._ids.shard_tail()), opened_at=now)

    def open(self, shard: LedgerShard) -> Written[LedgerShard]:
        """Make a new shard known. Whoever calls holds its files already.

        Raises:
            StoreError: the store cannot be written; `ledger_shard_taken`: there is one of that id.
        """

        def plan(reader: FactReader) -> Planned[LedgerShard]:
            if reader.get(LedgerShard, shard.key()) is not None:
                raise StoreError("ledger_shard_taken", f"there is a shard `{shard.id}` already; start again")
            return Planned(draft=draft("open", shard, [put(shard)], workspace=None), fact=shard, created=True)

        return commit(self._store, self._caller, shard.opened_at, plan)

    def close(self, shard: str, size: int, root: bytes, *, note: str = "") -> Written[LedgerShard]:
        """Say for good what a shard holds. One that is closed already stays as it is.

        Args:
            root: of the Merkle tree over its records.

        Raises:
            StoreError: the store cannot be written; `ledger_shard_unknown`.
        """
        now = self._clock.now()

        def plan(reader: FactReader) -> Planned[LedgerShard]:
            before = _known(reader, shard)
            if before.closed_at is not None:
                return Planned(draft=None, fact=before)
            after = msgspec.structs.replace(before, closed_at=now, size=size, root=root.hex())
            return Planned(draft=draft("close", after, [put(after, before)], workspace=None, note=note), fact=after)

        return commit(self._store, self._caller, now, plan)

    def note_expiry(self, shard: str, segments: Sequence[int], days: int) -> Written[LedgerShard]:
        """Say that the records of some segments are removed now, since they were kept long enough.

        The fact stays as it is; the change tells a removal from a theft.
        """
        numbers = ", ".join(f"{number:06d}" for number in segments)

        def plan(reader: FactReader) -> Planned[LedgerShard]:
            fact = _known(reader, shard)
            note = f"records of segments {numbers} removed: older than {days} days"
            change: ChangeDraft = draft("expire", fact, [put(fact, fact)], workspace=None, note=note)
            return Planned(draft=change, fact=fact)

        return commit(self._store, self._caller, self._clock.now(), plan)

    def find(self, shard: str) -> LedgerShard | None:
        """What is known of a shard."""
        return self._store.read(lambda reader: reader.get(LedgerShard, (shard,)))


def _known(reader: FactReader, shard: str) -> LedgerShard:
    found = reader.get(LedgerShard, (shard,))
    if found is None:
        raise StoreError("ledger_shard_unknown", f"the store knows no shard `{shard}`; is it the ledger's own store?")
    return found
