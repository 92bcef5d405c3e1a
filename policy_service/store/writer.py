"""Applying a change to the tables, and appending it to the feed. Everything here runs under the counter's lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Executable, Select, bindparam, delete, insert, select, true, update

from policy_service.model.canonical import canonical_text
from policy_service.model.changes import Change, Effect
from policy_service.model.errors import StoreError
from policy_service.model.facts import ENTITIES, Fact
from policy_service.store.reader import TableReader
from policy_service.store.rows import change_of, change_row, json_form, key_is, parameters_of
from policy_service.store.tables import CHANGES, COUNTER, TABLES


def _feed() -> Select[Any]:
    last = CHANGES.c.revision
    some = select(CHANGES).where(last > bindparam("after")).order_by(last).limit(bindparam("most")).subquery()
    joined = select(COUNTER.c.revision.label("head"), some).outerjoin_from(COUNTER, some, true())
    return joined.order_by(some.c.revision)


_FEED: Final = _feed()
"""Made once: to make it takes longer than to run it, and every worker runs it for every change."""


def read_counter(connection: Connection, *, lock: bool = False) -> tuple[int, str]:
    """The last revision and its hash, as this transaction sees them."""
    query = select(COUNTER.c.revision, COUNTER.c.hash)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise _no_counter()
    return row.revision, row.hash


def read_changes(connection: Connection, after: int, limit: int) -> tuple[int, list[Change]]:
    """The last revision, and up to `limit` changes after one, in order: in one statement, so of one state."""
    rows = [dict(row) for row in connection.execute(_FEED, {"after": after, "most": limit}).mappings()]
    if not rows:
        raise _no_counter()
    heads = [row.pop("head") for row in rows]
    return heads[0], [change_of(row) for row in rows if row["revision"] is not None]


def take_counter(connection: Connection) -> tuple[int, str]:
    """Become the one writer until this transaction ends. The last revision and its hash.

    It must be the transaction's first statement: what is read after it is the newest, and stays so.
    """
    return read_counter(connection, lock=True)


def apply(connection: Connection, change: Change) -> None:
    """Apply a change's effects to the tables, in order.

    Raises:
        StoreError: `store_diverged`, an effect's `before` is not what is stored.
        ValueError: an effect has not the form of its entity.
    """
    reader = TableReader(connection)
    for run in _runs(change.effects):
        if len(run) > 1:
            _insert(connection, reader, run)
        else:
            _apply(connection, reader, run[0])


def append(connection: Connection, change: Change) -> None:
    """Append a change to the feed, and move the counter."""
    _write(connection, insert(CHANGES), change_row(change))
    connection.execute(update(COUNTER).values(revision=change.revision, hash=change.hash))


def _runs(effects: Iterable[Effect]) -> Iterator[list[Effect]]:
    """The effects in order: new facts of one entity that follow each other together, every other one by itself."""
    for (entity, is_new), run in groupby(effects, lambda effect: (effect.entity, effect.before is None)):
        together = list(run)
        if is_new and entity in ENTITIES and all(effect.after is not None for effect in together):
            yield together
        else:
            yield from ([effect] for effect in together)


def _insert(connection: Connection, reader: TableReader, run: Sequence[Effect]) -> None:
    """Make many facts of one entity: two statements for hundreds of them, not two for each."""
    entity = ENTITIES[run[0].entity]
    keys = {effect.key for effect in run}
    there = reader.present(entity, keys)
    if there or len(keys) < len(run):
        # One by one, so that the first that is there already is named.
        for effect in run:
            _apply(connection, reader, effect)
    else:
        _write(connection, insert(TABLES[entity]), [_row(entity, effect) for effect in run])


def _apply(connection: Connection, reader: TableReader, effect: Effect) -> None:
    if effect.entity not in ENTITIES:
        raise ValueError(f"there is no entity `{effect.entity}`")
    if effect.before is None and effect.after is None:
        raise ValueError("an effect must set or remove something")
    entity = ENTITIES[effect.entity]
    table = TABLES[entity]
    stored = reader.get(entity, effect.key)
    if canonical_text(effect.before) != canonical_text(None if stored is None else json_form(stored)):
        raise _diverged(effect)
    here, key = key_is(entity, table), parameters_of(entity, effect.key)
    if effect.after is None:
        connection.execute(delete(table).where(here), key)
        return
    row = _row(entity, effect)
    if stored is None:
        _write(connection, insert(table), row)
    else:
        _write(connection, update(table).where(here), row | key)


def _row(entity: type[Fact], effect: Effect) -> dict[str, Any]:
    fact = msgspec.convert(effect.after, entity)
    if fact.key() != effect.key:
        raise ValueError(f"an effect on `{effect.entity}` has another key than its fact")
    return json_form(fact)


def _write(connection: Connection, statement: Executable, rows: dict[str, Any] | list[dict[str, Any]]) -> None:
    # PostgreSQL refuses what SQLite takes (NUL in text) and SQLite's driver fails on large numbers in its own way.
    values = [row.values() for row in ([rows] if isinstance(rows, dict) else rows)]
    if any("\0" in value for value in chain.from_iterable(values) if type(value) is str):
        raise StoreError("store_refused", "the database refused the change (a text holds NUL)")
    try:
        connection.execute(statement, rows)
    except OverflowError as error:
        raise StoreError("store_refused", "the database refused the change (a number is too large)") from error


def _no_counter() -> StoreError:
    return StoreError("store_damaged", "the database has lost its counter; restore it from a backup")


def _diverged(effect: Effect) -> StoreError:
    return StoreError(
        "store_diverged",
        f"`{effect.entity}` `{'/'.join(effect.key)}` is not as the change says it was; the tables were edited by hand",
        {"entity": effect.entity, "key": list(effect.key)},
    )
