"""When keys were last used: a table beside the facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from sqlalchemy import Connection, select, text

from policy_service.store.tables import KEY_USES

BATCH: Final = 500
"""Rows written while others wait, and parameters of one query."""

# Both databases take this; a later use that is there already stays.
_UPSERT: Final = text(
    "INSERT INTO key_uses (key_id, last_used_at) VALUES (:key_id, :last_used_at) "
    "ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at "
    "WHERE excluded.last_used_at > key_uses.last_used_at"
)


def batches(uses: Mapping[str, int]) -> Iterable[list[dict[str, object]]]:
    """The rows to write, in key order, so that two writers wait for each other and never in a circle."""
    rows = iter([{"key_id": key_id, "last_used_at": at} for key_id, at in sorted(uses.items())])
    while batch := list(islice(rows, BATCH)):
        yield batch


def write_uses(connection: Connection, batch: list[dict[str, object]]) -> None:
    """Write one batch."""
    connection.execute(_UPSERT, batch)


def read_uses(connection: Connection, key_ids: Iterable[str]) -> dict[str, int]:
    """The last use of those keys that have one."""
    found: dict[str, int] = {}
    waiting = iter(key_ids)
    while batch := list(islice(waiting, BATCH)):
        query = select(KEY_USES.c.key_id, KEY_USES.c.last_used_at).where(KEY_USES.c.key_id.in_(batch))
        found.update((row.key_id, row.last_used_at) for row in connection.execute(query))
    return found
