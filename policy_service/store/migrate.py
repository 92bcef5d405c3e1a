"""Migrations: bringing a database up to this code, and refusing one that is not.

Alembic is imported where there is something to migrate or to explain: a server on a database that fits never needs it,
and it would take ten megabytes of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, inspect, text

import policy_service
from policy_service.model.errors import StoreError
from policy_service.store.engines import create_file, for_writing, is_sqlite, make_engine, parse_url, place_of
from policy_service.store.errors import surfacing

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0005"
"""The last migration; a test holds it to the scripts."""
_TABLE: Final = "alembic_version"
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
                from alembic import command  # noqa: PLC0415 - see above

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
    there = _revision(connection)
    if there == HEAD:
        return None
    if there is None:
        return "is not set up"
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above
    from alembic.util import CommandError  # noqa: PLC0415 - see above

    try:
        ScriptDirectory.from_config(_config()).get_revision(there)
    except CommandError:
        raise StoreError(
            "migration_ahead",
            f"{place} has migration `{there}`, which this version does not know; upgrade policy-service",
        ) from None
    return f"has migration `{there}`, this version needs `{HEAD}`"


def _revision(connection: Connection) -> str | None:
    """The migration that a database has, as Alembic notes it; None where it has none."""
    if not inspect(connection).has_table(_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar_one_or_none()  # noqa: S608 - a constant
    return found


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - see above

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
