"""The fact base: all facts at one revision, immutable, packed, read in place from a buffer that many processes share.

A look-up hashes the key of a fact, probes its table's entries of eight bytes, and reads one row; nothing else of the
buffer is touched, and nothing is kept. Who opens files and checks their hashes: `service/snapshot_file.py`.

 bytes                     what
 8                         `MAGIC`
 …                         rows, table by table: length, and the row (`base_rows`)
 …                         entries, table by table: of a row 16 bits of its key's hash, its place, its length; 0 is free
 …                         CRC-32 of each `BLOCK` entries
 …                         the contents (`Contents`), as msgpack
 8                         where the contents begin

Source: docs/decisions/0015-facts-in-a-file.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypeAlias, TypeVar

import msgspec

from policy_service.engine.base_rows import (
    FORMS,
    LAYOUT,
    OF_TEAM,
    STANDING,
    WHOLE,
    KeyRow,
    UserRow,
    Words,
    common_of,
    key_bytes,
    read_key,
    read_key_row,
    read_row,
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
K_co = TypeVar("K_co", bound=KeyRow, covariant=True)

MAGIC: Final = b"facts 2\n"
LENGTH: Final = Struct("<I")
NO_USER: Final = UserRow(None, (), ())
PLACE: Final = Struct("<Q")
ENTRY: Final = 8
BLOCK: Final = 64
"""Entries that are checked together, where one of them is to prove that there is no row."""

LENGTH_BITS: Final = 12
LENGTHS: Final = (1 << LENGTH_BITS) - 1
"""An entry's low 12 bits: the length of its row; 0 where that is longer, and stands before the row alone."""
PLACE_BITS: Final = 36
PLACES: Final = (1 << PLACE_BITS) - 1
"""The next 36: where its row begins, after its length. The others: of the hash of its key, see `mark_of`."""
MARK_SHIFT: Final = LENGTH_BITS + PLACE_BITS
_FROM_BYTES: Final = int.from_bytes
_CRC: Final = zlib.crc32


class Extent(msgspec.Struct, frozen=True, array_like=True):
    """Where one table is.

    Args:
        start, end, count: of its rows.
        entries, slots: where its entries begin, and how many there are: a power of two.
        checks: where their CRCs begin.
    """

    start: int
    end: int
    count: int
    entries: int
    slots: int
    checks: int


class Contents(msgspec.Struct, frozen=True, array_like=True):
    """What a base is.

    Args:
        layout: see `base_rows.LAYOUT`.
        revision, chain_hash: of the last change that its facts have seen.
        modulus: a secret prime of 62 bits: keys are hashed by what is left of them when divided by it.
        rows_end: where the last row ends.
    """

    layout: str
    revision: int
    chain_hash: str
    modulus: int
    rows_end: int
    extents: dict[str, Extent]
    words: Words


_CONTENTS: Final = msgspec.msgpack.Decoder(Contents)


def factor_of(modulus: int) -> int:
    """What names are multiplied by before they are hashed: as secret as the modulus."""
    return modulus * 0x9E3779B97F4A7C15 % (1 << 61) | 1


def hash_of(name: bytes, modulus: int) -> int:
    """A hash that nobody can make collide who does not know the modulus, at a sixth of the cost of a keyed digest.

    Names are chosen by tenants. Two of the same hash differ by a multiple of the prime: of 2^56 primes at most a few
    dozen divide any one difference. Without the factor names that differ in a few digits would share their low bits,
    which say where the search begins.

    Source: Karp and Rabin, Efficient randomized pattern-matching algorithms (1987); Carter and Wegman, Universal
    classes of hash functions (1979).
    """
    return int.from_bytes(name, "little") * factor_of(modulus) % modulus


def mark_of(digest: int) -> int:
    """The part of a hash that an entry holds."""
    return digest >> 46 & 0xFFFF


class _Named(Protocol):
    """A row that tells whose it is."""

    @property
    def id(self) -> object: ...


N = TypeVar("N", bound=_Named)


class _Table:
    """The entries of one table."""

    __slots__ = ("_checks", "_crcs", "_raw", "entries", "mask")

    def __init__(self, body: Body, extent: Extent) -> None:
        view = memoryview(body)
        self._raw = view[extent.entries : extent.entries + ENTRY * extent.slots]
        self.entries = self._raw.cast("Q")
        self.mask = extent.slots - 1
        blocks = -(-extent.slots // BLOCK)
        self._crcs = view[extent.checks : extent.checks + 4 * blocks].cast("I")

    def vouch(self, first: int, last: int) -> None:
        """Check that the entries from one to another, through which a search went in vain, are as they were written.

        INVARIANT: no fact is taken for absent because an entry was altered (test_base: a flipped byte).
        """
        blocks = len(self._crcs)
        end = last // BLOCK + 1 + (blocks if last < first else 0)
        for block in range(first // BLOCK, end):
            start = block % blocks * BLOCK * ENTRY
            if zlib.crc32(self._raw[start : start + BLOCK * ENTRY]) != self._crcs[block % blocks]:
                raise damaged()


class FactBase:
    """All facts at a revision, over a buffer that does not change.

    Attributes:
        revision, chain_hash: of the last change that the facts have seen.
        contents: what is where; for those who make the next base.

    Raises:
        StoreError: `snapshot_unfit`, the buffer holds no base, or one of another layout.

    INVARIANT: a fold that goes on from a base is the fold of all changes (test_base: fold from a base).
    """

    __slots__ = ("_body", "_factor", "_keys", "_modulus", "_tables", "chain_hash", "contents", "revision")

    def __init__(self, body: Body) -> None:
        self.contents = contents = _contents(body)
        self._body = body
        self._modulus = contents.modulus
        self._factor = factor_of(contents.modulus)
        self._tables = {name: _Table(body, extent) for name, extent in contents.extents.items()}
        self._keys = self._tables[ApiKey.entity]
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
        row = None if form is None else self._row(entity, key)
        return None if form is None or row is None else read(form.read, row, key)

    def api_key(self, key_id: str) -> tuple[ApiKey, Verifiers] | None:
        """One key by its public id, and the verifiers of its secrets."""
        row = self.key(key_id, read_key_row)
        return None if row is None else read(self._told, row)

    def key(self, key_id: str, reader: Callable[[bytes], K_co]) -> K_co | None:
        """The row of a key, as the reader reads it. Cost: about 1 µs."""
        return self._found(self._keys, key_id.encode("utf-8", "surrogatepass"), key_id, reader)

    def standing_of(self, workspace: str, user: str) -> UserRow:
        """What a user's grants rest on."""
        row = self._row(STANDING, (workspace, user))
        return NO_USER if row is None else read(read_user_row, row)

    def bindings_of_team(self, workspace: str, team: str) -> Iterator[RoleBinding]:
        """The bindings that name a team."""
        row = self._row(OF_TEAM, (workspace, team))
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
        if entity == ApiKey.entity:
            yield from (read(self._told, row)[0] for row in self.keys())
            return
        for key, row in self.rows(STANDING if entity == Membership.entity else entity):
            if entity == Membership.entity:
                yield from (
                    Membership(workspace=key[0], team=team, user=key[1]) for team in read(read_user_row, row).teams
                )
            else:
                yield read(FORMS[entity].read, row, key)

    def rows(self, table: str) -> Iterator[tuple[Key, bytes]]:
        """Key and content of every row of a table; of that of API keys see `keys`."""
        for text in self.texts(table):
            row = read(read_row, text)
            yield row.id, row.content

    def keys(self) -> Iterator[KeyRow]:
        """The row of every key."""
        return (read(read_key_row, text) for text in self.texts(ApiKey.entity))

    def texts(self, table: str) -> Iterator[bytes]:
        """Every row of a table as it stands."""
        extent = self.contents.extents.get(table)
        place, end = (0, 0) if extent is None else (extent.start, extent.end)
        while place < end:
            place += LENGTH.size
            length = self._length(place)
            text = self._body[place : place + length]
            if _CRC(text) != WHOLE:
                raise damaged()
            yield text
            place += length

    def _told(self, row: KeyRow) -> tuple[ApiKey, Verifiers]:
        return read_key(row, common_of(row, self.contents.words))

    def _row(self, table: str, key: Key) -> bytes | None:
        """The content of the row with this key."""
        row = self._found(self._tables[table], key_bytes(key), key, read_row)
        return None if row is None else row.content

    def _found(self, table: _Table, name: bytes, key: Key | str, reader: Callable[[bytes], N]) -> N | None:
        """The row with this key, whole and intact.

        In one function, for the sake of decisions on keys that are not kept: each call would cost a tenth of it all.

        INVARIANT: what was altered since the file was checked is never read as a fact (test_base: a flipped byte).
        """
        digest = _FROM_BYTES(name, "little") * self._factor % self._modulus
        entries, mask, mark = table.entries, table.mask, digest >> 46 & 0xFFFF
        first = place = digest & mask
        while entry := entries[place]:
            if entry >> MARK_SHIFT == mark:
                start = entry >> LENGTH_BITS & PLACES
                text = self._body[start : start + (entry & LENGTHS or self._length(start))]
                if _CRC(text) != WHOLE:
                    raise damaged()
                try:
                    row = reader(text)
                except msgspec.MsgspecError as error:
                    raise damaged() from error
                if row.id == key:
                    return row
            place = place + 1 & mask
            if place == first:
                # No table is written full.
                raise damaged()
        table.vouch(first, place)
        return None

    def _length(self, place: int) -> int:
        """How long the row at a place is."""
        if not LENGTH.size <= place <= self.contents.rows_end:
            raise damaged()
        return int(LENGTH.unpack_from(self._body, place - LENGTH.size)[0])


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
    if contents.modulus < 1 or not all(_is_whole(one, contents.rows_end, start) for one in contents.extents.values()):
        raise unfit("its contents contradict each other")
    return contents


def _is_whole(extent: Extent, rows_end: int, end: int) -> bool:
    """Whether a table can be where its extent says."""
    entries_end = extent.entries + ENTRY * extent.slots
    checks_end = extent.checks + 4 * -(-extent.slots // BLOCK)
    return (
        extent.slots > 0
        and extent.slots & (extent.slots - 1) == 0
        and 0 <= extent.start <= extent.end <= rows_end <= extent.entries
        and entries_end <= extent.checks
        and checks_end <= end
    )


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
