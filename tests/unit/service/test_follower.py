"""The follower: keeps a replica up to date beside an event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from policy_service.model.errors import RequestError, StoreError
from policy_service.service import follower as follower_module
from policy_service.service import replica as replica_module
from policy_service.service.follower import Follower
from tests.unit.service.house import TENANT, House

INTERVAL_S = 0.002


def _run(house: House, scenario: Callable[[Follower], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(Follower(house.replica, house.store, interval_s=INTERVAL_S))

    asyncio.run(main())


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(INTERVAL_S)


def test_catching_up_reaches_the_head(house: House) -> None:
    """Also when several ask at once."""

    async def scenario(follower: Follower) -> None:
        reached = await asyncio.gather(*(follower.catch_up() for _ in range(5)))
        assert reached == [house.store.head()] * 5

    _run(house, scenario)


def test_catching_up_takes_batch_after_batch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read in a thread and applied on the loop."""
    for module in (follower_module, replica_module):
        monkeypatch.setattr(module, "BATCH", 2)

    async def scenario(follower: Follower) -> None:
        assert await follower.catch_up() == house.store.head()

    _run(house, scenario)


def test_following_sees_what_others_commit(house: House) -> None:
    """A running follower applies each change within its interval."""

    async def scenario(follower: Follower) -> None:
        task = asyncio.create_task(follower.run())
        await _until(lambda: house.replica.revision == house.store.head())
        house.admin.put_user(TENANT, "acme", "ada")
        await _until(lambda: house.replica.revision == house.store.head())
        task.cancel()

    _run(house, scenario)


def test_trouble_is_logged_once_and_passes(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The loop goes on; the code of the trouble can be seen until it is over."""

    async def scenario(follower: Follower) -> None:
        house.store.broken = StoreError("store_unreachable", "the database cannot be reached")
        task = asyncio.create_task(follower.run())
        await _until(lambda: follower.trouble == "store_unreachable")
        await asyncio.sleep(5 * INTERVAL_S)
        house.store.broken = None
        await _until(lambda: house.replica.revision == house.store.head())
        await _until(lambda: follower.trouble is None)
        task.cancel()

    with caplog.at_level(logging.ERROR):
        _run(house, scenario)
    assert [record.getMessage() for record in caplog.records] == [
        "cannot follow the changes: the database cannot be reached [store_unreachable]"
    ]


def test_a_follower_that_dies_takes_the_deciding_with_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug ends the loop; facts that would grow old unseen are not decided on."""

    async def scenario(follower: Follower) -> None:
        await follower.catch_up()
        monkeypatch.setattr(house.store, "version_token", lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await follower.run()

    _run(house, scenario)
    with pytest.raises(StoreError) as raised:
        house.replica.view()
    assert raised.value.code == "replica_failed"


def test_nothing_new_is_not_looked_at_twice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the token stands still no changes are read."""
    looks: list[int] = []
    real = house.store.changes_after
    monkeypatch.setattr(house.store, "changes_after", lambda *given: looks.append(1) or real(*given))

    async def scenario(follower: Follower) -> None:
        task = asyncio.create_task(follower.run())
        await _until(lambda: house.replica.revision == house.store.head())
        before = len(looks)
        await asyncio.sleep(10 * INTERVAL_S)
        assert len(looks) == before
        task.cancel()

    _run(house, scenario)


def test_reaching_a_revision_waits_for_it(house: House) -> None:
    """None and a revision that was seen ask for nothing; one ahead of the head is the caller's mistake."""

    async def scenario(follower: Follower) -> None:
        await follower.reach(None)
        assert house.replica.revision == 0
        await follower.reach(house.store.head())
        assert house.replica.revision == house.store.head()
        with pytest.raises(RequestError) as raised:
            await follower.reach(house.store.head() + 1)
        assert raised.value.code == "revision_unknown"

    _run(house, scenario)


def test_a_revision_not_reached_in_time_is_stale(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed that does not bring it makes 503 after the wait, not before and not much later."""
    monkeypatch.setattr(follower_module, "WAIT_NS", 20_000_000)
    monkeypatch.setattr(house.store, "changes_after", lambda *_: [])

    async def scenario(follower: Follower) -> None:
        with pytest.raises(StoreError) as raised:
            await follower.reach(1)
        assert raised.value.code == "stale"

    _run(house, scenario)
