"""The store: one function that writes, readers that see one state, and the feed of changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import URL, Connection, insert, select
from sqlalchemy.exc import DBAPIError

from policy_service.model.canonical import canonical_plain, sha256_hex
from policy_service.model.change_query import ChangeQuery, ChangesFound
from policy_service.model.changes import GENESIS_HASH, Change, ChangeDraft, chain
from policy_service.model.errors import StoreError
from policy_service.model.facts import Fact
from policy_service.store.change_search import find_changes
from policy_service.store.engines import (
    LOCK_TIMEOUT_S,
    check_file,
    for_reading,
    for_writing,
    is_sqlite,
    make_engine,
    make_following,
    parse_url,
    place_of,
)
from policy_service.store.errors import store_error, surfacing
from policy_service.store.migrate import check_migrations
from policy_service.store.reader import TableReader
from policy_service.store.tables import BUNDLE_FILES, CHANGES
from policy_service.store.uses import batches, read_uses, write_uses
from policy_service.store.wakers import announce
from policy_service.store.writer import append, apply, read_changes, read_counter, take_counter

T = TypeVar("T")


class Store:
    """The facts in a database. Synchronous and thread-safe; every trouble with the database is a StoreError.

    Codes: `store_unreachable`, `store_locked`, `store_full`, `store_read_only`, `store_damaged`, `store_refused` (the
    change breaks a constraint), `store_diverged` (an effect tells another past than the tables). After any of them
    nothing is half-written, and the store works again as soon as the database does.

    A store belongs to the process that opened it: open another one after a fork.
    """

    def __init__(
        self, url: URL, *, lock_timeout_s: float = LOCK_TIMEOUT_S, committed: Callable[[], None] | None = None
    ) -> None:
        self._committed = committed
        self._engine = make_engine(url, lock_timeout_s=lock_timeout_s)
        self._reading = for_reading(self._engine)
        self._writing = for_writing(self._engine)
        self._following = make_following(url, self._engine, lock_timeout_s=lock_timeout_s)
        # SQLite's own lock is polled for, unfairly; threads of one process can queue instead.
        self._turn = threading.Lock() if is_sqlite(url) else None
        self._lock_timeout_s = lock_timeout_s

    @classmethod
    def open(
        cls, url: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S, committed: Callable[[], None] | None = None
    ) -> Store:
        """Open a database that `migrate` has set up.

        Args:
            committed: called after each change that this store commits, in the thread that does; must be quick.

        Raises:
            StoreError: `migration_behind`, `migration_ahead`, `store_damaged`, `store_unreachable`,
                `invalid_database_url`; the message names the database and the remedy.
        """
        parsed = parse_url(url)
        if is_sqlite(parsed):
            check_file(parsed)
        store = cls(parsed, lock_timeout_s=lock_timeout_s, committed=committed)
        try:
            with surfacing(place_of(parsed)), store._reading.connect() as connection:
                check_migrations(connection, place_of(parsed))
                _check_counter(connection, place_of(parsed))
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()
        self._following.dispose()

    def commit(self, plan: Callable[[TableReader], ChangeDraft | None], *, actor: str, now: int) -> Change | None:
        """Run `plan` under the write lock, apply its effects to the tables and append the change, in one transaction.

        INVARIANT: revision order is commit order (test_store_concurrency; docs/decisions/0001-revision-order.md).

        Args:
            plan: sees the newest facts, which nobody else can change until it is done; it must be quick. Whatever it
                raises undoes everything and passes through. None: there is nothing to do.
            actor: `key:<id>` or `local:<uid>`.
            now: nanoseconds UTC.

        Returns:
            The change as committed, or None where `plan` returned None.

        Raises:
            StoreError: see the class. `store_unreachable` with `details["outcome"] == "unknown"`: the connection was
                lost while committing, and only the feed can tell whether the change is there.
            ValueError: the draft is malformed, which is a bug of whoever made it.
        """
        with self._transaction() as connection:
            revision, previous_hash = take_counter(connection)
            draft = plan(TableReader(connection))
            if draft is None:
                return None
            change = chain(draft, revision=revision + 1, at=now, actor=actor, previous_hash=previous_hash)
            apply(connection, change)
            append(connection, change)
            announce(connection, change.revision)
            _commit(connection)
        if self._committed is not None:
            self._committed()
        return change

    def read(self, query: Callable[[TableReader], T]) -> T:
        """The result of `query` on one consistent view of the facts. Never waits for a writer."""
        with surfacing(), self._reading.connect() as connection:
            return query(TableReader(connection))

    def put_bundle(self, digest: str, files: Mapping[str, str]) -> str:
        """Store the text of a bundle under the digest of its meaning; where there is one, it stays.

        No change of any fact, so it gets no revision. Returns the SHA-256 of the stored text.
        """
        # Megabytes perhaps, and in one call: no decision is made meanwhile.
        text = canonical_plain(dict(files)).decode()
        with self._transaction() as connection:
            take_counter(connection)
            there = connection.scalar(select(BUNDLE_FILES.c.content_sha256).where(BUNDLE_FILES.c.digest == digest))
            if there is not None:
                return str(there)
            content = sha256_hex(text)
            connection.execute(insert(BUNDLE_FILES).values(digest=digest, content_sha256=content, files=text))
            _commit(connection)
        return content

    def head(self) -> int:
        """The last committed revision; 0 for an empty store."""
        return self._counter()[0]

    def version_token(self) -> tuple[int, str]:
        """Equal tokens: nothing was committed in between. It also moves when another database is put in place."""
        return self._counter()

    def changes_after(self, revision: int, limit: int) -> list[Change]:
        """Up to `limit` changes from `revision + 1` on, in order.

        INVARIANT: a gap is never passed over (test_store_concurrency; test_store: a gap in the feed).

        Raises:
            StoreError: `store_diverged` where a change is missing or `revision` lies ahead of the store, which then
                is not the one that `revision` came from.
        """
        head, changes = self._follow(lambda connection: read_changes(connection, revision, limit))
        _check_gapless(changes, revision, head, limit)
        return changes

    def find_changes(
        self, query: ChangeQuery, *, newest_first: bool = False, after: int = 0, before: int | None = None, limit: int
    ) -> ChangesFound:
        """Up to `limit` changes that fit, of the revisions between `after` and `before`, both excluded.

        A page may be short, or empty, and still go on from its `position`. Cost: bounded, see `change_search`.
        """
        with surfacing(), self._reading.connect() as connection:
            return find_changes(connection, query, after=after, before=before, newest_first=newest_first, limit=limit)

    def facts(self) -> Iterator[Fact]:
        """Every fact of every table, from one consistent view."""
        return iter(self.read(lambda reader: list(reader.every())))

    def record_uses(self, uses: Mapping[str, int]) -> None:
        """Keep when keys were last used, by id, in nanoseconds UTC; a later use that is there already stays.

        No change of any fact, so it gets no revision, and waits for no writer on PostgreSQL. In batches: other writers
        wait for one at most, and what was written before trouble stays.
        """
        for batch in batches(uses):
            with self._transaction() as connection:
                write_uses(connection, batch)
                _commit(connection)

    def last_uses(self, key_ids: Iterable[str]) -> dict[str, int]:
        """When these keys were last used, as far as they ever were."""
        with surfacing(), self._reading.connect() as connection:
            return read_uses(connection, key_ids)

    def _counter(self) -> tuple[int, str]:
        return self._follow(read_counter)

    def _follow(self, read: Callable[[Connection], T]) -> T:
        """What one statement reads. A connection that was lost meanwhile is made anew, once."""
        with surfacing():
            try:
                with self._following.connect() as connection:
                    return read(connection)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                with self._following.connect() as connection:
                    return read(connection)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction that may write; undone unless `_commit` ended it."""
        with surfacing(), self._in_turn(), self._writing.connect() as connection:
            yield connection

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=self._lock_timeout_s):
            raise StoreError("store_locked", "the database is busy with other work; try again")
        try:
            yield
        finally:
            self._turn.release()


def _commit(connection: Connection) -> None:
    try:
        connection.commit()
    except DBAPIError as error:
        # A COMMIT that SQLite refuses leaves its transaction open, and SQLAlchemy believes that it is over: with the
        # connection goes the transaction.
        connection.invalidate()
        failure = store_error(error.orig)
        if failure.code != "store_unreachable":
            raise
        raise StoreError(
            failure.code,
            "the database was lost while it committed; look whether the change is there before you repeat it",
            {"outcome": "unknown"},
        ) from error


def _check_counter(connection: Connection, place: str) -> None:
    counter = read_counter(connection)
    last = select(CHANGES.c.revision, CHANGES.c.hash).order_by(CHANGES.c.revision.desc()).limit(1)
    newest = connection.execute(last).first()
    if counter != ((0, GENESIS_HASH) if newest is None else tuple(newest)):
        raise StoreError(
            "store_damaged", f"the changes in {place} do not end where its counter says; restore it from a backup"
        )


def _check_gapless(changes: list[Change], revision: int, head: int, limit: int) -> None:
    for expected, change in enumerate(changes, start=revision + 1):
        if change.revision != expected:
            raise _diverged(expected)
    if not changes and limit > 0 and head != revision:
        raise _diverged(min(head, revision) + 1)


def _diverged(revision: int) -> StoreError:
    return StoreError(
        "store_diverged",
        f"the changes in the database lack revision {revision}; restore it from a newer backup",
        {"revision": revision},
    )
