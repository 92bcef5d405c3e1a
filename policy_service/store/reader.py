"""Reading facts within one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Column, Connection, Select, select, tuple_

from policy_service.model.canonical import sha256_hex
from policy_service.model.errors import StoreError
from policy_service.model.facts import Fact, Key
from policy_service.store.columns import Json
from policy_service.store.rows import fact_of, key_after, key_is, parameters_of
from policy_service.store.tables import BUNDLE_FILES, TABLES

F = TypeVar("F", bound=Fact)
T = TypeVar("T")

_KEYS_AT_ONCE: Final = 500
"""Far below both databases' limit on the parameters of a statement."""


class TableReader:
    """The facts as the transaction of one connection sees them. Of no use once that has ended."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, entity: type[F], key: Key) -> F | None:
        """The fact with this key, or None. Cost: one look-up in the primary key."""
        row = self._connection.execute(_by_key(entity), parameters_of(entity, key)).mappings().first()
        return None if row is None else fact_of(entity, row)

    def find(self, entity: type[F], *, after: Key | None = None, limit: int | None = None, **where: object) -> list[F]:
        """Facts whose fields equal `where` (None: is absent), in key order.

        Args:
            after: start with the first key past this one; it need not exist.
            limit: at most so many.

        Raises:
            ValueError: a name in `where` is not a field of the entity that can be compared.
        """
        table = TABLES[entity]
        query = select(table).order_by(*(table.c[name] for name in entity.key_fields)).limit(limit)
        for name, value in where.items():
            query = query.where(_column(entity, name) == value)
        if after is not None:
            query = query.where(key_after(entity, table, after))
        return [fact_of(entity, row) for row in self._connection.execute(query).mappings()]

    def present(self, entity: type[Fact], keys: Collection[Key]) -> set[Key]:
        """Those of the keys that some fact of the entity has. Cost: a look-up for each, a statement for hundreds."""
        table = TABLES[entity]
        columns = [table.c[name] for name in entity.key_fields]
        found: set[Key] = set()
        for some in batched(keys, _KEYS_AT_ONCE):
            wanted = select(*columns).where(tuple_(*columns).in_(some))
            found.update(tuple(row) for row in self._connection.execute(wanted))
        return found

    def bundle_files(self, digest: str) -> dict[str, str] | None:
        """The text of a stored bundle, by relative path; None when there is no such bundle.

        Raises:
            StoreError: `store_damaged`, the text is not what was stored.
        """
        wanted = select(BUNDLE_FILES.c.files, BUNDLE_FILES.c.content_sha256).where(BUNDLE_FILES.c.digest == digest)
        row = self._connection.execute(wanted).first()
        if row is None:
            return None
        if sha256_hex(row.files) != row.content_sha256:
            raise StoreError(
                "store_damaged", f"the files of bundle `{digest}` were altered; restore the store from a backup"
            )
        files: dict[str, str] = json.loads(row.files)
        return files

    def every(self) -> Iterator[Fact]:
        """Every fact, entity by entity, in key order."""
        for entity in TABLES:
            yield from self.find(entity)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter. (The standard library's needs Python 3.12.)"""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


@cache
def _by_key(entity: type[Fact]) -> Select[Any]:
    """The statement that looks one fact up: made once, for to make it takes longer than to run it."""
    table = TABLES[entity]
    return select(table).where(key_is(entity, table))


def _column(entity: type[Fact], name: str) -> Column[Any]:
    column = TABLES[entity].c.get(name)
    if column is None or isinstance(column.type, Json):
        raise ValueError(f"facts of `{entity.entity}` cannot be found by `{name}`")
    return column
