"""The replica: it follows the changes, and stops where they contradict themselves."""

from __future__ import annotations

import msgspec
import pytest

from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.model.errors import RequestError, StoreError
from policy_service.service.following import replica as replica_module
from policy_service.service.following.replica import Prepared, Replica
from policy_service.service.policies.bundles import Bundles
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


def test_another_database_of_the_same_length_stops_the_replica_for_good(house: House) -> None:
    """An older one that was restored and written to until its head was the same number again."""
    house.replica.catch_up()
    last = house.store.changes[-1]
    house.store.changes[-1] = msgspec.structs.replace(last, hash="f" * 64)
    with pytest.raises(StoreError) as raised:
        house.replica.catch_up()
    assert (raised.value.code, raised.value.details) == ("store_diverged", {"revision": last.revision})
    house.store.changes[-1] = last
    with pytest.raises(StoreError):
        house.replica.view()


def test_after_its_deadline_the_replica_decides_nothing(house: House) -> None:
    """503 `stale` with a time to come back; a later deadline makes it decide again."""
    now = 100.0
    replica = Replica(house.store, house.bundles, elapsed=lambda: now)
    replica.catch_up()
    replica.fresh_until(130.0)
    now = 130.0
    assert replica.view().revision == house.store.head()
    now = 130.001
    with pytest.raises(StoreError) as raised:
        replica.view()
    assert raised.value.code == "stale"
    assert raised.value.details == {"revision": house.store.head(), "retry_after_s": 5}
    replica.fresh_until(160.0)
    assert replica.view().revision == house.store.head()


class _Linked:
    """Programs, with a note of each that was asked for."""

    def __init__(self, house: House) -> None:
        self.bundles = Bundles(house.store, house.clock)
        self.asked: list[str] = []

    def program(self, digest: str) -> Program:
        self.asked.append(digest)
        return self.bundles.program(digest)


def _activate(house: House, files: dict[str, str]) -> str:
    published = house.bundles.publish(OPERATOR, files).fact
    assert published is not None
    house.bundles.activate(OPERATOR, published.digest)
    return published.digest


@pytest.mark.parametrize("batch", [1, 2, 3, 500])
def test_old_bundles_are_never_linked(house: House, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """However history falls into batches: a worker that starts links the last one, and an old one may be damaged."""
    monkeypatch.setattr(replica_module, "BATCH", batch)
    first = house.bundles.active()
    assert first is not None
    second = _activate(house, OTHER_FILES)
    house.admin.put_user(TENANT, "acme", "ada")
    house.store.texts[first] = {"chain.yaml": "nonsense"}
    programs = _Linked(house)
    replica = Replica(house.store, programs)
    assert replica.catch_up() == house.store.head()
    assert set(programs.asked) == {second}
    assert replica.view().bundle == second
    reached = Replica(house.store, programs)
    reached.reach(house.store.head(), house.clock)
    assert reached.view().program is replica.view().program


def test_what_comes_before_an_activation_need_not_wait_for_it(house: House) -> None:
    """A worker that decides takes it first; what comes after must wait, for the revision fixes the policy."""
    house.replica.catch_up()
    house.admin.put_user(TENANT, "acme", "ada")
    before = house.store.head()
    other = _activate(house, OTHER_FILES)
    house.admin.put_user(TENANT, "acme", "boris")
    programs = _Linked(house)
    house.replica._programs = programs
    prepared = house.replica.prepare()
    assert programs.asked == []
    assert house.replica.apply(prepared) == before + 1, "the publishing too"
    house.replica.apply(house.replica.prepare())
    assert programs.asked == [other]
    assert house.replica.revision == house.store.head()


def test_a_batch_that_is_not_the_last_settles_a_worker_that_decides(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on deciding between two batches."""
    house.replica.catch_up()
    other = _activate(house, OTHER_FILES)
    for number in range(3):
        house.admin.put_user(TENANT, "acme", f"u{number}")
    monkeypatch.setattr(replica_module, "BATCH", 2)
    while house.replica.revision < house.store.head():
        house.replica.apply(house.replica.prepare())
        assert house.replica.view().revision == house.replica.revision
    assert house.replica.view().bundle == other


def test_nothing_is_decided_in_the_midst_of_history(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 `starting`: linking an old bundle there would hold everybody up, for a policy that is none any more."""
    monkeypatch.setattr(replica_module, "BATCH", 2)
    house.replica.apply(house.replica.prepare())
    with pytest.raises(StoreError) as raised:
        house.replica.view()
    assert raised.value.code == "starting"
    house.replica.catch_up()
    assert house.replica.view().revision == house.store.head()


def test_another_activation_mends_a_bundle_that_cannot_be_had(house: House) -> None:
    """The facts were followed on; so a rollback is seen."""
    house.replica.catch_up()
    good = house.bundles.active()
    assert good is not None
    other = _activate(house, OTHER_FILES)
    del house.store.texts[other]
    replica = Replica(house.store, Bundles(house.store, house.clock))
    for _ in range(2):
        with pytest.raises(StoreError) as raised:
            replica.catch_up()
        assert raised.value.code == "bundle_missing"
    house.bundles.activate(OPERATOR, good)
    assert replica.catch_up() == house.store.head()
    assert replica.view().bundle == good


def test_published_bundles_are_told_to_whoever_links_ahead(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Those published from now on, not those of the past; what cannot be linked is logged and harms nobody."""
    house.replica.catch_up()
    assert house.replica.take_published() == []
    published = house.bundles.publish(OPERATOR, OTHER_FILES).fact
    assert published is not None
    house.replica.catch_up()
    assert house.replica.take_published() == [published.digest]
    assert house.replica.take_published() == []
    programs = _Linked(house)
    replica = Replica(house.store, programs)
    replica.link(published.digest)
    assert programs.bundles.ready_program(published.digest) is not None
    replica.link("sha256:none")
    assert "bundle_missing" in caplog.text
