"""Facts as rows and rows as facts, for every entity alike: columns are named as fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, RowMapping, Table, and_, bindparam, tuple_

from policy_service.model.changes import Change, Effect
from policy_service.model.errors import StoreError
from policy_service.model.facts import Fact, Key

F = TypeVar("F", bound=Fact)


def json_form(fact: Fact) -> dict[str, Any]:
    """A fact as plain JSON values: what effects carry."""
    form: dict[str, Any] = msgspec.to_builtins(fact)
    return form


def fact_of(entity: type[F], row: RowMapping) -> F:
    """The fact that a row holds.

    Raises:
        StoreError: `store_damaged`, somebody wrote something else there.
    """
    try:
        return msgspec.convert(dict(row), entity)
    except msgspec.ValidationError as error:
        raise StoreError(
            "store_damaged", f"a row of `{entity.entity}` cannot be read ({error}); restore the store from a backup"
        ) from error


def key_is(entity: type[Fact], table: Table) -> ColumnElement[bool]:
    """The condition that picks one row, by the parameters that `parameters_of` names."""
    return and_(*(table.c[name] == bindparam(f"key_{name}") for name in entity.key_fields))


def parameters_of(entity: type[Fact], key: Key) -> dict[str, str]:
    """A key as parameters. One of another length is a bug of the caller: ValueError."""
    return {f"key_{name}": part for name, part in zip(entity.key_fields, key, strict=True)}


def key_after(entity: type[Fact], table: Table, key: Key) -> ColumnElement[bool]:
    """The condition that picks the rows past a key, in key order."""
    if len(key) != len(entity.key_fields):
        raise ValueError(f"a key of `{entity.entity}` has {len(entity.key_fields)} parts")
    return tuple_(*(table.c[name] for name in entity.key_fields)) > tuple_(*key)


def change_row(change: Change) -> dict[str, Any]:
    """A change as a row of `changes`. Effects are kept in the form that is hashed."""
    row = {name: getattr(change, name) for name in change.__struct_fields__}
    row["effects"] = [[effect.entity, list(effect.key), effect.before, effect.after] for effect in change.effects]
    return row


def change_of(row: Mapping[str, Any]) -> Change:
    """The change that a row of `changes` holds. Whether it is intact is for its reader to verify.

    Raises:
        StoreError: `store_damaged`, it has not the form of a change.
    """
    try:
        effects = tuple(Effect(entity, tuple(key), before, after) for entity, key, before, after in row["effects"])
    except (TypeError, ValueError) as error:
        raise StoreError(
            "store_damaged", f"change {row['revision']} cannot be read ({error}); restore the store from a backup"
        ) from error
    return Change(**{**dict(row), "effects": effects})
