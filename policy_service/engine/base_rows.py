"""How facts stand in a fact base: rows that are checked and read in one step each, and words that many rows share.

A row is one msgpack array. It begins with the key of its fact, by which it is recognized, and ends with the CRC-32 of
all before it. What many keys have alike stands once in the words, where there is room for it; else in the row.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import fields

from policy_service.engine.fold import Verifiers
from policy_service.model.canonical import canonical_text, sha256_hex
from policy_service.model.facts import ENTITIES, AllowlistEntry, ApiKey, Fact, Key, SecretSlot

STANDING: Final = "standing_of_user"
"""Of a user: all that decisions ask, in one row (`UserRow`). These rows are the memberships: no others tell them."""
OF_TEAM: Final = "bindings_of_team"
"""Of a team: the ids of the bindings that name it."""
TABLES: Final = (*ENTITIES, STANDING, OF_TEAM)
"""What there are rows of."""

WORDS: Final = 4096
"""So many words of each sort: every worker has its own copy of them."""

WHOLE: Final = 0x2144DF1C
"""What the CRC-32 of a text comes to that ends with its own CRC-32: the rest that every such text leaves."""

Integer = int | None
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_UINT_32: Final = b"\xce"


class Row(msgspec.Struct, array_like=True, gc=False):
    """A row of any entity but keys.

    Args:
        id: the key of its fact.
        content: see `RowForm`, `write_user_row`, `write_texts`.
        check: the CRC-32, its bytes in reverse order: it is for the reader of bytes.
    """

    id: tuple[str, ...]
    content: bytes
    check: int = 0


class SlotRow(msgspec.Struct, frozen=True, array_like=True):
    """A secret. `created_at` None: at the same time as its key."""

    number: int
    pepper_id: str
    verifier: bytes | None
    created_at: Integer
    expires_at: Integer


class CommonRow(msgspec.Struct, frozen=True, array_like=True):
    """What many keys have alike.

    Args:
        slot, pepper_id: of the only secret, which is as old as its key and ends with it; else told by `MoreRow`.
    """

    workspace: str
    is_user: bool
    scopes: tuple[str, ...]
    cidrs: tuple[str, ...]
    labels: dict[str, str]
    slot: int
    pepper_id: str


class MoreRow(msgspec.Struct, frozen=True, array_like=True):
    """What few keys have. None for slots and labels: as the CommonRow says."""

    slots: tuple[SlotRow, ...] | None
    labels: dict[str, str] | None
    not_before: Integer
    expires_at: Integer
    revoked_at: Integer
    revoke_reason: str | None


NO_MORE: Final = MoreRow(None, None, None, None, None, None)


class KeyRow(msgspec.Struct, array_like=True, gc=False):
    """An API key with its secrets' verifiers.

    Args:
        common_row, standing_row: the numbers of words. `standing_row` None: not known here, ask for the user's row.
        verifier: of the only secret.
        more: None: nothing more is to be told.
        check: as in `Row`.

    INVARIANT: `standing_row` never differs from the user's own row (test_base: what a key says of its user).
    """

    id: str
    common_row: int | CommonRow
    principal_id: str
    standing_row: int | None
    created_at: int
    verifier: bytes | None
    more: MoreRow | None = None
    check: int = 0


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


class StandingRow(msgspec.Struct, frozen=True, array_like=True):
    """What the grants of users rest on who have no bindings of their own: many are alike."""

    workspace: str
    suspended: bool
    teams: tuple[str, ...]


class Words(msgspec.Struct, array_like=True):
    """The shared words, by number."""

    common: list[CommonRow] = []
    standings: list[StandingRow] = []


class WordMaker:
    """Gives words their numbers, those of an earlier base first: its rows stay as they are."""

    def __init__(self, words: Words) -> None:
        self._words = Words([*words.common], [*words.standings])
        self._common = {_ENCODE(row): number for number, row in enumerate(words.common)}
        self._standings = {row: number for number, row in enumerate(words.standings)}

    def common(self, row: CommonRow, room: int = WORDS) -> int | None:
        """The number of a row; None where there is no room for it among so many."""
        packed = _ENCODE(row)
        number = self._common.get(packed)
        if number is None and len(self._common) < room:
            number = self._common[packed] = len(self._common)
            self._words.common.append(row)
        return number

    def standing(self, workspace: str, user: UserRow) -> int | None:
        """The number of what a user's grants rest on; None where it has bindings, is not there, or finds no room."""
        if user.suspended is None or user.bindings:
            return None
        row = StandingRow(workspace, user.suspended, user.teams)
        number = self._standings.get(row)
        if number is None and len(self._standings) < WORDS:
            number = self._standings[row] = len(self._standings)
            self._words.standings.append(row)
        return number

    def words(self) -> Words:
        """All of them."""
        return self._words


def checked(row: Row | KeyRow) -> bytes:
    """A row as it stands in a base."""
    row.check = 0
    text = _ENCODE(row)[:-1] + _UINT_32
    return text + zlib.crc32(text).to_bytes(4, "little")


def key_bytes(key: Key) -> bytes:
    """What the key of a fact is hashed by, unmistakably."""
    return _ENCODE(key)


def key_row(fact: ApiKey, verifiers: Verifiers, standing: int | None, words: WordMaker) -> KeyRow:
    """The row of an API key. `standing`: of its user, see `WordMaker.standing`."""
    first = fact.slots[0] if fact.slots else None
    is_plain = first is not None and fact.slots == (
        SecretSlot(number=first.number, pepper_id=first.pepper_id, created_at=fact.created_at),
    )
    slot, pepper_id = (first.number, first.pepper_id) if first is not None and is_plain else (0, "")
    is_user = fact.principal_kind == "user"
    common = CommonRow(fact.workspace, is_user, fact.scopes, fact.cidrs, fact.labels, slot, pepper_id)
    # Labels may be different for every key: half of the room is for the rest.
    number, labels = words.common(common, WORDS // 2 if fact.labels else WORDS), None
    if number is None and fact.labels:
        common, labels = msgspec.structs.replace(common, labels={}), fact.labels
        number = words.common(common)
    more = MoreRow(
        None if is_plain else _slot_rows(fact, verifiers),
        labels,
        fact.not_before,
        fact.expires_at,
        fact.revoked_at,
        fact.revoke_reason,
    )
    return KeyRow(
        fact.id,
        common if number is None else number,
        fact.principal_id,
        standing,
        fact.created_at,
        verifiers.get(slot) if is_plain else None,
        None if more == NO_MORE else more,
    )


def _slot_rows(fact: ApiKey, verifiers: Verifiers) -> tuple[SlotRow, ...]:
    return tuple(
        SlotRow(
            slot.number,
            slot.pepper_id,
            verifiers.get(slot.number),
            None if slot.created_at == fact.created_at else slot.created_at,
            slot.expires_at,
        )
        for slot in fact.slots
    )


read_row: Final = msgspec.msgpack.Decoder(Row).decode
read_key_row: Final = msgspec.msgpack.Decoder(KeyRow).decode
read_user_row: Final = msgspec.msgpack.Decoder(UserRow).decode


def write_user_row(row: UserRow) -> bytes:
    """The row as it stands in a base."""
    return _ENCODE(row)


def common_of(row: KeyRow, words: Words) -> CommonRow:
    """What a key has alike with others. Raises IndexError where there is no such word."""
    return words.common[row.common_row] if isinstance(row.common_row, int) else row.common_row


def slots_of(row: KeyRow, common: CommonRow) -> tuple[SlotRow, ...]:
    """A key's secrets."""
    if row.more is not None and row.more.slots is not None:
        return row.more.slots
    return (SlotRow(common.slot, common.pepper_id, row.verifier, None, None),)


def read_key(row: KeyRow, common: CommonRow) -> tuple[ApiKey, Verifiers]:
    """The API key and its verifiers. Cost: some 2 µs. What is shared among keys is so in the facts too."""
    more, rows = row.more or NO_MORE, slots_of(row, common)
    slots = tuple(
        SecretSlot(
            number=slot.number,
            pepper_id=slot.pepper_id,
            created_at=row.created_at if slot.created_at is None else slot.created_at,
            expires_at=slot.expires_at,
        )
        for slot in rows
    )
    fact = ApiKey(
        id=row.id,
        workspace=common.workspace,
        principal_kind="user" if common.is_user else "service",
        principal_id=row.principal_id,
        scopes=common.scopes,
        slots=slots,
        created_at=row.created_at,
        not_before=more.not_before,
        expires_at=more.expires_at,
        revoked_at=more.revoked_at,
        revoke_reason=more.revoke_reason,
        cidrs=common.cidrs,
        labels=common.labels if more.labels is None else more.labels,
    )
    return fact, {slot.number: slot.verifier for slot in rows if slot.verifier is not None}


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


def _layout() -> str:
    """A name for the form of all rows: a base whose facts had other fields is not read, but made anew."""
    structs: list[type[msgspec.Struct]] = [
        *ENTITIES.values(),
        AllowlistEntry,
        SecretSlot,
        Row,
        SlotRow,
        CommonRow,
        MoreRow,
        KeyRow,
        UserRow,
        StandingRow,
        Words,
    ]
    told = [[one.__name__, *(f"{field.name}: {field.type}" for field in fields(one))] for one in structs]
    return sha256_hex(canonical_text([list(TABLES), told]))


LAYOUT: Final = _layout()
