"""The fact base: all facts at one revision, immutable, packed, read in place from a buffer that many processes share.

A look-up hashes the name of a row (its table and key), probes a table of eight-byte entries, and reads one row; nothing
else of the buffer is touched, and nothing is kept. Who opens files and checks their hashes: `service/snapshot_file.py`.

 bytes                     what
 8                         `_MAGIC`
 …                         rows, table by table: length, CRC-32, length of the name, name, content
 8 x slots                 the hash table: place of a row, and 24 bits of its name's hash; 0 is free
 …                         the contents (`Contents`), as msgpack
 8                         where the contents begin

Source: docs/decisions/0015-facts-in-a-file.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Final, ParamSpec, TypeAlias, TypeVar

import msgspec

from policy_service.engine.base_rows import (
    FORMS,
    LAYOUT,
    OF_TEAM,
    STANDING,
    UserRow,
    Words,
    identity,
    read_identity,
    read_key,
    read_texts,
    read_user_row,
)
from policy_service.engine.fold import Verifiers
from policy_service.model.errors import StoreError
from policy_service.model.facts import ApiKey, Fact, Key, Membership, RoleBinding

if TYPE_CHECKING:
    from mmap import mmap

Body: TypeAlias = "bytes | mmap"
"""What a base is read from. A slice of it is `bytes`, made in one step: by a memoryview it takes four times as long."""
P = ParamSpec("P")
T = TypeVar("T")

MAGIC: Final = b"facts 1\n"
FRAME: Final = Struct("<IIH")
"""Before each row: length of its content, CRC-32 of name and content, length of its name."""
NO_USER: Final = UserRow(None, (), ())
PLACE: Final = Struct("<Q")
PLACE_BITS: Final = 40
PLACES: Final = (1 << PLACE_BITS) - 1
"""An entry's low 40 bits: where its row begins. The others: of the hash of its name, see `mark_of`."""


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """Where the rows of one table are."""

    start: int
    end: int
    count: int


class Contents(msgspec.Struct, frozen=True, array_like=True):
    """What a base is.

    Args:
        layout: see `base_rows.LAYOUT`.
        revision, chain_hash: of the last change that its facts have seen.
        modulus: a secret prime of 62 bits: names are hashed by what is left of them when divided by it.
        table, slots: where the hash table begins, and how many entries it has.
    """

    layout: str
    revision: int
    chain_hash: str
    modulus: int
    table: int
    slots: int
    extents: dict[str, Extent]
    words: Words


_CONTENTS: Final = msgspec.msgpack.Decoder(Contents)


def hash_of(name: bytes, modulus: int) -> int:
    """A hash that nobody can make collide who does not know the modulus, at a sixth of the cost of a keyed digest.

    Names are chosen by tenants. Two that collide differ by a multiple of the prime: of 2^56 primes at most a few dozen
    divide any one difference. Source: Karp and Rabin, Efficient randomized pattern-matching algorithms (1987).
    """
    return int.from_bytes(name, "little") % modulus


class FactBase:
    """All facts at a revision, over a buffer that does not change.

    Attributes:
        revision, chain_hash: of the last change that the facts have seen.
        contents: what is where; for those who make the next base.

    Raises:
        StoreError: `snapshot_unfit`, the buffer holds no base, or one of another layout.

    INVARIANT: a fold that goes on from a base is the fold of all changes (test_base: fold from a base).
    """

    __slots__ = (
        "_body",
        "_modulus",
        "_slots",
        "_table",
        "_table_start",
        "_words",
        "chain_hash",
        "contents",
        "revision",
    )

    def __init__(self, body: Body) -> None:
        self.contents = contents = _contents(body)
        self._body = body
        self._modulus = contents.modulus
        self._slots = contents.slots
        self._table_start = contents.table
        table_end = contents.table + PLACE.size * contents.slots
        self._table = memoryview(body)[contents.table : table_end].cast("Q")
        self._words = contents.words
        self.revision = contents.revision
        self.chain_hash = contents.chain_hash

    def __len__(self) -> int:
        """How many rows there are."""
        return sum(extent.count for extent in self.contents.extents.values())

    def fact(self, entity: str, key: Key) -> Fact | None:
        """One fact by entity name and key. Cost: 2 to 5 µs."""
        if entity == ApiKey.entity:
            found = self.api_key(key[0])
            return found[0] if found else None
        if entity == Membership.entity:
            workspace, team, user = key
            is_there = team in self.standing_of(workspace, user).teams
            return Membership(workspace=workspace, team=team, user=user) if is_there else None
        form = FORMS.get(entity)
        row = None if form is None else self._row(identity(entity, key))
        return None if form is None or row is None else read(form.read, row, key)

    def api_key(self, key_id: str) -> tuple[ApiKey, Verifiers] | None:
        """One key by its public id, and the verifiers of its secrets."""
        row = self.key_row(key_id)
        return None if row is None else read(read_key, row, key_id, self._words)

    def key_row(self, key_id: str) -> bytes | None:
        """The row of a key, packed; the words that it is to be read with are in `contents`."""
        return self._row(identity(ApiKey.entity, (key_id,)))

    def standing_of(self, workspace: str, user: str) -> UserRow:
        """What a user's grants rest on."""
        row = self._row(identity(STANDING, (workspace, user)))
        return NO_USER if row is None else read(read_user_row, row)

    def bindings_of_team(self, workspace: str, team: str) -> Iterator[RoleBinding]:
        """The bindings that name a team."""
        row = self._row(identity(OF_TEAM, (workspace, team)))
        return self.bindings(workspace, () if row is None else read(read_texts, row))

    def bindings(self, workspace: str, ids: Iterable[str]) -> Iterator[RoleBinding]:
        """The bindings with these ids, which rows of this base name."""
        for binding_id in ids:
            binding = self.fact(RoleBinding.entity, (workspace, binding_id))
            if not isinstance(binding, RoleBinding):
                raise damaged()
            yield binding

    def facts(self, entity: str) -> Iterator[Fact]:
        """Every fact of one entity."""
        for name, row in self.rows(STANDING if entity == Membership.entity else entity):
            _, key = read_identity(name)
            if entity == ApiKey.entity:
                yield read(read_key, row, key[0], self._words)[0]
            elif entity == Membership.entity:
                yield from (
                    Membership(workspace=key[0], team=team, user=key[1]) for team in read(read_user_row, row).teams
                )
            else:
                yield read(FORMS[entity].read, row, key)

    def rows(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """Name and content of every row of a table."""
        extent = self.contents.extents.get(table)
        place, end = (0, 0) if extent is None else (extent.start, extent.end)
        while place < end:
            name, row, place = self._at(place)
            yield name, row

    def _row(self, name: bytes) -> bytes | None:
        """The content of the row with this name. Cost: about 1 µs."""
        digest = hash_of(name, self._modulus)
        slots, table, mark = self._slots, self._table, digest >> 38
        place = digest % slots
        while entry := table[place]:
            if entry >> PLACE_BITS == mark:
                found, row, _ = self._at(entry & PLACES)
                if found == name:
                    return row
            place = place + 1 if place + 1 < slots else 0
        return None

    def _at(self, place: int) -> tuple[bytes, bytes, int]:
        """Name and content of the row at a place, and where the next one begins.

        INVARIANT: what was altered since the file was checked is never read as a fact (test_base: a flipped byte).
        """
        if place + FRAME.size > self._table_start:
            raise damaged()
        length, crc, named = FRAME.unpack_from(self._body, place)
        start = place + FRAME.size
        text = self._body[start : start + named + length]
        if zlib.crc32(text) != crc:
            raise damaged()
        return text[:named], text[named:], start + named + length


def _contents(body: Body) -> Contents:
    """What the buffer says of itself."""
    if len(body) < len(MAGIC) + PLACE.size or body[: len(MAGIC)] != MAGIC:
        raise unfit("it is no fact base of this version")
    (start,) = PLACE.unpack(body[len(body) - PLACE.size :])
    try:
        contents = _CONTENTS.decode(body[start : len(body) - PLACE.size])
    except msgspec.MsgspecError as error:
        raise unfit("its contents cannot be read") from error
    if contents.layout != LAYOUT:
        raise unfit("its facts have other fields than those of this version")
    if not 0 < contents.table < contents.table + PLACE.size * contents.slots <= start or contents.modulus < 1:
        raise unfit("its contents contradict each other")
    return contents


def read(reader: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """What a reader makes of a row."""
    try:
        return reader(*arguments, **more)
    except (msgspec.MsgspecError, IndexError, ValueError) as error:
        raise damaged() from error


def unfit(why: str) -> StoreError:
    """The error for a buffer that holds no base for this program."""
    return StoreError("snapshot_unfit", f"this snapshot file cannot be used: {why}")


def damaged() -> StoreError:
    """The error for a row that was altered after the file was checked."""
    return StoreError(
        "snapshot_damaged",
        "the snapshot file was altered under this process; look after its disk, remove `snapshot/` and restart",
    )
