"""What the service says when its database fails under it, and that it goes on as soon as the database does."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from policy_service.model.changes import ChangeDraft
from policy_service.model.errors import StoreError
from policy_service.model.facts import User
from policy_service.store import Store, migrate
from policy_service.store.engines import parse_url
from policy_service.store.reader import TableReader
from tests.databases import rows_of, run_sql
from tests.unit.store.drafts import DEMO, NOW, draft, put

ADA = User(workspace="demo", id="ada")
LARGE = User(workspace="demo", id="large", name="x" * 4_000_000)


@pytest.fixture
def begun(store: Store) -> Store:
    """A store with one change; the test runs once on each kind of database."""
    store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
    return store


def commit(store: Store, user: User) -> int:
    change = store.commit(lambda reader: draft(put(user)), actor="local:0", now=NOW)
    assert change is not None
    return change.revision


def refusal(act: Callable[[], object]) -> StoreError:
    """The StoreError that an act ends with: one line, with nothing in it that a stranger should not see."""
    with pytest.raises(StoreError) as caught:
        act()
    assert "\n" not in caught.value.message
    assert "policy.db" not in caught.value.message
    assert "localhost" not in caught.value.message
    return caught.value


def assert_untouched(store: Store) -> None:
    """Nothing half-written, and the store writes again."""
    assert store.head() == 1
    assert list(store.facts()) == [DEMO]
    assert commit(store, ADA) == 2
    assert [change.revision for change in store.changes_after(0, 10)] == [1, 2]


def file_of(url: str) -> Path:
    return Path(str(make_url(url).database))


@contextmanager
def held(url: str) -> Iterator[None]:
    """Another writer holds the lock."""
    inside, leave = threading.Event(), threading.Event()

    def hold(reader: TableReader) -> None:
        inside.set()
        assert leave.wait(60)

    with closing(Store.open(url)) as other:
        thread = threading.Thread(target=other.commit, args=(hold,), kwargs={"actor": "local:0", "now": NOW})
        thread.start()
        assert inside.wait(60)
        try:
            yield
        finally:
            leave.set()
            thread.join()


def test_a_writer_that_waits_too_long_is_told_locked(database_url: str) -> None:
    """Another process is at it; trying again is right."""
    with closing(Store.open(database_url, lock_timeout_s=0.3)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        with held(database_url):
            error = refusal(lambda: commit(store, ADA))
            assert error.code == "store_locked"
            assert error.message == "the database is busy with other work; try again"
            assert refusal(lambda: store.put_bundle("d", {})).code == "store_locked"
            assert store.head() == 1
        assert_untouched(store)


def test_threads_of_one_store_wait_as_long(sqlite_url: str) -> None:
    """They queue before they come to the file's lock."""
    with closing(Store.open(sqlite_url, lock_timeout_s=0.2)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        codes = []

        def nested(reader: TableReader) -> None:
            thread = threading.Thread(target=lambda: codes.append(refusal(lambda: commit(store, ADA)).code))
            thread.start()
            thread.join()

        store.commit(nested, actor="local:0", now=NOW)
        assert codes == ["store_locked"]
        assert_untouched(store)


def limit_pages(store: Store, pages: int) -> int:
    """Let the SQLite file of a store grow to so many pages; the number it has now."""
    with store._engine.connect() as connection:
        count = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {count + pages}")
    return int(count)


def test_a_full_database_refuses_whole_changes(sqlite_url: str) -> None:
    """And takes what still fits, and all again once there is room."""
    with closing(Store.open(sqlite_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        limit_pages(store, 10)
        error = refusal(lambda: commit(store, LARGE))
        assert error.code == "store_full"
        assert error.message == "the database has no room left; free space on its disk and try again"
        assert refusal(lambda: store.put_bundle("d", {"f": LARGE.name})).code == "store_full"
        assert_untouched(store)
        limit_pages(store, 10_000)
        assert commit(store, LARGE) == 3


def as_nobody(act: Callable[[], int]) -> int:
    """What `act` gives, from 0 to 254, in a process without root's rights over files; 255 where it fails."""
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            os._exit(act())
        finally:
            traceback.print_exc()
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that everybody may write to."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.parametrize("in_use", [True, False])
def test_a_read_only_file_is_read_but_not_written(open_folder: Path, in_use: bool) -> None:
    """The facts stay readable, so decisions go on."""
    url = f"sqlite:///{open_folder / 'policy.db'}"
    migrate(url)
    with closing(Store.open(url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        if not in_use:
            store.close()
        for file in open_folder.iterdir():
            file.chmod(0o666)
        file_of(url).chmod(0o444)

        def act() -> int:
            # Not by `open`: the migrations may be where this user cannot read.
            own = Store(parse_url(url))
            assert list(own.facts()) == [DEMO]
            assert refusal(lambda: commit(own, ADA)).code == "store_read_only"
            assert refusal(lambda: own.put_bundle("d", {})).code == "store_read_only"
            assert own.head() == 1
            return 7

        assert as_nobody(act) == 7
        file_of(url).chmod(0o600)
        assert_untouched(store)


def test_a_read_only_server_is_read_but_not_written(postgres_url: str) -> None:
    """As a standby is; once it is the primary, the same store writes."""
    name = make_url(postgres_url).database
    with closing(Store.open(postgres_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        run_sql(postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        end_sessions(postgres_url)
        assert store.head() == 1
        error = refusal(lambda: commit(store, ADA))
        assert error.code == "store_read_only"
        assert "name the primary server" in error.message
        server = make_url(postgres_url).set(database="postgres")
        run_sql(server, f"ALTER DATABASE {name} RESET default_transaction_read_only")
        end_sessions(postgres_url)
        assert_untouched(store)


def end_sessions(url: str) -> None:
    """End every other session on a database, as a server that restarts does."""
    run_sql(
        url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()",
    )


def test_lost_connections_at_rest_are_not_even_noticed(postgres_url: str) -> None:
    """A restart of the server, or a firewall that forgot the connection."""
    with closing(Store.open(postgres_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        end_sessions(postgres_url)
        assert store.head() == 1
        end_sessions(postgres_url)
        assert_untouched(store)


def test_a_connection_lost_under_a_plan_leaves_nothing(postgres_url: str) -> None:
    """The lock goes with it, so the next writer does not wait."""
    with closing(Store.open(postgres_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)

        def cut_off(reader: TableReader) -> ChangeDraft:
            end_sessions(postgres_url)
            return draft(put(ADA))

        error = refusal(lambda: store.commit(cut_off, actor="local:0", now=NOW))
        assert error.code == "store_unreachable"
        assert "outcome" not in error.details
        assert_untouched(store)


def test_a_connection_lost_while_reading_is_unreachable(postgres_url: str) -> None:
    """A read may simply be done again."""
    with closing(Store.open(postgres_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)

        def query(reader: TableReader) -> object:
            end_sessions(postgres_url)
            return reader.find(User)

        assert refusal(lambda: store.read(query)).code == "store_unreachable"
        assert_untouched(store)


def test_a_connection_lost_while_committing_leaves_the_outcome_open(postgres_url: str) -> None:
    """Nobody can tell then but the feed; the error says so. Here a trigger cuts it off just before the end."""
    run_sql(
        postgres_url,
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
    )
    run_sql(
        postgres_url,
        "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION cut()",
    )
    with closing(Store.open(postgres_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        error = refusal(lambda: commit(store, ADA))
        assert error.code == "store_unreachable"
        assert error.details == {"outcome": "unknown"}
        assert "look whether the change is there" in error.message
        run_sql(postgres_url, "DROP TRIGGER cut ON users")
        assert_untouched(store)


def test_a_writer_that_stops_with_the_lock_is_ended(postgres_url: str) -> None:
    """A stopped process must not stop every other for good. (Its patience is cut short for the test.)"""
    patience = make_url(postgres_url).update_query_dict({"options": "-c idle_in_transaction_session_timeout=1000"})
    with closing(Store.open(postgres_url, lock_timeout_s=30)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        with closing(Store.open(patience.render_as_string(hide_password=False))) as stuck:

            def wait_for_another(reader: TableReader) -> ChangeDraft:
                assert store.commit(lambda reader: None, actor="local:0", now=NOW) is None
                return draft(put(ADA))

            refused = refusal(lambda: stuck.commit(wait_for_another, actor="local:0", now=NOW))
            assert refused.code == "store_unreachable"
            assert_untouched(store)


def test_a_file_that_goes_away_is_unreachable(sqlite_url: str) -> None:
    """Writes to a deleted file would succeed, and be lost."""
    path = file_of(sqlite_url)
    with closing(Store.open(sqlite_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        away = path.with_name("away")
        path.rename(away)
        error = refusal(lambda: commit(store, ADA))
        assert error.code == "store_unreachable"
        assert (
            error.message == "the database cannot be reached; check that it is there and that this process may open it"
        )
        assert refusal(store.head).code == "store_unreachable"
        assert not path.exists()
        away.rename(path)
        assert_untouched(store)


def test_another_file_in_its_place_is_the_one_that_counts(sqlite_url: str, tmp_path: Path) -> None:
    """A backup restored under a running service: followers learn of it, and writers go on from there."""
    path, backup = file_of(sqlite_url), tmp_path / "backup.db"
    with closing(Store.open(sqlite_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        with closing(sqlite3.connect(path)) as copied:
            copied.execute(f"VACUUM INTO '{backup}'")
        commit(store, ADA)
        followed = store.version_token()
        for old in tmp_path.glob("policy.db*"):
            old.unlink()
        backup.rename(path)
        assert store.version_token() != followed
        assert refusal(lambda: store.changes_after(2, 10)).code == "store_diverged"
        assert_untouched(store)


def test_damage_found_while_reading_is_told(sqlite_url: str) -> None:
    """A page that went bad is never taken for an empty one."""
    with closing(Store.open(sqlite_url)) as store:
        store.commit(lambda reader: draft(put(DEMO), put(ADA)), actor="local:0", now=NOW)
    path = file_of(sqlite_url)
    [(root,)] = rows_of(sqlite_url, "SELECT rootpage FROM sqlite_master WHERE name = 'users'")
    with path.open("r+b") as file:
        file.seek((int(str(root)) - 1) * 4096)
        file.write(b"\xff" * 4096)
    with closing(Store.open(sqlite_url)) as store:
        assert refusal(lambda: list(store.facts())).code == "store_damaged"
        assert refusal(lambda: commit(store, User(workspace="demo", id="bob"))).code == "store_damaged"
        assert store.head() == 1


def test_a_table_that_is_gone_is_damage(begun: Store, database_url: str) -> None:
    """Dropped under a running service."""
    run_sql(database_url, "DROP TABLE memberships")
    assert refusal(lambda: list(begun.facts())).code == "store_damaged"
    assert begun.head() == 1


def test_errors_of_the_database_show_no_secrets(begun: Store, database_url: str) -> None:
    """Not even in the traceback: statements carry verifiers."""
    run_sql(database_url, "UPDATE counter SET revision = 5")
    with pytest.raises(StoreError) as caught:
        begun.commit(lambda reader: draft(put(ADA), sealed="s3aled"), actor="local:0", now=NOW)
    assert caught.value.code == "store_refused"
    assert "must have the next revision" in caught.value.message
    assert "s3aled" not in repr(caught.value.__cause__) + str(caught.value.__cause__)
