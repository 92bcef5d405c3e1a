"""Migrations, and what opening a database finds wrong with it."""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, make_url

from policy_service.model.errors import StoreError
from policy_service.store import Store, migrate
from policy_service.store.engines import create_file, for_writing, make_engine, parse_url, place_of
from policy_service.store.migrate import HEAD, migrations_folder
from policy_service.store.tables import Base
from tests.databases import postgres_database, rows_of, run_sql
from tests.unit.store.drafts import DEMO, NOW, draft, put


def refusal(act: Callable[[], object]) -> StoreError:
    """The StoreError an act ends with: one line that starts small."""
    with pytest.raises(StoreError) as caught:
        act()
    assert "\n" not in caught.value.message
    assert not caught.value.message[:1].isupper()
    return caught.value


def described(url: str) -> dict[str, object]:
    """Tables, columns, keys, checks and indexes as the database tells them, without the migrations' own table."""
    engine = make_engine(parse_url(url))
    try:
        with engine.connect() as connection:
            look = inspect(connection)
            names = sorted(set(look.get_table_names()) - {"alembic_version"})
            return {name: described_table(look, name) for name in names}
    finally:
        engine.dispose()


def described_table(look: object, name: str) -> object:
    columns = [{**column, "type": repr(column["type"])} for column in look.get_columns(name)]
    return {
        "columns": columns,
        "key": look.get_pk_constraint(name),
        "references": sorted(look.get_foreign_keys(name), key=lambda part: part["name"]),
        "checks": sorted((part["name"], part["sqltext"]) for part in look.get_check_constraints(name)),
        "indexes": sorted((part["name"], part["column_names"]) for part in look.get_indexes(name)),
    }


def test_the_migrations_make_the_tables_of_the_models(empty_database_url: str) -> None:
    """Column by column, with types, collations, references, checks and indexes."""
    if empty_database_url.startswith("sqlite"):
        Path(str(make_url(empty_database_url).database)).touch()
    engine = make_engine(parse_url(empty_database_url))
    Base.metadata.create_all(engine)
    made = described(empty_database_url)
    Base.metadata.drop_all(engine)
    engine.dispose()
    migrate(empty_database_url)
    assert described(empty_database_url) == made
    if not empty_database_url.startswith("sqlite"):
        texts = re.findall(r"TEXT\([^)]*\)", repr(made))
        assert set(texts) == {"TEXT(collation='C')"}


def test_alembic_finds_nothing_to_migrate(database_url: str) -> None:
    """The comparison that `alembic check` makes."""
    engine = create_engine(parse_url(database_url))
    with engine.connect() as connection:
        missing = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    engine.dispose()
    assert missing == []


def test_migrating_again_changes_nothing(database_url: str) -> None:
    """`init` may be run as often as one likes."""
    with closing(Store.open(database_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        migrate(database_url)
        assert list(store.facts()) == [DEMO]


def test_two_migrations_at_once_are_one(empty_database_url: str) -> None:
    """Two nodes of a deployment may start together."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            migrate(empty_database_url)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    Store.open(empty_database_url).close()


def test_a_fresh_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """The first who writes to it changes its journal, and SQLite makes nobody wait for that."""
    for number in range(40):
        url = f"sqlite:///{tmp_path / f'{number}.db'}"
        create_file(parse_url(url))
        engines = [make_engine(parse_url(url)) for _ in range(4)]
        together = threading.Barrier(len(engines))

        def connect(engine: Engine, together: threading.Barrier = together) -> None:
            together.wait()
            with for_writing(engine).begin():
                pass

        with ThreadPoolExecutor(len(engines)) as pool:
            list(pool.map(connect, engines))
        for engine in engines:
            engine.dispose()


def test_a_database_file_is_private(sqlite_url: str) -> None:
    """It holds verifiers: nobody else reads it, nor the files that SQLite puts beside it."""
    with closing(Store.open(sqlite_url)) as store:
        store.commit(lambda reader: draft(put(DEMO)), actor="local:0", now=NOW)
        folder = Path(str(make_url(sqlite_url).database)).parent
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("policy.db*")}
    assert modes == {"policy.db": 0o600, "policy.db-wal": 0o600, "policy.db-shm": 0o600}


def test_sqlite_is_set_up_to_be_durable(sqlite_url: str) -> None:
    """Write-ahead log, every commit on disk, references enforced."""
    engine = make_engine(parse_url(sqlite_url))
    with engine.connect() as connection:
        names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "busy_timeout")
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}
    engine.dispose()
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "busy_timeout": 5000,
    }


def test_the_last_migration_is_the_one_that_is_asked_for() -> None:
    """It is written down, so that no server needs Alembic to look it up."""
    assert ScriptDirectory(str(migrations_folder())).get_current_head() == HEAD


def test_a_database_that_was_never_migrated_is_behind(empty_database_url: str) -> None:
    """The remedy is named; so is the database."""
    if empty_database_url.startswith("sqlite"):
        Path(str(make_url(empty_database_url).database)).touch()
    error = refusal(lambda: Store.open(empty_database_url))
    assert error.code == "migration_behind"
    assert "is not set up; run `policy-service init`" in error.message
    assert place_of(parse_url(empty_database_url)) in error.message


def migrate_to(url: str, revision: str) -> None:
    """Leave a database as an older version made it."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


def test_a_database_of_an_older_version_is_behind(empty_database_url: str) -> None:
    """Old tables are not guessed at; `migrate` brings them up to date."""
    head = ScriptDirectory(str(migrations_folder())).get_current_head()
    migrate_to(empty_database_url, "0001")
    error = refusal(lambda: Store.open(empty_database_url))
    assert error.code == "migration_behind"
    assert f"has migration `0001`, this version needs `{head}`; run `policy-service init`" in error.message
    migrate(empty_database_url)
    with closing(Store.open(empty_database_url)) as store:
        assert store.head() == 0


def test_a_database_of_a_newer_version_is_ahead(database_url: str) -> None:
    """Neither opening nor migrating touches it."""
    run_sql(database_url, "UPDATE alembic_version SET version_num = 'f00d'")
    for act in (Store.open, migrate):
        error = refusal(lambda act=act: act(database_url))
        assert error.code == "migration_ahead"
        assert "`f00d`, which this version does not know; upgrade policy-service" in error.message


def test_a_counter_that_does_not_fit_the_feed_is_damage(database_url: str) -> None:
    """Somebody restored one table and not the other."""
    run_sql(database_url, "UPDATE counter SET revision = 3")
    error = refusal(lambda: Store.open(database_url))
    assert error.code == "store_damaged"
    assert "do not end where its counter says" in error.message


def test_what_is_not_there_is_told_plainly(tmp_path: Path) -> None:
    """A missing folder, a missing file: the remedy is `init`, and opening makes nothing."""
    error = refusal(lambda: Store.open(f"sqlite:///{tmp_path}/none/policy.db"))
    assert error.code == "store_unreachable"
    assert error.message == f"there is no folder `{tmp_path}/none`; run `policy-service init`"
    error = refusal(lambda: Store.open(f"sqlite:///{tmp_path}/policy.db"))
    assert error.message == f"there is no database `{tmp_path}/policy.db`; run `policy-service init`"
    error = refusal(lambda: migrate(f"sqlite:///{tmp_path}/none/policy.db"))
    assert error.message == f"there is no folder `{tmp_path}/none`; make it first"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_damage(tmp_path: Path, content: bytes) -> None:
    """It is left as it is."""
    path = tmp_path / "policy.db"
    path.write_bytes(content)
    for act in (Store.open, migrate):
        error = refusal(lambda act=act: act(f"sqlite:///{path}"))
        assert error.code == "store_damaged"
        assert error.message.startswith(f"`{path}` is damaged, or not a database of this service; restore it")
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path) -> None:
    """As unreachable: it may be a mount that went wrong."""
    assert refusal(lambda: Store.open(f"sqlite:///{tmp_path}")).code == "store_unreachable"


def test_a_truncated_database_is_damage(sqlite_url: str) -> None:
    """Half a file is not silently half the facts."""
    path = Path(str(make_url(sqlite_url).database))
    with closing(Store.open(sqlite_url)) as store:
        for number in range(40):
            name = "x" * 500
            user = put(type(DEMO)(id=f"w{number}", name=name))
            store.commit(lambda reader, user=user: draft(user), actor="local:0", now=NOW)
    os.truncate(path, 4096 * 3)
    assert refusal(lambda: Store.open(sqlite_url)).code == "store_damaged"


@pytest.mark.parametrize(
    "url", ["", "policy.db", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "sqlite:///"]
)
def test_a_url_of_something_else_is_refused(url: str) -> None:
    """A database in memory would be one per connection."""
    for act in (Store.open, migrate):
        error = refusal(lambda act=act: act(url))
        assert error.code == "invalid_database_url"
        assert "write `sqlite:///path/to/policy.db` or `postgresql://…`" in error.message


def test_a_server_that_is_not_there_is_unreachable_and_its_password_untold() -> None:
    """Messages of opening go to terminals and logs."""
    url = "postgres://ada:s3cret@127.0.0.1:9/facts"
    for act in (Store.open, migrate):
        error = refusal(lambda act=act: act(url))
        assert error.code == "store_unreachable"
        assert "`postgresql://ada:***@127.0.0.1:9/facts` cannot be reached" in error.message
        assert "s3cret" not in error.message


def test_a_database_that_the_server_lacks_is_unreachable(postgres_server: object) -> None:
    """The server's own words say which."""
    url = postgres_server.set(database="nowhere").render_as_string(hide_password=False)  # type: ignore[attr-defined]
    error = refusal(lambda: Store.open(url))
    assert error.code == "store_unreachable"
    assert re.search(r"nowhere.*does not exist", error.message)


def test_a_postgresql_database_must_be_utf8(postgres_server: object) -> None:
    """Else a name in another script would be refused, or come back changed."""
    with postgres_database(postgres_server, encoding="LATIN1") as url:  # type: ignore[arg-type]
        error = refusal(lambda: migrate(url))
        assert error.code == "store_unfit"
        assert "is encoded in LATIN1; create it with `ENCODING 'UTF8'`" in error.message
        assert rows_of(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_migrations_come_with_the_code() -> None:
    """In a checkout they stand beside the package."""
    assert (migrations_folder() / "versions").is_dir()
    assert not (migrations_folder() / "__init__.py").exists()
