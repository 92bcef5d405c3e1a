"""A page of the changes at a million of them: `python -m bench.changes_page [COUNT]`. SQLite, in a temporary folder.

The rows are real changes, hash-chained, put in behind the store's back: half of them of one busy workspace, the others
of five hundred. Asked for: each filter alone, several together, some that fit nothing, the far end of the feed, times
in its middle. What is found is held against the filters, and whole walks against a count in SQL first.
The figure is the slowest kind of question: each the median of `ROUNDS` pages of 100, from question to parsed changes.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

from policy_service.model.canonical import canonical_text
from policy_service.model.change_query import ChangeQuery
from policy_service.model.changes import GENESIS_HASH, Change, ChangeDraft, Effect, chain
from policy_service.store import Store, migrate
from policy_service.store.rows import change_row

SIZE: Final = 100
ROUNDS: Final = 15
BOUND_MS: Final = 20.0
START: Final = 1_800_000_000_000_000_000
S: Final = 1_000_000_000
ACTIONS: Final = ("user.put", "user.put", "user.put", "membership.put", "api_key.create", "role_binding.create")


def made(count: int) -> Iterator[Change]:
    """So many changes."""
    previous = GENESIS_HASH
    for revision in range(1, count + 1):
        workspace = "busy" if revision % 2 else f"w{revision % 1000}"
        name = f"u{revision % (count // 10 or 1)}"
        after = {"workspace": workspace, "id": name, "name": f"Name {revision}", "suspended": False}
        draft = ChangeDraft(
            action="api_key.revoke" if revision % 50_000 == 0 else ACTIONS[revision % len(ACTIONS)],
            workspace=workspace,
            subject=f"{workspace}/{name}",
            effects=(Effect("user", (workspace, name), {**after, "name": "before"}, after),),
        )
        actor = "local:0" if revision % 10_000 == 0 else f"key:{revision % 97:012d}"
        change = chain(draft, revision=revision, at=START + revision * S, actor=actor, previous_hash=previous)
        previous = change.hash
        yield change


def fill(path: str, count: int) -> None:
    """Put the changes into the feed, and the counter where they end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -300000"):
            database.execute(f"PRAGMA {setting}")
        database.execute("BEGIN")
        names = ", ".join(Change.__struct_fields__)
        places = ", ".join("?" * len(Change.__struct_fields__))
        last: list[Any] = []
        for change in made(count):
            last = [*{**change_row(change), "effects": canonical_text(change_row(change)["effects"])}.values()]
            database.execute(f"INSERT INTO changes ({names}) VALUES ({places})", last)
        database.execute("UPDATE counter SET revision = ?, hash = ?", (last[0], last[-1]))
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode = WAL")


def questions(count: int) -> dict[str, tuple[ChangeQuery, dict[str, Any]]]:
    """What is asked, by name."""
    middle = START + count // 2 * S
    newest = {"newest_first": True}
    return {
        "everything, oldest first": (ChangeQuery(), {}),
        "everything, newest first": (ChangeQuery(), newest),
        "the far end": (ChangeQuery(), {"after": count - SIZE}),
        "the busy workspace": (ChangeQuery(workspace="busy"), newest),
        "a quiet workspace": (ChangeQuery(workspace="w2"), newest),
        "a rare actor": (ChangeQuery(actor="local:0"), {}),
        "an actor in the busy workspace": (ChangeQuery(workspace="busy", actor=f"key:{3:012d}"), newest),
        "a rare action": (ChangeQuery(action="api_key.revoke"), newest),
        "an entity": (ChangeQuery(entity="api_key"), newest),
        "an entity in a quiet workspace": (ChangeQuery(workspace="w4", entity="user"), newest),
        "a subject": (ChangeQuery(subjects=("busy/u7", "u7")), newest),
        "a time in the middle": (ChangeQuery(since=middle, until=middle + 3600 * S), {}),
        "since the middle": (ChangeQuery(since=middle), newest),
        "until the middle, of an entity": (ChangeQuery(entity="user", until=middle), newest),
        "what never goes together": (ChangeQuery(workspace="busy", actor="local:0", action="user.put"), {}),
        "what never happened": (ChangeQuery(workspace="busy", action="user.none"), {}),
    }


def medians_ms(act: Callable[[], object]) -> tuple[float, float]:
    """The median of several runs: elapsed, and on the processor (on a busy machine they differ)."""
    elapsed, processor = [], []
    for _ in range(ROUNDS):
        started, worked = time.perf_counter(), time.process_time()
        act()
        elapsed.append((time.perf_counter() - started) * 1000)
        processor.append((time.process_time() - worked) * 1000)
    return statistics.median(elapsed), statistics.median(processor)


def check(store: Store, query: ChangeQuery, more: dict[str, Any]) -> int:
    """How many changes the page has; each fits, is intact, and stands in its place."""
    found = store.find_changes(query, limit=SIZE, **more)
    assert all(query.fits(change) and change.is_intact() for change in found.changes)
    revisions = [change.revision for change in found.changes]
    assert revisions == sorted(set(revisions), reverse=bool(more.get("newest_first")))
    return len(revisions)


def check_whole_walk(store: Store, path: str) -> None:
    """A walk through all pages of one filter finds as many as SQL counts, nowhere the same twice."""
    with closing(sqlite3.connect(path)) as database:
        counted = "SELECT count(*) FROM changes WHERE workspace = 'w2' AND action = 'user.put'"
        (there,) = database.execute(counted).fetchone()
    seen: set[int] = set()
    position = 0
    while True:
        page = store.find_changes(ChangeQuery(workspace="w2", action="user.put"), after=position, limit=SIZE)
        seen |= {change.revision for change in page.changes}
        if page.position is None:
            break
        position = page.position
    assert len(seen) == there > 0


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/policy.db"
        migrate(url)
        started = time.perf_counter()
        fill(f"{folder}/policy.db", count)
        print(f"{count} changes put in within {time.perf_counter() - started:.0f} s")
        with closing(Store.open(url)) as store:
            check_whole_walk(store, f"{folder}/policy.db")
            slowest = (0.0, 0.0)
            for name, (query, more) in questions(count).items():
                size = check(store, query, more)
                took = medians_ms(lambda query=query, more=more: store.find_changes(query, limit=SIZE, **more))
                slowest = max(slowest, took)
                print(f"{name:<36} {size:4d} changes {took[0]:7.2f} ms elapsed {took[1]:7.2f} ms processor")
        print(
            f"a page of the changes at {count} of them: {slowest[0]:.1f} ms at most, {slowest[1]:.1f} ms of it on the "
            f"processor (bound: {BOUND_MS:.0f} ms)"
        )


if __name__ == "__main__":
    main()
