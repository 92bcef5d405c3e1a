"""What the drivers say, in our words."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy import exc

from policy_service.model.errors import StoreError
from policy_service.store.engines import parse_url, place_of, postgres_arguments
from policy_service.store.errors import store_error, surfacing


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("in the\ndriver's words")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (sqlite3.SQLITE_BUSY, "store_locked"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "store_locked"),
        (sqlite3.SQLITE_FULL, "store_full"),
        (sqlite3.SQLITE_READONLY, "store_read_only"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "store_read_only"),
        (sqlite3.SQLITE_CANTOPEN, "store_unreachable"),
        (sqlite3.SQLITE_IOERR_FSYNC, "store_unreachable"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "store_damaged"),
        (sqlite3.SQLITE_NOTADB, "store_damaged"),
        (sqlite3.SQLITE_CONSTRAINT_TRIGGER, "store_refused"),
    ],
)
def test_sqlite_result_codes_are_told_by_their_primary_part(number: int, code: str) -> None:
    """Extended codes say why, which is of no use to whoever has to act."""
    assert store_error(sqlite_error(number)).code == code


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("08006", "store_unreachable"),
        ("57P01", "store_unreachable"),
        ("57P03", "store_unreachable"),
        ("53300", "store_unreachable"),
        ("3D000", "store_unreachable"),
        ("28P01", "store_unreachable"),
        ("55P03", "store_locked"),
        ("57014", "store_locked"),
        ("40P01", "store_locked"),
        ("53100", "store_full"),
        ("25006", "store_read_only"),
        ("42501", "store_read_only"),
        ("42P01", "store_damaged"),
        ("XX001", "store_damaged"),
        ("22021", "store_refused"),
        ("23503", "store_refused"),
        ("P0001", "store_refused"),
    ],
)
def test_sql_states_are_told_whole_or_by_class(state: str, code: str) -> None:
    """A lost or refused connection is the default: it has no state at all."""
    assert store_error(psycopg.errors.lookup(state)("words")).code == code


def test_an_error_without_a_code_is_unreachable() -> None:
    """As when a connection is refused, or something new goes wrong."""
    assert store_error(psycopg.OperationalError("words")).code == "store_unreachable"
    assert store_error(sqlite3.ProgrammingError("words")).code == "store_unreachable"
    assert store_error(None).code == "store_unreachable"


def test_the_drivers_words_are_for_those_who_may_know_the_place() -> None:
    """Running, no path and no host; at the start, both, on one line."""
    assert "words" not in store_error(sqlite_error(sqlite3.SQLITE_CANTOPEN)).message
    told = store_error(sqlite_error(sqlite3.SQLITE_CANTOPEN), "`p.db`").message
    assert told.startswith("`p.db` cannot be reached")
    assert told.endswith("(in the driver's words)")


def test_errors_of_others_pass_through() -> None:
    """A bug is no trouble with the database."""
    with pytest.raises(KeyError), surfacing():
        raise KeyError("x")


def test_a_pool_that_is_used_up_is_locked() -> None:
    """All connections are with others: trying again is right."""
    with pytest.raises(StoreError) as caught, surfacing():
        raise exc.TimeoutError
    assert caught.value.code == "store_locked"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_postgresql_is_spoken_to_by_psycopg_3(scheme: str) -> None:
    """However the URL is spelled; its password is not shown."""
    url = parse_url(f"{scheme}://ada:secret@db:5433/facts?sslmode=require")
    assert url.drivername == "postgresql+psycopg"
    assert place_of(url) == "`postgresql://ada:***@db:5433/facts?sslmode=require`"


def test_options_of_the_url_are_kept_beside_ours() -> None:
    """An operator may shorten or lengthen our patience, and route by options."""
    url = parse_url("postgresql://db/facts?options=-c%20lock_timeout%3D1&connect_timeout=9&application_name=mine")
    arguments = postgres_arguments(url, 2.5)
    assert arguments["options"].startswith("-c lock_timeout=2500 -c statement_timeout=")
    assert arguments["options"].endswith("-c lock_timeout=1")
    assert arguments["connect_timeout"] == 9
    assert arguments["application_name"] == "mine"
