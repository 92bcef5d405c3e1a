"""The replica: it follows the changes, and stops where they contradict themselves."""

from __future__ import annotations

import msgspec
import pytest

from policy_service.engine.snapshot import Snapshot
from policy_service.model.errors import RequestError, StoreError
from policy_service.service import replica as replica_module
from policy_service.service.bundles import Bundles
from policy_service.service.replica import Prepared, Replica
from tests.fakes import FakeClock, MemoryStore
from tests.unit.service.house import OPERATOR, OTHER_FILES, TENANT, House


def _facts(house: House) -> list[str]:
    return sorted(map(repr, house.store.facts()))


def test_catching_up_folds_every_change(house: House) -> None:
    """The snapshot then holds exactly the facts of the tables, at the store's head."""
    house.key()
    assert house.replica.revision == 0
    assert house.replica.catch_up() == house.store.head() == house.replica.revision
    assert sorted(map(repr, house.replica.view().facts())) == _facts(house)
    assert house.replica.failure is None


def test_catching_up_takes_batch_after_batch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """More changes than one batch are no matter, nor is a last batch that is exactly full."""
    monkeypatch.setattr(replica_module, "BATCH", house.store.head())
    assert house.replica.catch_up() == house.store.head()
    for number in range(3):
        house.admin.put_user(TENANT, "acme", f"u{number}")
    monkeypatch.setattr(replica_module, "BATCH", 2)
    assert house.replica.catch_up() == house.store.head()


def test_applying_prepared_changes_twice_is_harmless(house: House) -> None:
    """Two who prepared the same batch: the second one's changes are skipped."""
    first, second = house.replica.prepare(), house.replica.prepare()
    house.replica.apply(first)
    assert house.replica.apply(second) == len(first.changes)


def test_preparing_touches_no_snapshot_but_links_the_program(house: House) -> None:
    """So that it may happen in a thread, and applying is quick."""
    linked: list[str] = []

    class Programs:
        def program(self, digest: str) -> object:
            linked.append(digest)
            return house.bundles.program(digest)

    other = house.bundles.publish(OPERATOR, OTHER_FILES).fact
    assert other is not None
    house.bundles.activate(OPERATOR, other.digest)
    replica = Replica(house.store, Programs())  # type: ignore[arg-type]  # gives programs
    replica.prepare()
    assert replica.revision == 0
    assert linked == [other.digest]


@pytest.mark.parametrize("how", ["content", "order", "gap", "repeat"])
def test_a_feed_that_contradicts_itself_stops_the_replica_for_good(house: House, how: str) -> None:
    """Nothing is decided any more, even once the feed looks sound again."""
    sound = list(house.store.changes)
    if how == "content":
        house.store.changes[2] = msgspec.structs.replace(sound[2], actor="key:forged")
    elif how == "order":
        house.store.changes[2], house.store.changes[3] = sound[3], sound[2]
    elif how == "gap":
        del house.store.changes[2]
    else:
        house.store.changes.append(sound[0])
    with pytest.raises(StoreError) as raised:
        house.replica.catch_up()
    assert raised.value.code == "store_diverged"
    house.store.changes[:] = sound
    for use in (house.replica.view, house.replica.catch_up, lambda: house.replica.apply(Prepared(0, sound))):
        with pytest.raises(StoreError) as raised:
            use()
        assert raised.value.code == "store_diverged"
    assert house.replica.failure is not None


def test_a_store_that_finds_a_gap_stops_the_replica_for_good(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one restored from a backup older than what this process has seen."""
    house.replica.catch_up()

    def older(*_: object) -> None:
        raise StoreError("store_diverged", "the changes in the database lack revision 3")

    monkeypatch.setattr(house.store, "changes_after", older)
    with pytest.raises(StoreError):
        house.replica.prepare()
    monkeypatch.undo()
    for use in (house.replica.view, house.replica.catch_up):
        with pytest.raises(StoreError) as raised:
            use()
        assert raised.value.code == "store_diverged"


def test_a_bundle_that_cannot_be_had_stops_deciding_until_it_can(house: House) -> None:
    """Whoever answered on would knowingly use an old policy."""
    house.replica.catch_up()
    other = house.bundles.publish(OPERATOR, OTHER_FILES).fact
    assert other is not None
    house.bundles.activate(OPERATOR, other.digest)
    text = house.store.texts.pop(other.digest)
    replica = Replica(house.store, Bundles(house.store, house.clock))
    with pytest.raises(StoreError) as raised:
        replica.catch_up()
    assert raised.value.code == "bundle_missing"
    with pytest.raises(StoreError) as raised:
        replica.view()
    assert raised.value.code == "bundle_missing"
    house.store.texts[other.digest] = text
    assert replica.catch_up() == house.store.head()
    assert replica.view().bundle == other.digest


def test_a_change_that_breaks_the_engine_stops_the_replica(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a change may be in the snapshot then: the bug passes through, and nothing is decided any more."""
    house.replica.catch_up()
    house.admin.put_user(TENANT, "acme", "ada")
    monkeypatch.setattr(Snapshot, "_take", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        house.replica.catch_up()
    monkeypatch.undo()
    for use in (house.replica.view, house.replica.catch_up):
        with pytest.raises(StoreError) as raised:
            use()
        assert raised.value.code == "replica_failed"


def test_an_unreachable_store_leaves_the_snapshot_usable(house: House) -> None:
    """What is not known to be old may be decided on; the error passes through."""
    house.replica.catch_up()
    house.store.broken = StoreError("store_unreachable", "the database cannot be reached")
    with pytest.raises(StoreError):
        house.replica.catch_up()
    assert house.replica.view().revision == house.replica.revision


def test_reaching_a_revision_catches_up(house: House) -> None:
    """A revision that is there is reached; none, and an old one, ask for nothing."""
    head = house.store.head()
    house.replica.reach(None, house.clock)
    assert house.replica.revision == 0
    house.replica.reach(head, house.clock)
    assert house.replica.revision == head
    house.store.broken = StoreError("store_unreachable", "not even looked at")
    house.replica.reach(head, house.clock)
    house.replica.reach(1, house.clock)


def test_a_revision_ahead_of_the_store_is_unknown(house: House) -> None:
    """The caller's mistake, with the head in the details."""
    head = house.store.head()
    with pytest.raises(RequestError) as raised:
        house.replica.reach(head + 1, house.clock)
    assert (raised.value.code, raised.value.status, raised.value.details) == ("revision_unknown", 400, {"head": head})


def test_a_revision_not_reached_in_time_is_stale(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 250 ms the answer is 503 with a time to come back."""
    monkeypatch.setattr(replica_module, "BATCH", 1)
    slow = FakeClock(step_ns=100_000_000)
    replica = Replica(house.store, house.bundles)
    with pytest.raises(StoreError) as raised:
        replica.reach(house.store.head(), slow)
    assert raised.value.code == "stale"
    assert raised.value.details == {"revision": 2, "retry_after_s": 1}


def test_a_feed_that_lags_behind_its_head_is_stale(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read replica may know the head before the changes; nobody spins on it."""
    monkeypatch.setattr(MemoryStore, "changes_after", lambda *_: [])
    with pytest.raises(StoreError) as raised:
        house.replica.reach(1, house.clock)
    assert raised.value.code == "stale"
