"""Rule files served from a folder: believed when settled, refused when broken, and told either way."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from policy_service.language.load import load_policy
from policy_service.model.errors import PolicyErrors, StoreError, UsageError
from policy_service.service.following.follower import Follower
from policy_service.service.policies.folder_watch import FolderWatch
from policy_service.service.policies.policy_folder import folder_state, scan_folder
from tests.unit.service.house import OPERATOR, OTHER_FILES, RULE_FILES, House

FIRST, OTHER = load_policy(RULE_FILES).digest, load_policy(OTHER_FILES).digest
PIPELINE = "resources/pipeline.yaml"
INTERVAL_S = 0.005


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The rule files that are active already."""
    for name, text in RULE_FILES.items():
        path = tmp_path / "policies" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "policies"


class Watched:
    """A watch at work over a house."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self.folder = folder
        self.watch = FolderWatch(folder, house.bundles, OPERATOR, interval_s=INTERVAL_S, settled_s=2 * INTERVAL_S)
        self.follower = Follower(house.replica, house.store)

    def write(self, name: str, text: str) -> None:
        """Save a file, as an editor does: beside it, then in its place."""
        beside = self.folder / f".{Path(name).name}.new"
        beside.write_text(text)
        beside.replace(self.folder / name)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it."""
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(INTERVAL_S)

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        """While the watch runs."""

        async def main() -> None:
            await self.follower.catch_up()
            task = asyncio.create_task(self.watch.run(self.follower))
            await scenario()
            task.cancel()

        asyncio.run(main())


def test_the_folder_is_activated_at_the_start(house: House, folder: Path) -> None:
    """Where it means what decides already nothing is changed."""
    watched = Watched(house, folder)
    head = house.store.head()
    assert watched.watch.activate() is None
    assert house.store.head() == head
    watched.write(PIPELINE, OTHER_FILES[PIPELINE])
    assert watched.watch.activate() == OTHER
    assert house.bundles.active() == OTHER
    assert house.store.changes[-1].note.startswith("serve --policies /")


def test_a_start_on_a_broken_or_missing_folder_is_refused(house: House, folder: Path) -> None:
    """What was active stays."""
    watched = Watched(house, folder)
    (folder / "chain.yaml").write_bytes(b"\xff")
    with pytest.raises(PolicyErrors):
        watched.watch.activate()
    with pytest.raises(UsageError):
        FolderWatch(folder / "none", house.bundles, OPERATOR).activate()
    assert house.bundles.active() == FIRST


def test_an_edit_decides_soon(house: House, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Published and activated by whoever serves; the worker has applied it."""
    caplog.set_level(logging.INFO)
    watched = Watched(house, folder)
    watched.watch.activate()

    async def scenario() -> None:
        watched.write(PIPELINE, OTHER_FILES[PIPELINE])
        await watched.until(lambda: house.replica.revision == house.store.head() and house.bundles.active() == OTHER)
        assert house.replica.view().bundle == OTHER

    watched.run(scenario)
    assert house.store.changes[-1].actor == OPERATOR.actor
    assert watched.watch.error is None
    assert f"decide now: {OTHER}" in caplog.text


def test_a_broken_edit_keeps_the_running_policy_and_is_told(
    house: House, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """`file:line:col` in the log and in `error`, once; mended, it is gone."""
    caplog.set_level(logging.INFO)
    watched = Watched(house, folder)
    watched.watch.activate()
    head = house.store.head()

    async def scenario() -> None:
        watched.write(PIPELINE, RULE_FILES[PIPELINE].replace("reason: locked", "reason: Locked\n    rason: x"))
        await watched.until(lambda: watched.watch.error is not None)
        await asyncio.sleep(5 * INTERVAL_S)
        error = watched.watch.error
        assert error is not None
        assert error.startswith(f"{PIPELINE}:8:")
        assert error.endswith("(and 1 more)")
        assert (house.bundles.active(), house.store.head()) == (FIRST, head)
        watched.write(PIPELINE, RULE_FILES[PIPELINE])
        await watched.until(lambda: watched.watch.error is None)

    watched.run(scenario)
    assert house.store.head() == head
    lines = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(lines) == 3
    assert lines[1].startswith(f"{folder}/{PIPELINE}:8:")
    assert "mean again what decides" in caplog.text


def test_a_folder_that_is_still_being_written_is_not_believed(
    house: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two reads that differ are no policy: neither a broken one nor half of a good one."""
    watched = Watched(house, folder)
    watched.watch.activate()
    halves = iter([scan_folder(folder)])
    (folder / PIPELINE).write_text("resource: pipel")
    broken = scan_folder(folder)
    reads = 0

    def read() -> object:
        nonlocal reads
        reads += 1
        return next(halves, broken) if reads < 4 else scan_folder(folder)

    monkeypatch.setattr(watched.watch, "_read", read)

    async def scenario() -> None:
        await watched.until(lambda: reads == 2)
        assert watched.watch.error is None
        watched.write(PIPELINE, OTHER_FILES[PIPELINE])
        await watched.until(lambda: house.bundles.active() == OTHER)

    watched.run(scenario)
    assert watched.watch.error is None


def test_a_folder_that_goes_away_is_told_and_waited_for(house: House, folder: Path) -> None:
    """A checkout of another branch; the running policy stays."""
    watched = Watched(house, folder)
    watched.watch.activate()

    async def scenario() -> None:
        folder.rename(folder.with_name("gone"))
        await watched.until(lambda: watched.watch.error is not None)
        assert watched.watch.error is not None
        assert "there is no folder" in watched.watch.error
        folder.with_name("gone").rename(folder)
        await watched.until(lambda: watched.watch.error is None)

    watched.run(scenario)
    assert house.bundles.active() == FIRST


def test_a_store_that_cannot_take_them_is_tried_again(
    house: House, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same files are taken once it can; told once."""
    watched = Watched(house, folder)
    watched.watch.activate()

    async def scenario() -> None:
        house.store.broken = StoreError("store_locked", "the database is busy")
        watched.write(PIPELINE, OTHER_FILES[PIPELINE])
        await watched.until(lambda: watched.watch.error is not None)
        await asyncio.sleep(10 * INTERVAL_S)
        house.store.broken = None
        await watched.until(lambda: watched.watch.error is None)
        assert house.bundles.active() == OTHER

    watched.run(scenario)
    assert caplog.text.count("store_locked") == 1


def test_a_bug_ends_no_watch(
    house: House, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next look is taken."""
    watched = Watched(house, folder)
    watched.watch.activate()
    real = watched.watch._take
    monkeypatch.setattr(watched.watch, "_take", lambda _: 1 // 0)

    async def scenario() -> None:
        watched.write(PIPELINE, OTHER_FILES[PIPELINE])
        await watched.until(lambda: "ZeroDivisionError" in caplog.text)
        monkeypatch.setattr(watched.watch, "_take", real)
        await watched.until(lambda: house.bundles.active() == OTHER)

    watched.run(scenario)


def test_a_save_of_the_same_size_and_time_is_seen(folder: Path) -> None:
    """Such as a file restored with its times."""
    file = folder / "chain.yaml"
    before, times = folder_state(folder), file.stat()
    file.write_text(file.read_text().replace("rbac", "cabr"))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert folder_state(folder) != before
    assert folder_state(folder / "none") == {}
