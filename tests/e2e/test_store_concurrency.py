"""Revision order is commit order: many writers, one follower that polls, nothing missed (docs/decisions/0001)."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from policy_service.model.changes import GENESIS_HASH, Change, ChangeDraft
from policy_service.model.facts import Team, User
from policy_service.store import Store
from policy_service.store.reader import TableReader
from tests.e2e.store_writer import write
from tests.unit.store.drafts import DEMO, NOW, by_key, draft, fold, put

ROOT = Path(__file__).parents[2]
THREADS = 6
PROCESSES = 3
EACH = 12


class Polling:
    """Follows a store as a worker does, and keeps what it saw, read by read."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.seen: list[Change] = []
        self.reads = 0
        self.failure: BaseException | None = None

    def __enter__(self) -> Polling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with closing(Store.open(self._url)) as store:
                while not (self._done.is_set() and store.head() == len(self.seen)):
                    self.seen += store.changes_after(len(self.seen), 7)
                    self.reads += 1
        except BaseException as error:
            self.failure = error


def check(polling: Polling, store: Store, expected: int) -> None:
    """The follower saw 1 … N once each and in order, the chain holds, and the fold is the tables."""
    assert polling.failure is None
    assert [change.revision for change in polling.seen] == list(range(1, expected + 1))
    assert polling.reads > 1
    previous = GENESIS_HASH
    for change in polling.seen:
        assert change.previous_hash == previous
        assert change.is_intact()
        previous = change.hash
    assert store.version_token() == (expected, previous)
    assert fold(polling.seen) == by_key(store.facts())


def begin(store: Store) -> None:
    store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)


def in_threads(jobs: list[Callable[[], None]]) -> None:
    """Run all at once; the first failure is raised."""
    failures: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_threads_write_and_a_follower_misses_nothing(database_url: str) -> None:
    """Threads that share a store, as the pool of a server does."""
    with closing(Store.open(database_url, lock_timeout_s=60)) as store, Polling(database_url) as polling:
        begin(store)
        in_threads([lambda name=f"t{n}": write(store, name, EACH) for n in range(THREADS)])
        polling.__exit__()
        check(polling, store, 1 + THREADS * EACH)


def test_processes_write_and_a_follower_misses_nothing(database_url: str) -> None:
    """Processes, each with a store of its own, as commands beside a server have."""
    with closing(Store.open(database_url, lock_timeout_s=60)) as store, Polling(database_url) as polling:
        begin(store)
        command = [sys.executable, "-m", "tests.e2e.store_writer", database_url]
        writers = [
            subprocess.Popen([*command, f"p{n}", str(EACH)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for n in range(PROCESSES)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        for writer in writers:
            writer.communicate(b"go\n", timeout=120)
            assert writer.returncode == 0
        polling.__exit__()
        check(polling, store, 1 + PROCESSES * EACH)


def test_a_plan_under_the_lock_sees_what_the_writer_before_it_did(database_url: str) -> None:
    """Many add one to the same fact; none of the additions is lost. (On old facts, some would be.)"""
    team = Team(workspace="demo", id="count", name="0")

    def add_one(reader: TableReader) -> ChangeDraft:
        before = reader.get(Team, team.key())
        assert before is not None
        return draft(put(Team(workspace="demo", id="count", name=str(int(before.name) + 1)), before))

    with closing(Store.open(database_url, lock_timeout_s=60)) as store:
        store.commit(lambda reader: draft(put(DEMO), put(team)), actor="local:0", now=NOW)
        stores = [Store.open(database_url, lock_timeout_s=60) for _ in range(3)]
        jobs = [lambda s=s: [s.commit(add_one, actor="local:0", now=NOW) for _ in range(8)] for s in stores * 2]
        in_threads(jobs)
        assert store.read(lambda reader: reader.get(Team, team.key())).name == "48"
        for other in stores:
            other.close()


def test_readers_do_not_wait_for_a_writer(database_url: str) -> None:
    """Nor see the half of its work."""
    inside, leave = threading.Event(), threading.Event()

    def slow(reader: TableReader) -> ChangeDraft:
        inside.set()
        assert leave.wait(60)
        return draft(put(User(workspace="demo", id="ada")))

    with closing(Store.open(database_url)) as store:
        begin(store)
        writer = threading.Thread(target=store.commit, args=(slow,), kwargs={"actor": "local:0", "now": NOW})
        writer.start()
        assert inside.wait(60)
        started = time.monotonic()
        assert store.head() == 1
        assert store.read(lambda reader: reader.find(User)) == []
        assert time.monotonic() - started < 40, "a reader that waits for the writer waits for a minute"
        leave.set()
        writer.join()
        assert store.head() == 2


@pytest.mark.parametrize("count", [1, 2, 40])
def test_more_threads_than_connections_wait_their_turn(database_url: str, count: int) -> None:
    """The pool is bounded; whoever comes later waits."""
    with closing(Store.open(database_url)) as store:
        begin(store)
        in_threads([lambda: store.read(lambda reader: reader.find(User)) and None] * count)
