"""Shards as facts, and where the facts stand."""

from __future__ import annotations

import pytest

from policy_service.ledger.layout import is_shard_id
from policy_service.model.errors import StoreError
from policy_service.model.facts import LedgerShard
from policy_service.service.recording.shards import Shards
from tests.unit.service.house import OPERATOR, House

ROOT = b"\x01" * 32


@pytest.fixture
def house() -> House:
    return House().furnish()


@pytest.fixture
def shards(house: House) -> Shards:
    return Shards(house.store, house.clock, house.ids, OPERATOR)


def test_a_shard_is_opened_and_closed_as_changes(house: House, shards: Shards) -> None:
    shard = shards.name()
    assert is_shard_id(shard.id)
    assert shards.find(shard.id) is None
    opened = shards.open(shard)
    assert (opened.fact, opened.created) == (shard, True)
    house.clock.advance(60)
    closed = shards.close(shard.id, 7, ROOT, note="a crash")
    expected = LedgerShard(id=shard.id, opened_at=shard.opened_at, closed_at=house.clock.time, size=7, root="01" * 32)
    assert closed.fact == shards.find(shard.id) == expected
    first, second = house.store.changes[-2:]
    assert [(change.action, change.actor, change.subject) for change in (first, second)] == [
        ("ledger_shard.open", OPERATOR.actor, shard.id),
        ("ledger_shard.close", OPERATOR.actor, shard.id),
    ]
    assert second.note == "a crash"


def test_a_shard_is_closed_once(house: House, shards: Shards) -> None:
    """What was said of it stays."""
    shard = shards.name()
    shards.open(shard)
    shards.close(shard.id, 7, ROOT)
    again = shards.close(shard.id, 8, ROOT)
    assert (again.change, again.fact) == (None, shards.find(shard.id))
    assert again.fact is not None
    assert again.fact.size == 7


def test_a_shard_is_opened_once_and_only_a_known_one_is_closed(shards: Shards) -> None:
    shard = shards.name()
    with pytest.raises(StoreError) as unknown:
        shards.close(shard.id, 0, ROOT)
    assert unknown.value.code == "ledger_shard_unknown"
    shards.open(shard)
    with pytest.raises(StoreError) as taken:
        shards.open(shard)
    assert taken.value.code == "ledger_shard_taken"


def test_an_expiry_is_told_and_changes_nothing(house: House, shards: Shards) -> None:
    shard = shards.name()
    shards.open(shard)
    shards.note_expiry(shard.id, [1, 2], 90)
    change = house.store.changes[-1]
    assert (change.action, change.subject) == ("ledger_shard.expire", shard.id)
    assert change.note == "records of segments 000001, 000002 removed: older than 90 days"
    assert shards.find(shard.id) == shard


def test_a_replica_tells_where_the_facts_stand(house: House, shards: Shards) -> None:
    """Revision, chain and shards belong together; what was told stays as it was told."""
    before = house.replica.standing
    shard = shards.name()
    shards.open(shard)
    house.replica.catch_up()
    opened = house.replica.standing
    assert (opened.revision, opened.chain) == house.store.version_token() == house.replica.place
    assert opened.shards == {shard.id: shard}
    closed = shards.close(shard.id, 7, ROOT).fact
    house.admin.create_workspace(OPERATOR, "later")
    house.replica.catch_up()
    assert house.replica.standing.shards == {shard.id: closed}
    assert house.replica.standing.revision == opened.revision + 2
    assert (opened.shards, before.shards) == ({shard.id: shard}, {})
