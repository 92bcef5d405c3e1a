"""Starting from the snapshot file, having it made, and going over to it while decisions are made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_service.engine.snapshot import Snapshot
from policy_service.model.errors import StoreError
from policy_service.service.following import replica as replica_module
from policy_service.service.following.replica import Replica
from policy_service.service.following.snapshot_file import SnapshotFiles
from policy_service.service.following.snapshot_keeping import SnapshotKeeper
from policy_service.service.following.snapshot_making import make_snapshot
from tests.unit.service.house import OPERATOR, TENANT, House

EVERY = 5


class Maker:
    """Makes the file at once, in place of a process; `code` is what it ends with."""

    def __init__(self, house: House, files: SnapshotFiles, code: int = 0) -> None:
        self._house = house
        self._files = files
        self.code = code
        self.started = self.ended = 0
        self.is_slow = False

    def __call__(self) -> Maker:
        self.started += 1
        if self.code == 0:
            make_snapshot(self._house.store, self._files)
        return self

    def poll(self) -> int | None:
        return None if self.is_slow else self.code

    def wait(self) -> int:
        return self.code

    def terminate(self) -> None:
        self.ended += 1


@pytest.fixture
def files(tmp_path: Path) -> SnapshotFiles:
    return SnapshotFiles(tmp_path / "snapshot")


def keeper_of(
    house: House, files: SnapshotFiles, make: Callable[[], Maker] | None, every: int = EVERY
) -> SnapshotKeeper:
    return SnapshotKeeper(house.replica, house.store, files, house.bundles, every=every, make=make, interval_s=0.001)


def users(house: House, count: int, name: str = "u") -> None:
    for number in range(count):
        house.admin.put_user(TENANT, "acme", f"{name}{number}")


def same(house: House) -> bool:
    """Whether the replica knows just what the store holds."""
    return sorted(map(repr, house.replica.view().facts())) == sorted(map(repr, house.store.facts()))


def test_a_first_start_on_few_facts_makes_no_file(house: House, files: SnapshotFiles) -> None:
    """It reads them all, which takes no time."""
    maker = Maker(house, files)
    assert keeper_of(house, files, maker, every=1000).start() == house.store.head()
    assert (maker.started, house.replica.base_revision) == (0, 0)
    assert same(house)


def test_a_first_start_on_many_facts_has_the_file_made_and_begins_with_it(
    house: House, files: SnapshotFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as it has read too many; the memory of the fold stays with the other process."""
    monkeypatch.setattr(replica_module, "BATCH", 3)
    users(house, 20)
    maker = Maker(house, files)
    assert keeper_of(house, files, maker).start() == house.store.head()
    assert (maker.started, house.replica.base_revision, house.replica.weight) == (1, house.store.head(), 0)
    assert same(house)


def test_where_the_file_cannot_be_made_a_start_reads_everything(
    house: House, files: SnapshotFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether its process fails, or cannot even be started."""
    monkeypatch.setattr(replica_module, "BATCH", 3)
    users(house, 20)
    failing = Maker(house, files, code=2)
    assert keeper_of(house, files, failing).start() == house.store.head()
    assert (failing.started, house.replica.base_revision) == (1, 0)
    house.replica = Replica(house.store, house.bundles)

    def unstartable() -> Maker:
        raise OSError(12, "Cannot allocate memory")

    assert keeper_of(house, files, unstartable).start() == house.store.head()
    assert same(house)
    assert "cannot make a snapshot file" in caplog.text


def test_a_command_begins_with_the_file_and_makes_none(house: House, files: SnapshotFiles) -> None:
    """It folds what came after."""
    make_snapshot(house.store, files)
    base = house.store.head()
    users(house, 20)
    assert keeper_of(house, files, None).start() == house.store.head()
    assert house.replica.base_revision == base
    assert house.replica.weight == 20
    assert same(house)


def test_the_file_of_another_store_is_not_begun_with(house: House, files: SnapshotFiles) -> None:
    """As after a restore: the newest changes are other ones."""
    users(house, 3)
    make_snapshot(house.store, files)
    other = House().furnish()
    users(other, 3, "else")
    assert other.store.head() == house.store.head()
    assert keeper_of(other, files, None).start() == other.store.head()
    assert other.replica.base_revision == 0
    assert same(other)


def test_when_much_has_changed_the_file_is_made_anew_and_gone_over_to(house: House, files: SnapshotFiles) -> None:
    """Decisions, revision and facts stay the same; what it gave up answers nobody any more (adopted)."""
    key = house.key().text
    maker = Maker(house, files)
    keeper = keeper_of(house, files, maker)
    keeper.start()
    former = house.replica.view()
    before = house.decide(key)

    async def look() -> None:
        await keeper.look()
        assert (maker.started, house.replica.base_revision) == (1, 0)
        await keeper.look()

    asyncio.run(look())
    assert house.replica.base_revision == house.store.head() == house.replica.revision
    assert house.replica.weight == 0
    assert same(house)
    after = house.decide(key)
    assert (after.decision.reason, after.decision.revision) == (before.decision.reason, before.decision.revision)
    with pytest.raises(StoreError):
        former.api_key(key.partition("_")[2][:12])


def test_changes_that_come_while_the_file_is_made_are_kept(house: House, files: SnapshotFiles) -> None:
    """They are folded again over the new base."""
    maker = Maker(house, files)
    keeper = keeper_of(house, files, maker)
    keeper.start()

    async def look() -> None:
        await keeper.look()
        users(house, 4, "late")
        house.replica.catch_up()
        await keeper.look()

    asyncio.run(look())
    assert house.replica.weight == 4
    assert same(house)


def test_a_worker_that_makes_no_file_goes_over_to_that_of_another(house: House, files: SnapshotFiles) -> None:
    """As soon as it is there; until then it looks again each time as much has changed once more."""
    keeper = keeper_of(house, files, None)
    keeper.start()
    asyncio.run(keeper.look())
    assert house.replica.base_revision == 0
    make_snapshot(house.store, files)
    asyncio.run(keeper.look())
    assert house.replica.base_revision == 0, "not at every look"
    users(house, EVERY)
    house.replica.catch_up()
    asyncio.run(keeper.look())
    assert house.replica.base_revision > 0
    assert same(house)


def test_a_file_that_cannot_be_made_is_tried_for_again_only_when_as_much_has_changed(
    house: House, files: SnapshotFiles, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a full disk would have a process started every second."""
    maker = Maker(house, files, code=2)
    keeper = keeper_of(house, files, maker)
    keeper.start()

    async def look() -> None:
        for _ in range(6):
            await keeper.look()

    asyncio.run(look())
    assert maker.started == 1
    assert "the snapshot file was not made" in caplog.text
    users(house, EVERY + house.replica.weight)
    house.replica.catch_up()
    asyncio.run(look())
    assert maker.started == 2


def test_a_snapshot_of_another_moment_is_not_adopted(house: House) -> None:
    """Nor one whose policy is not at hand."""
    house.replica.catch_up()
    current = house.replica.view()
    assert house.replica.adopt(Snapshot(house.bundles)) is None
    unsettled = Snapshot(house.bundles)
    for change in house.store.changes:
        unsettled.apply(change)
    assert house.replica.adopt(unsettled) is None
    assert house.replica.view() is current
    unsettled.settle()
    assert house.replica.adopt(unsettled) is current


def test_it_looks_until_it_is_cancelled_and_ends_what_it_started(house: House, files: SnapshotFiles) -> None:
    """A server that stops leaves no process behind."""
    maker = Maker(house, files)
    maker.is_slow = True
    keeper = keeper_of(house, files, maker)
    keeper.start()

    async def serve() -> None:
        task = asyncio.create_task(keeper.run())
        while not maker.started:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(serve())
    assert maker.ended == 1


def test_trouble_with_the_store_while_going_over_is_logged_and_changes_nothing(
    house: House, files: SnapshotFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The follower meets it too, and knows what to do."""
    caplog.set_level(logging.WARNING)
    make_snapshot(house.store, files)
    users(house, EVERY)
    house.replica.catch_up()
    keeper = keeper_of(house, files, None)
    read = house.store.changes_after

    def broken(revision: int, limit: int) -> object:
        if limit > 1:
            raise StoreError("store_unreachable", "no database")
        return read(revision, limit)

    monkeypatch.setattr(house.store, "changes_after", broken)
    asyncio.run(keeper.look())
    assert "cannot start from the new snapshot file" in caplog.text
    assert house.replica.base_revision == 0
    monkeypatch.undo()
    house.bundles.activate(OPERATOR, house.replica.view().bundle or "")
    assert house.decide(None).decision.reason == "missing_credentials"
