"""Commits a second on each database: `python -m bench.store [COUNT]`. Every one is on disk before it counts.

SQLite is a file in a temporary folder; PostgreSQL the server of POLICY_SERVICE_TEST_POSTGRES_URL, else an embedded one,
both with their default durability.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from policy_service.model.changes import GENESIS_HASH
from policy_service.model.facts import User
from policy_service.store import Store, migrate
from tests.databases import postgres_database, serve_postgres
from tests.unit.store.drafts import DEMO, NOW, draft, put

THREADS = 4


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """The URL of a fresh database of each kind."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve_postgres(durable=True) as server,
        postgres_database(server) as postgres,
    ):
        yield {"sqlite": f"sqlite:///{folder}/policy.db", "postgresql": postgres}


def write(store: Store, name: str, count: int) -> None:
    for number in range(count):
        user = User(workspace="demo", id=f"{name}-{number}")
        store.commit(lambda _, user=user: draft(put(user)), actor="local:0", now=NOW)


def in_threads(store: Store, count: int) -> None:
    threads = [threading.Thread(target=write, args=(store, f"t{n}", count // THREADS)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def rate(store: Store, act: object, *arguments: object) -> float:
    """Changes a second while `act` runs."""
    before, started = store.head(), time.perf_counter()
    act(store, *arguments)  # type: ignore[operator]  # one of the two above
    return (store.head() - before) / (time.perf_counter() - started)


def verify(store: Store) -> float:
    """Changes read and verified a second; they are right before they are timed."""
    started, previous, revision = time.perf_counter(), GENESIS_HASH, 0
    while changes := store.changes_after(revision, 500):
        for change in changes:
            assert change.is_intact()
            assert change.previous_hash == previous
            previous, revision = change.hash, change.revision
    assert (revision, previous) == store.version_token()
    return revision / (time.perf_counter() - started)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    with databases() as urls:
        for name, url in urls.items():
            migrate(url)
            with closing(Store.open(url, lock_timeout_s=60)) as store:
                store.commit(lambda _: draft(put(DEMO)), actor="local:0", now=NOW)
                alone, together = rate(store, write, "one", count), rate(store, in_threads, count)
                print(
                    f"{name:<11} {alone:7.0f} commits/s by one thread {together:7.0f} by {THREADS}"
                    f" {verify(store):9.0f} changes/s read and verified"
                )


if __name__ == "__main__":
    main()
