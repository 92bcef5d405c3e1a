"""Migrations: bringing a database up to this code, and refusing one that is not."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

import policy_service
from policy_service.model.errors import StoreError
from policy_service.store.engines import create_file, for_writing, is_sqlite, make_engine, parse_url, place_of
from policy_service.store.errors import surfacing

_LOCK_TIMEOUT_S = 60.0
_ADVISORY_LOCK = 7_215_044_301
"""Held while migrating on PostgreSQL, so that two migrations at once are one after the other. Any number will do."""


def migrate(url: str) -> None:
    """Bring a database up to this code; a SQLite file is made, mode 0600. Idempotent, whole or not at all.

    Raises:
        StoreError: `migration_ahead`, `store_unfit` (not UTF-8), and as `Store.open` does.
    """
    parsed = parse_url(url)
    if is_sqlite(parsed):
        create_file(parsed)
    engine = make_engine(parsed, lock_timeout_s=_LOCK_TIMEOUT_S)
    try:
        with surfacing(place_of(parsed)), for_writing(engine).begin() as connection:
            if not is_sqlite(parsed):
                _prepare_postgres(connection, place_of(parsed))
            if _state(connection, place_of(parsed)) is not None:
                config = _config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    finally:
        engine.dispose()


def check_migrations(connection: Connection, place: str) -> None:
    """Refuse a database whose tables are not those of this code.

    Raises:
        StoreError: `migration_behind`, `migration_ahead`.
    """
    behind = _state(connection, place)
    if behind is not None:
        raise StoreError("migration_behind", f"{place} {behind}; run `policy-service init`")


def migrations_folder() -> Path:
    """The migration scripts: `alembic/` in a checkout, or inside an installed package."""
    package = Path(policy_service.__file__).parent
    for folder in (package / "shipped" / "alembic", package.parent / "alembic"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError("migration_missing", "the migration scripts are not installed; install policy-service anew")


def _state(connection: Connection, place: str) -> str | None:
    """What is missing, in words for after the database's name; None when nothing is.

    Raises:
        StoreError: `migration_ahead`.
    """
    scripts = ScriptDirectory.from_config(_config())
    there = MigrationContext.configure(connection).get_current_revision()
    wanted = scripts.get_current_head()
    if there == wanted:
        return None
    if there is None:
        return "is not set up"
    try:
        scripts.get_revision(there)
    except CommandError:
        raise StoreError(
            "migration_ahead",
            f"{place} has migration `{there}`, which this version does not know; upgrade policy-service",
        ) from None
    return f"has migration `{there}`, this version needs `{wanted}`"


def _config() -> Config:
    config = Config()
    # The option goes through ConfigParser, which reads `%` as its own.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def _prepare_postgres(connection: Connection, place: str) -> None:
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise StoreError("store_unfit", f"{place} is encoded in {encoding}; create it with `ENCODING 'UTF8'`")
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK})
