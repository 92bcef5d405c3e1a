"""SQLAlchemy engines, set up so that a transaction means the same on both databases."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError

from policy_service.model.errors import StoreError

LOCK_TIMEOUT_S: Final = 5.0
"""How long a writer waits for its turn before `store_locked`."""
_LOCK_PAUSE_S: Final = 0.01
_STATEMENT_TIMEOUT_S: Final = 60
_IDLE_TIMEOUT_S: Final = 30
_CONNECT_TIMEOUT_S: Final = 5
_POOL: Final[dict[str, Any]] = {"pool_size": 8, "max_overflow": 24, "pool_timeout": 10.0}
_FILE_CODES: Final = {
    errno.ENOSPC: "store_full",
    errno.EDQUOT: "store_full",
    errno.EROFS: "store_read_only",
    errno.EACCES: "store_read_only",
}
_BEGIN: Final = "begin"
"""Execution option: how a transaction on SQLite begins."""


def parse_url(url: str) -> URL:
    """A database URL, PostgreSQL always by psycopg 3.

    Raises:
        StoreError: `invalid_database_url`.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _invalid("is not a URL") from None
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise _invalid("names another database")
    if parsed.query or not parsed.database or parsed.database == ":memory:":
        raise _invalid("names no file")
    return parsed


def is_sqlite(url: URL) -> bool:
    """Whether a parsed URL is that of a file."""
    return url.get_backend_name() == "sqlite"


def place_of(url: URL) -> str:
    """The database's name for people, without its password."""
    name = url.database if is_sqlite(url) else url.set(drivername="postgresql").render_as_string(hide_password=True)
    return f"`{name}`"


def make_engine(url: URL, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Engine:
    """An engine with its own pool of connections. Connects to nothing yet; thread-safe."""
    # Parameters hold verifiers of secrets: they must not come out in an error's text.
    if is_sqlite(url):
        return _sqlite_engine(url, lock_timeout_s)
    return create_engine(
        url, connect_args=postgres_arguments(url, lock_timeout_s), pool_pre_ping=True, hide_parameters=True, **_POOL
    )


def for_writing(engine: Engine) -> Engine:
    """The same pool, for transactions that write: on SQLite they take the write lock as they begin.

    On PostgreSQL they are READ COMMITTED, so that what is read after the counter row was waited for is the newest.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
    return engine.execution_options(isolation_level="READ COMMITTED")


def for_reading(engine: Engine) -> Engine:
    """The same pool, for transactions that read: each sees one state of the database throughout."""
    if engine.dialect.name == "sqlite":
        return engine
    # Not READ ONLY as well: the pool would take that back by an explicit READ WRITE, and overrule a server's setting.
    return engine.execution_options(isolation_level="REPEATABLE READ")


def make_following(url: URL, engine: Engine, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Engine:
    """An engine for reading the feed, one statement at a time, which is one state of the database by itself.

    On PostgreSQL a statement is one round trip there, where a transaction in a pool that asks first takes four: with
    the server on the same busy machine each costs milliseconds. Whoever reads tries again where a connection was lost.
    """
    if is_sqlite(url):
        return for_reading(engine)
    arguments = postgres_arguments(url, lock_timeout_s)
    return create_engine(
        url, connect_args=arguments, isolation_level="AUTOCOMMIT", hide_parameters=True, **{**_POOL, "pool_size": 2}
    )


def check_file(url: URL) -> None:
    """Say plainly when a SQLite database was never made; of anything else that is wrong, opening it will tell.

    Raises:
        StoreError: `store_unreachable`.
    """
    path = Path(str(url.database))
    if not path.parent.is_dir():
        raise StoreError("store_unreachable", f"there is no folder `{path.parent}`; run `policy-service init`")
    if not path.exists():
        raise StoreError("store_unreachable", f"there is no database `{path}`; run `policy-service init`")


def create_file(url: URL) -> None:
    """Make the empty file of a SQLite database, mode 0600, unless there is one.

    Raises:
        StoreError: `store_unreachable`, `store_read_only`, `store_full`.
    """
    path = Path(str(url.database))
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except FileNotFoundError:
        raise StoreError("store_unreachable", f"there is no folder `{path.parent}`; make it first") from None
    except OSError as error:
        code = _FILE_CODES.get(error.errno or 0, "store_unreachable")
        reason = (error.strerror or "no reason given").lower()
        raise StoreError(code, f"cannot make `{path}` ({reason}); check its folder") from error


class _DatabaseFile:
    """Opens connections to one SQLite file, and notices when another file has taken its place."""

    def __init__(self, path: str, lock_timeout_s: float) -> None:
        self._path = path
        self._lock_timeout_s = lock_timeout_s

    def connect(self) -> sqlite3.Connection:
        # mode=rw: a path that is not there is an error, and not a new, empty database.
        connection = sqlite3.connect(
            f"file:{quote(os.path.abspath(self._path))}?mode=rw",
            uri=True,
            timeout=self._lock_timeout_s,
            check_same_thread=False,
            isolation_level=None,
        )
        try:
            self._keep_journal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA trusted_schema = OFF")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _keep_journal(self, connection: sqlite3.Connection) -> None:
        # For this one lock, which a fresh file needs once, SQLite does not wait: of several who open it at the same
        # moment all but one are told that it is locked.
        end = time.monotonic() + self._lock_timeout_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(_LOCK_PAUSE_S)
            else:
                return

    def connected(self, _connection: object, record: Any) -> None:
        record.info["file"] = self._identity()

    def checked_out(self, _connection: object, record: Any, _proxy: object) -> None:
        # A database that was deleted or restored under its path would else be written to, and lost, in silence.
        if record.info["file"] is None or record.info["file"] != self._identity():
            raise DisconnectionError

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino


def _sqlite_engine(url: URL, lock_timeout_s: float) -> Engine:
    file = _DatabaseFile(str(url.database), lock_timeout_s)
    engine = create_engine(url, creator=file.connect, hide_parameters=True, **_POOL)
    event.listen(engine, "connect", file.connected)
    event.listen(engine, "checkout", file.checked_out)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def postgres_arguments(url: URL, lock_timeout_s: float) -> dict[str, Any]:
    """What psycopg is told beside the URL. What the URL says itself wins."""
    # Every wait has an end, also that of others for a writer that stopped while it held the counter.
    limits = {
        "lock_timeout": lock_timeout_s,
        "statement_timeout": _STATEMENT_TIMEOUT_S,
        "idle_in_transaction_session_timeout": _IDLE_TIMEOUT_S,
    }
    own = " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in limits.items())
    given = url.query.get("options", "")
    return {
        "connect_timeout": int(str(url.query.get("connect_timeout", _CONNECT_TIMEOUT_S))),
        "options": f"{own} {given}".strip(),
        "application_name": str(url.query.get("application_name", "policy-service")),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }


def _invalid(what: str) -> StoreError:
    return StoreError(
        "invalid_database_url", f"the database URL {what}; write `sqlite:///path/to/policy.db` or `postgresql://…`"
    )
