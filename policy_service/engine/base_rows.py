"""How facts stand in a fact base: rows without their keys, and words that many rows share.

A row is a msgpack array. The key of its fact is not in it: it is found by that. What many keys have alike (workspace,
scopes, CIDRs, labels) is a number in the row and stands once in the words, where there is room for it; else in the row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec.structs import fields

from policy_service.engine.fold import Verifiers
from policy_service.model.canonical import canonical_text, sha256_hex
from policy_service.model.facts import ENTITIES, AllowlistEntry, ApiKey, Fact, Key, SecretSlot

T = TypeVar("T")
V = TypeVar("V")

STANDING: Final = "standing_of_user"
"""Of a user: all that decisions ask, in one row (`UserRow`). These rows are the memberships: no others tell them."""
OF_TEAM: Final = "bindings_of_team"
"""Of a team: the ids of the bindings that name it."""
TABLES: Final = (*ENTITIES, STANDING, OF_TEAM)
"""What there are rows of; a row's tag is a place in this list."""
TAGS: Final[Mapping[str, int]] = {name: tag for tag, name in enumerate(TABLES)}

WORDS: Final = 4096
"""So many words of each sort: every worker has its own copy of them."""

Integer = int | None
_ENCODE: Final = msgspec.msgpack.Encoder().encode


class SlotRow(msgspec.Struct, frozen=True, array_like=True):
    """A secret. `created_at` None: at the same time as its key."""

    number: int
    pepper: int | str
    verifier: bytes | None
    created_at: Integer
    expires_at: Integer


class KeyRow(msgspec.Struct, frozen=True, array_like=True):
    """An API key with its secrets' verifiers. An integer in place of a text, list or map: a word."""

    workspace: int | str
    is_user: bool
    principal: str
    scopes: int | tuple[str, ...]
    created_at: int
    slots: tuple[SlotRow, ...]
    not_before: Integer
    expires_at: Integer
    revoked_at: Integer
    revoke_reason: str | None
    cidrs: int | tuple[str, ...]
    labels: int | dict[str, str]


class UserRow(msgspec.Struct, frozen=True, array_like=True):
    """What a user's grants rest on.

    Args:
        suspended: None where there is no such user.
        teams: of which it is a direct member.
        bindings: ids of those that name it.
    """

    suspended: bool | None
    teams: tuple[str, ...]
    bindings: tuple[str, ...]


class Words(msgspec.Struct, array_like=True):
    """The shared words, by number."""

    texts: list[str] = []
    lists: list[tuple[str, ...]] = []
    maps: list[dict[str, str]] = []


class WordMaker:
    """Gives words their numbers, those of an earlier base first: its rows stay as they are."""

    def __init__(self, words: Words) -> None:
        self._texts = {text: number for number, text in enumerate(words.texts)}
        self._lists = {one: number for number, one in enumerate(words.lists)}
        self._maps = {tuple(one.items()): number for number, one in enumerate(words.maps)}

    def text(self, text: str) -> int | str:
        """The number of a text, or itself where there is no more room."""
        return _numbered(self._texts, text, text)

    def list(self, one: tuple[str, ...]) -> int | tuple[str, ...]:
        """The number of a list of texts, or itself."""
        return _numbered(self._lists, one, one)

    def map(self, one: dict[str, str]) -> int | dict[str, str]:
        """The number of a map, or itself."""
        return _numbered(self._maps, tuple(one.items()), one)

    def words(self) -> Words:
        """All of them."""
        return Words([*self._texts], [*self._lists], [dict(items) for items in self._maps])


def _numbered(numbers: dict[T, int], name: T, value: V) -> int | V:
    number = numbers.get(name)
    if number is None:
        if len(numbers) >= WORDS:
            return value
        number = numbers[name] = len(numbers)
    return number


def identity(table: str, key: Key) -> bytes:
    """The name of a row: its table and key, unmistakably."""
    return _ENCODE((TAGS[table], *key))


def key_row(fact: ApiKey, verifiers: Verifiers, words: WordMaker) -> bytes:
    """The row of an API key."""
    slots = tuple(
        SlotRow(
            slot.number,
            words.text(slot.pepper_id),
            verifiers.get(slot.number),
            None if slot.created_at == fact.created_at else slot.created_at,
            slot.expires_at,
        )
        for slot in fact.slots
    )
    row = KeyRow(
        words.text(fact.workspace),
        fact.principal_kind == "user",
        fact.principal_id,
        words.list(fact.scopes),
        fact.created_at,
        slots,
        fact.not_before,
        fact.expires_at,
        fact.revoked_at,
        fact.revoke_reason,
        words.list(fact.cidrs),
        words.map(fact.labels),
    )
    return _ENCODE(row)


read_key_row: Final = msgspec.msgpack.Decoder(KeyRow).decode
read_user_row: Final = msgspec.msgpack.Decoder(UserRow).decode


def write_user_row(row: UserRow) -> bytes:
    """The row as it stands in a base."""
    return _ENCODE(row)


def read_key(row: bytes, key_id: str, words: Words) -> tuple[ApiKey, Verifiers]:
    """The API key and its verifiers.

    Cost: some 3 µs. Texts, lists and maps that are words are shared with all other keys that have them.

    Raises:
        msgspec.MsgspecError, IndexError: this is no such row.
    """
    found = read_key_row(row)
    created_at, texts, lists = found.created_at, words.texts, words.lists
    workspace, scopes, cidrs, labels = found.workspace, found.scopes, found.cidrs, found.labels
    slots = tuple(
        SecretSlot(
            number=slot.number,
            pepper_id=texts[slot.pepper] if isinstance(slot.pepper, int) else slot.pepper,
            created_at=created_at if slot.created_at is None else slot.created_at,
            expires_at=slot.expires_at,
        )
        for slot in found.slots
    )
    fact = ApiKey(
        id=key_id,
        workspace=texts[workspace] if isinstance(workspace, int) else workspace,
        principal_kind="user" if found.is_user else "service",
        principal_id=found.principal,
        scopes=lists[scopes] if isinstance(scopes, int) else scopes,
        slots=slots,
        created_at=created_at,
        not_before=found.not_before,
        expires_at=found.expires_at,
        revoked_at=found.revoked_at,
        revoke_reason=found.revoke_reason,
        cidrs=lists[cidrs] if isinstance(cidrs, int) else cidrs,
        labels=words.maps[labels] if isinstance(labels, int) else labels,
    )
    return fact, {slot.number: slot.verifier for slot in found.slots if slot.verifier is not None}


class RowForm:
    """How the facts of one entity become rows and facts again: the fields that are not in the key, in order."""

    def __init__(self, entity: type[Fact]) -> None:
        self.entity = entity
        form = [(field.name, field.type) for field in fields(entity) if field.name not in entity.key_fields]
        self._names = tuple(name for name, _ in form)
        self._row = msgspec.defstruct(f"{entity.__name__}Row", form, array_like=True, frozen=True)
        self._decode = msgspec.msgpack.Decoder(self._row).decode

    def write(self, fact: Fact) -> bytes:
        """The row of a fact."""
        values = [getattr(fact, name) for name in self._names]
        try:
            return _ENCODE(values)
        except OverflowError:
            # An attribute may be any integer, and msgpack has none of more than 64 bits. A row begins with no `[`.
            return json.dumps(msgspec.to_builtins(values)).encode()

    def read(self, row: bytes, key: Key) -> Fact:
        """The fact with this key.

        Raises:
            msgspec.MsgspecError: this is no row of the entity.
        """
        found = msgspec.convert(json.loads(row), self._row) if row[:1] == b"[" else self._decode(row)
        values = dict(zip(self.entity.key_fields, key, strict=True))
        values.update((name, getattr(found, name)) for name in self._names)
        return self.entity(**values)


FORMS: Final[Mapping[str, RowForm]] = {
    name: RowForm(entity) for name, entity in ENTITIES.items() if name not in ("api_key", "membership")
}
_TEXTS: Final = msgspec.msgpack.Decoder(tuple[str, ...])


def write_texts(texts: tuple[str, ...]) -> bytes:
    """The row of an index: some names."""
    return _ENCODE(texts)


def read_texts(row: bytes) -> tuple[str, ...]:
    """The names in such a row."""
    return _TEXTS.decode(row)


def read_identity(name: bytes) -> tuple[str, Key]:
    """The table and key that a row is named by."""
    tag, *key = cast("list[Any]", msgspec.msgpack.decode(name))
    return TABLES[tag], tuple(key)


def _layout() -> str:
    """A name for the form of all rows: a base whose facts had other fields is not read, but made anew."""
    structs: list[type[msgspec.Struct]] = [
        *ENTITIES.values(),
        AllowlistEntry,
        SecretSlot,
        SlotRow,
        KeyRow,
        UserRow,
        Words,
    ]
    told = [[one.__name__, *(f"{field.name}: {field.type}" for field in fields(one))] for one in structs]
    return sha256_hex(canonical_text([list(TABLES), told]))


LAYOUT: Final = _layout()
