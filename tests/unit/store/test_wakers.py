"""What databases tell those who follow: soon, of every commit, and again after trouble."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from policy_service.store import Store, migrate, waker_for
from policy_service.store.wakers import PostgresWaker, SqliteWaker
from tests.databases import run_sql
from tests.unit.store.drafts import DEMO, NOW, draft, put

PATIENCE_S = 60


class Woken:
    """A waker at work, and how often it woke."""

    def __init__(self, waker: SqliteWaker | PostgresWaker) -> None:
        self.waker = waker
        self.count = 0

    def wake(self) -> None:
        self.count += 1

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.005)

    async def after(self, act: Callable[[], object]) -> None:
        """Wait for the waking that an act brings."""
        before = self.count
        await asyncio.to_thread(act)
        await self.until(lambda: self.count > before)


@asynccontextmanager
async def woken(waker: SqliteWaker | PostgresWaker) -> AsyncIterator[Woken]:
    """The waker runs, and listens by now."""
    counted = Woken(waker)
    task = asyncio.create_task(waker.run(counted.wake))
    await counted.until(lambda: waker.is_listening)
    yield counted
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not waker.is_listening


def run(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())  # type: ignore[arg-type]  # a coroutine function


def test_a_commit_of_another_connection_wakes(database_url: str) -> None:
    """On both databases; and nothing wakes while nothing is committed."""

    async def scene() -> None:
        with closing(Store.open(database_url)) as store:
            async with woken(waker_for(database_url)) as waker:
                await asyncio.sleep(0.1)
                before = waker.count
                await asyncio.to_thread(store.head)
                await asyncio.sleep(0.1)
                assert waker.count == before
                await waker.after(lambda: store.commit(lambda _: draft(put(DEMO)), actor="local:0", now=NOW))

    run(scene)


def test_a_change_that_is_undone_is_not_told_of_on_postgresql(postgres_url: str) -> None:
    """It is told as part of the commit."""

    async def scene() -> None:
        with closing(Store.open(postgres_url)) as store:
            async with woken(waker_for(postgres_url)) as waker:
                await asyncio.sleep(0.1)
                before = waker.count
                refused = draft(put(DEMO), put(DEMO))
                with pytest.raises(Exception, match="edited by hand"):
                    await asyncio.to_thread(store.commit, lambda _: refused, actor="local:0", now=NOW)
                await asyncio.sleep(0.1)
                assert waker.count == before

    run(scene)


def test_a_listener_that_was_cut_off_listens_again(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """It says once that it was lost and once that it is back; what was committed meanwhile wakes at once."""

    async def scene() -> None:
        async with woken(PostgresWaker(waker_for(postgres_url)._url, retry_s=0.2)) as waker:  # type: ignore[union-attr]  # of PostgreSQL
            for turn in range(2):
                before = waker.count
                await asyncio.to_thread(
                    run_sql,
                    postgres_url,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                # Lost and found again are both told; on a busy machine both may be over before anybody looks.
                await waker.until(lambda: len(caplog.records) == 2 * turn + 2)  # noqa: B023 - called at once
                await waker.until(lambda: waker.waker.is_listening and waker.count > before)  # noqa: B023 - called at once

    with caplog.at_level(logging.WARNING):
        run(scene)
    assert [record.message.split(",")[0].split(":")[0] for record in caplog.records] == [
        "the database does not tell of changes",
        "the database tells of changes again",
    ] * 2


def test_a_listener_waits_for_a_database_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """It is told once, not at every attempt; no password is in it."""

    async def scene() -> None:
        waker = PostgresWaker(
            waker_for("postgresql://somebody:secret@127.0.0.1:1/nowhere")._url,  # type: ignore[union-attr]  # of PostgreSQL
            retry_s=0.01,
        )
        task = asyncio.create_task(waker.run(lambda: None))
        async with asyncio.timeout(PATIENCE_S):
            while not caplog.records:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert not waker.is_listening
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with caplog.at_level(logging.WARNING):
        run(scene)
    (record,) = caplog.records
    assert "secret" not in record.message


def test_another_file_in_the_place_of_the_first_is_noticed(sqlite_url: str, tmp_path: Path) -> None:
    """It wakes, and follows the new one from then on."""
    path, other = Path(sqlite_url.removeprefix("sqlite:///")), tmp_path / "other.db"
    migrate(f"sqlite:///{other}")

    async def scene() -> None:
        async with woken(SqliteWaker(str(path), retry_s=0.01)) as waker:
            await waker.after(lambda: other.replace(path))
            await waker.until(lambda: waker.waker.is_listening)
            with closing(Store.open(sqlite_url)) as store:
                await waker.after(lambda: store.commit(lambda _: draft(put(DEMO)), actor="local:0", now=NOW))

    run(scene)


def test_a_database_that_is_away_for_a_while_is_followed_again(sqlite_url: str, tmp_path: Path) -> None:
    """The follower tells of the trouble; this listens again once it can."""
    path = Path(sqlite_url.removeprefix("sqlite:///"))

    async def scene() -> None:
        async with woken(SqliteWaker(str(path), retry_s=0.01)) as waker:
            path.rename(tmp_path / "away")
            await waker.until(lambda: not waker.waker.is_listening)
            await asyncio.sleep(0.1)
            (tmp_path / "away").rename(path)
            await waker.until(lambda: waker.waker.is_listening)

    run(scene)


def test_a_lock_is_not_waited_for(sqlite_url: str) -> None:
    """The event loop goes on while another writes; then its change is told."""
    path = sqlite_url.removeprefix("sqlite:///")

    async def scene() -> None:
        async with woken(SqliteWaker(path)) as waker:
            with closing(sqlite3.connect(path, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                async with asyncio.timeout(4):
                    for _ in range(20):
                        await asyncio.sleep(0.005)
                assert waker.waker.is_listening
                holder.execute("ROLLBACK")
            with closing(Store.open(sqlite_url)) as store:
                await waker.after(lambda: store.commit(lambda _: draft(put(DEMO)), actor="local:0", now=NOW))

    run(scene)


def test_a_store_tells_of_what_it_commits(store_url_and_calls: tuple[Store, list[int]]) -> None:
    """After the commit, and not where there was nothing to do."""
    store, calls = store_url_and_calls
    store.commit(lambda _: None, actor="local:0", now=NOW)
    assert calls == []
    store.commit(lambda _: draft(put(DEMO)), actor="local:0", now=NOW)
    assert calls == [1], "the change is there to be read when it is told of"


@pytest.fixture
def store_url_and_calls(database_url: str) -> object:
    """A store, and the heads that were there when it told."""
    calls: list[int] = []
    store = Store.open(database_url, committed=lambda: calls.append(store.head()))
    yield store, calls
    store.close()
