"""The follower: keeps a replica up to date beside an event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable

import pytest

from policy_service.engine.program import Program
from policy_service.model.errors import RequestError, StoreError
from policy_service.service.following import follower as follower_module
from policy_service.service.following import replica as replica_module
from policy_service.service.following.follower import Follower
from policy_service.service.following.replica import Replica
from tests.unit.service.house import OPERATOR, OTHER_FILES, TENANT, House

INTERVAL_S = 0.002


def _run(house: House, scenario: Callable[[Follower], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(Follower(house.replica, house.store, interval_s=INTERVAL_S))

    asyncio.run(main())


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
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
    monkeypatch.setattr(replica_module, "BATCH", 2)

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


def test_a_store_set_back_to_where_the_last_look_saw_it_is_noticed(house: House) -> None:
    """The snapshot moved on in between, by a change this worker answered: it has seen what is not there any more."""

    async def scenario() -> None:
        follower = Follower(house.replica, house.store, interval_s=0.2)
        task = asyncio.create_task(follower.run())
        await _until(lambda: house.replica.revision == house.store.head())
        seen = len(house.store.changes)
        house.admin.put_user(TENANT, "acme", "ada")
        await follower.catch_up()
        assert house.replica.revision == seen + 1
        del house.store.changes[seen:]
        await _until(lambda: follower.trouble == "store_diverged")
        with pytest.raises(StoreError, match="lack revision"):
            house.replica.view()
        task.cancel()

    asyncio.run(scenario())


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
        # The look that brought the last of them may still find out that there are no more.
        await _until(lambda: len(looks) > 0)
        before = -1
        async with asyncio.timeout(60):
            while len(looks) > before:
                before = len(looks)
                await asyncio.sleep(20 * INTERVAL_S)
        await asyncio.sleep(20 * INTERVAL_S)
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


class _Seconds:
    """Seconds that go by when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_a_store_out_of_reach_for_too_long_ends_the_deciding(house: House, how: str) -> None:
    """Also where it gives no answer at all. Once it is back, so is the deciding, by itself."""
    seconds = _Seconds()
    back = threading.Event()
    replica = Replica(house.store, house.bundles, elapsed=seconds)
    follower = Follower(replica, house.store, interval_s=INTERVAL_S, max_staleness_s=30, elapsed=seconds)

    def out_of_reach() -> tuple[int, str]:
        if how == "hangs":
            back.wait(60)
        raise StoreError("store_unreachable", "the database cannot be reached")

    async def scenario() -> None:
        task = asyncio.create_task(follower.run())
        await _until(lambda: replica.revision == house.store.head())
        real, house.store.version_token = house.store.version_token, out_of_reach
        seconds.now = 29.9
        await asyncio.sleep(5 * INTERVAL_S)
        assert replica.view().revision == house.store.head()
        seconds.now = 60.1
        with pytest.raises(StoreError) as raised:
            replica.view()
        assert raised.value.code == "stale"
        house.store.version_token = real
        back.set()
        await _until(lambda: _decides(replica))
        task.cancel()

    asyncio.run(scenario())


def _decides(replica: Replica) -> bool:
    try:
        replica.view()
    except StoreError:
        return False
    return True


def test_without_a_follower_nobody_counts_the_seconds(house: House) -> None:
    """A command reads the facts once and is done; it needs no deadline."""
    seconds = _Seconds()
    replica = Replica(house.store, house.bundles, elapsed=seconds)
    asyncio.run(Follower(replica, house.store, max_staleness_s=1, elapsed=seconds).catch_up())
    seconds.now = 1e6
    assert replica.view().revision == house.store.head()


class Tapped:
    """A waker in the hands of a test."""

    def __init__(self) -> None:
        self.is_listening = True
        self.wake: Callable[[], None] | None = None
        self.bug: Exception | None = None

    async def run(self, wake: Callable[[], None]) -> None:
        if self.bug is not None:
            raise self.bug
        self.wake = wake
        await asyncio.get_running_loop().create_future()


def test_who_is_woken_looks_at_once(house: House) -> None:
    """Long before the next look is due; and whoever wants to know is told of it."""

    async def scenario() -> None:
        waker = Tapped()
        follower = Follower(house.replica, house.store, interval_s=60, wakers=[waker])
        told: list[int] = []
        follower.told = lambda: told.append(house.replica.revision)
        task = asyncio.create_task(follower.run())
        await _until(lambda: house.replica.revision == house.store.head() and waker.wake is not None)
        for user in ("ada", "zoe"):
            house.admin.put_user(TENANT, "acme", user)
            assert waker.wake is not None
            waker.wake()
            await _until(lambda: house.replica.revision == house.store.head())
        await _until(lambda: told[-1:] == [house.store.head()])
        task.cancel()

    asyncio.run(scenario())


def test_looks_are_rare_only_while_all_are_listening(house: House) -> None:
    """One that hears nothing makes the follower look for itself."""
    deaf, hears = Tapped(), Tapped()
    follower = Follower(house.replica, house.store, wakers=[hears, deaf])
    assert follower._pause_s() == follower_module.CONFIRM_S
    deaf.is_listening = False
    assert follower._pause_s() == follower_module.INTERVAL_S
    assert Follower(house.replica, house.store)._pause_s() == follower_module.INTERVAL_S


def test_a_waker_that_breaks_ends_nothing_else(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Changes are looked for as before, and the log has it."""

    async def scenario() -> None:
        waker = Tapped()
        waker.is_listening, waker.bug = False, ValueError("a bug")
        task = asyncio.create_task(Follower(house.replica, house.store, interval_s=INTERVAL_S, wakers=[waker]).run())
        house.admin.put_user(TENANT, "acme", "ada")
        await _until(lambda: house.replica.revision == house.store.head())
        task.cancel()

    asyncio.run(scenario())
    assert "changes are no longer told" in caplog.text


def test_being_woken_does_not_stand_for_a_look(house: House) -> None:
    """A store that cannot be read is out of reach, however often somebody says that it has news."""
    seconds = _Seconds()
    waker = Tapped()
    replica = Replica(house.store, house.bundles, elapsed=seconds)
    follower = Follower(
        replica, house.store, interval_s=INTERVAL_S, max_staleness_s=30, elapsed=seconds, wakers=[waker]
    )

    async def scenario() -> None:
        task = asyncio.create_task(follower.run())
        await _until(lambda: replica.revision == house.store.head() and waker.wake is not None)
        house.store.broken = StoreError("store_unreachable", "the database cannot be reached")
        await _until(lambda: follower.trouble == "store_unreachable")
        seconds.now = 31
        for _ in range(5):
            assert waker.wake is not None
            waker.wake()
            await asyncio.sleep(INTERVAL_S)
        assert not _decides(replica)
        house.store.broken = None
        await _until(lambda: _decides(replica))
        task.cancel()

    asyncio.run(scenario())


def test_linking_a_published_bundle_holds_up_no_other_change(house: House) -> None:
    """A key revoked meanwhile is revoked at once; the bundle is linked when it is activated, and not again."""
    begun, go_on = threading.Event(), threading.Event()
    linked: list[str] = []

    class Slow:
        def program(self, digest: str) -> Program:
            if digest != first:
                linked.append(digest)
                begun.set()
                assert go_on.wait(60)
            return house.bundles.program(digest)

    first = house.bundles.active()
    replica = Replica(house.store, Slow())
    key = house.key()

    async def scenario() -> None:
        follower = Follower(replica, house.store, interval_s=INTERVAL_S)
        await follower.catch_up()
        published = house.bundles.publish(OPERATOR, OTHER_FILES).fact
        assert published is not None
        await follower.catch_up()
        await _until(begun.is_set)
        house.admin.revoke_key(OPERATOR, "acme", key.api_key.id, reason="leaked")
        assert await follower.catch_up() == house.store.head()
        revoked = replica.view().api_key(key.api_key.id)
        assert revoked is not None
        assert revoked.revoked_at is not None
        assert linked == [published.digest]
        go_on.set()

    asyncio.run(scenario())
