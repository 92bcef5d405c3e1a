"""How each database tells that something was committed: soon, cheaply, and without being relied on.

SQLite has no way to tell; a connection that is kept open is asked for its `data_version`, some 4 µs and no reading of
the disk. PostgreSQL tells those who LISTEN, as part of each commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import psycopg
from sqlalchemy import URL, Connection, text

from policy_service.store.engines import LOCK_TIMEOUT_S, is_sqlite, parse_url, postgres_arguments

CHANNEL: Final = "policy_service_changes"
ASK_S: Final = 0.02
"""Pause between two questions to SQLite. Most of their cost is the waking: some 40 µs, 0.2 % of a core."""
RETRY_S: Final = 1.0
"""Pause before a connection that was lost is made anew."""

_NOTIFY: Final = text(f"SELECT pg_notify('{CHANNEL}', :revision)")
_LOG: Final = logging.getLogger(__name__)


def announce(connection: Connection, revision: int) -> None:
    """Have PostgreSQL tell all who listen, once this transaction is committed and not before. Nothing on SQLite."""
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"revision": str(revision)})


def waker_for(url: str) -> SqliteWaker | PostgresWaker:
    """The waker of a database. Connects to nothing yet.

    Raises:
        StoreError: `invalid_database_url`.
    """
    parsed = parse_url(url)
    return SqliteWaker(str(parsed.database)) if is_sqlite(parsed) else PostgresWaker(parsed)


class SqliteWaker:
    """Asks one SQLite file whether another connection has committed, on the event loop: nothing in it waits.

    It sees commits of this process too, and another file that takes the place of the first.
    """

    def __init__(self, path: str, *, ask_s: float = ASK_S, retry_s: float = RETRY_S) -> None:
        self._path = os.path.abspath(path)
        self._ask_s = ask_s
        self._retry_s = retry_s
        self.is_listening = False

    async def run(self, wake: Callable[[], None]) -> None:
        """As a Waker does."""
        while True:
            # Trouble with the database is the follower's to tell, which looks at it by itself.
            with contextlib.suppress(sqlite3.Error, OSError):
                connection = await asyncio.to_thread(self._connect)
                try:
                    watched = _Watched(connection, self._path, self._ask_s, wake)
                    self.is_listening = True
                    await watched.ended
                finally:
                    self.is_listening = False
                    connection.close()
            await asyncio.sleep(self._retry_s)

    def _connect(self) -> sqlite3.Connection:
        # No timeout: a question that meets a lock is asked again, and the event loop does not wait for it.
        return sqlite3.connect(
            f"file:{quote(self._path)}?mode=rw", uri=True, timeout=0, check_same_thread=False, isolation_level=None
        )


class _Watched:
    """One open connection and the timer that asks it: a timer costs a third of a task that sleeps."""

    def __init__(self, connection: sqlite3.Connection, path: str, ask_s: float, wake: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._ask_for = connection.cursor().execute
        self._path = path
        self._ask_s = ask_s
        self._wake = wake
        self._file = os.stat(path).st_ino
        self._version: object = None
        self._ask()

    def _ask(self) -> None:
        if self.ended.done():
            return
        try:
            version = self._ask_for("PRAGMA data_version").fetchone()
            if os.stat(self._path).st_ino != self._file:
                raise FileNotFoundError
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                self.ended.set_exception(error)
                return
        except (sqlite3.Error, OSError) as error:
            self.ended.set_exception(error)
            return
        else:
            if version != self._version:
                self._version = version
                self._wake()
        self._loop.call_later(self._ask_s, self._ask)


class PostgresWaker:
    """LISTENs on a connection of its own, whose socket the event loop watches: no thread waits for it."""

    def __init__(self, url: URL, *, retry_s: float = RETRY_S) -> None:
        self._url = url
        self._retry_s = retry_s
        self._is_lost = False
        self.is_listening = False

    async def run(self, wake: Callable[[], None]) -> None:
        """As a Waker does."""
        while True:
            try:
                connection = await asyncio.to_thread(self._connect)
                try:
                    self._found()
                    self.is_listening = True
                    # What was committed while nobody listened.
                    wake()
                    await _heard(connection, wake)
                finally:
                    self.is_listening = False
                    connection.close()
            except psycopg.Error as error:
                self._lost(error)
            await asyncio.sleep(self._retry_s)

    def _connect(self) -> psycopg.Connection:
        arguments = postgres_arguments(self._url, LOCK_TIMEOUT_S)
        query = {name: value for name, value in self._url.query.items() if name not in arguments}
        plain = self._url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)
        connection = psycopg.connect(plain, autocommit=True, **arguments)
        try:
            connection.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def _found(self) -> None:
        if self._is_lost:
            _LOG.warning("the database tells of changes again")
        self._is_lost = False

    def _lost(self, error: psycopg.Error) -> None:
        if not self._is_lost:
            words = " ".join(str(error.diag.message_primary or type(error).__name__).split())
            _LOG.warning("the database does not tell of changes, they are looked for meanwhile: %s", words)
        self._is_lost = True


async def _heard(connection: psycopg.Connection, wake: Callable[[], None]) -> None:
    """Wake at each notification, until the connection breaks.

    Raises:
        psycopg.Error: it has.
    """
    loop = asyncio.get_running_loop()
    broken: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        try:
            connection.pgconn.consume_input()
        except psycopg.Error as error:
            loop.remove_reader(descriptor)
            if not broken.done():
                broken.set_exception(error)
            return
        is_news = False
        while connection.pgconn.notifies() is not None:
            is_news = True
        if is_news:
            wake()

    descriptor = connection.fileno()
    loop.add_reader(descriptor, readable)
    try:
        await broken
    finally:
        loop.remove_reader(descriptor)
