"""What the two databases say when something is wrong, as StoreErrors with stable codes.

Messages of a running service name neither path nor host: strangers may be shown them. Those of opening a store do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy import exc

from policy_service.model.errors import StoreError

SQLITE_CODES: Final[dict[int, str]] = {
    sqlite3.SQLITE_BUSY: "store_locked",
    sqlite3.SQLITE_LOCKED: "store_locked",
    sqlite3.SQLITE_FULL: "store_full",
    sqlite3.SQLITE_READONLY: "store_read_only",
    sqlite3.SQLITE_PERM: "store_read_only",
    sqlite3.SQLITE_CORRUPT: "store_damaged",
    sqlite3.SQLITE_NOTADB: "store_damaged",
    sqlite3.SQLITE_SCHEMA: "store_damaged",
    sqlite3.SQLITE_ERROR: "store_damaged",  # our statements are fixed: what they name is not there
    sqlite3.SQLITE_CONSTRAINT: "store_refused",
    sqlite3.SQLITE_MISMATCH: "store_refused",
    sqlite3.SQLITE_TOOBIG: "store_refused",
}
"""By primary result code. All others (no such file, input or output failed, no memory) are `store_unreachable`."""

POSTGRES_CODES: Final[dict[str, str]] = {
    "22": "store_refused",
    "23": "store_refused",
    "P0": "store_refused",
    "25006": "store_read_only",
    "42501": "store_read_only",
    "40": "store_locked",
    "55P03": "store_locked",
    "57014": "store_locked",
    "53100": "store_full",
    "XX": "store_damaged",
    "42": "store_damaged",
    "3F": "store_damaged",
}
"""By SQLSTATE, whole or its class. All others, and none (no connection), are `store_unreachable`."""

_MESSAGES: Final[dict[str, str]] = {
    "store_locked": "{place} is busy with other work; try again",
    "store_full": "{place} has no room left; free space on its disk and try again",
    "store_read_only": "{place} cannot be written to; give this process the right to, or name the primary server",
    "store_unreachable": "{place} cannot be reached; check that it is there and that this process may open it",
    "store_damaged": "{place} is damaged, or not a database of this service; restore it from a backup",
    "store_refused": "{place} refused the change",
}


def store_error(error: BaseException | None, place: str | None = None) -> StoreError:
    """The StoreError for an error of a database driver.

    Args:
        place: the database's name for people, where they may know it; the driver's own words are then added.
    """
    code = _code(error)
    message = _MESSAGES[code].format(place=place or "the database")
    if place is not None or code == "store_refused":
        message += f" ({_words(error)})"
    return StoreError(code, message)


@contextmanager
def surfacing(place: str | None = None) -> Iterator[None]:
    """Turn errors of the database, and no others, into StoreErrors."""
    try:
        yield
    except exc.TimeoutError as error:
        raise StoreError("store_locked", "all connections to the database are busy; try again") from error
    except exc.DBAPIError as error:
        raise store_error(error.orig, place) from error


def _code(error: BaseException | None) -> str:
    if isinstance(error, sqlite3.Error):
        return SQLITE_CODES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "store_unreachable")
    state = getattr(error, "sqlstate", None) or ""
    return POSTGRES_CODES.get(state) or POSTGRES_CODES.get(state[:2]) or "store_unreachable"


def _words(error: BaseException | None) -> str:
    """The driver's main sentence, on one line. Never its details: they quote rows."""
    text = str(error)
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        text = error.diag.message_primary
    return " ".join(text.split())
