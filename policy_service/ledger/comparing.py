"""Two lists of leaf hashes that ought to be one: where they part, and what must have been done to the lines."""

from __future__ import annotations

from typing import Final, NamedTuple

from policy_service.ledger.merkle import HASH_BYTES

_FAR: Final = 4096
"""How many records past the first difference are looked through for the one that moved."""


class Difference(NamedTuple):
    """The first record that is not as it was, from 0 in its segment, and what was done to it."""

    place: int
    code: str
    message: str


def first_difference(actual: bytes, kept: bytes) -> int | None:
    """The first place where both have a hash and not the same one."""
    low, high = 0, min(len(actual), len(kept)) // HASH_BYTES
    if _are_same(actual, kept, low, high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _are_same(actual, kept, low, middle) else (low, middle)
    return low


def _are_same(actual: bytes, kept: bytes, start: int, end: int) -> bool:
    # As bytes: views are compared byte by byte in Python's own time.
    return actual[start * HASH_BYTES : end * HASH_BYTES] == kept[start * HASH_BYTES : end * HASH_BYTES]


def explained(actual: bytes, kept: bytes, index: int) -> Difference:
    """What was done at the first difference, as far as the hashes tell.

    Args:
        actual: hashes of the lines as they are; kept: as they were written.
    """
    here, there = _at(actual, index), _at(kept, index)
    later = _place(actual, there, index + 1)
    if _at(actual, index + 1) == there and _at(actual, index + 2) == _at(kept, index + 1):
        twice = _place(kept, here, 0)
        what = "this copy of another record" if twice is not None else "this line"
        return Difference(index, "record_inserted", f"{what} was inserted before the record that belongs here")
    if here == _at(kept, index + 1) and here is not None and later is None:
        return Difference(index, "record_removed", "a record that belongs before this one was removed")
    if later is not None:
        told = "the record that belongs here stands further down: records were swapped or moved"
        return Difference(index, "record_moved", told)
    return Difference(
        index, "record_altered", "this record is not the one that was written: it was altered or replaced"
    )


def _at(hashes: bytes, index: int) -> bytes | None:
    found = hashes[index * HASH_BYTES : (index + 1) * HASH_BYTES]
    return found if len(found) == HASH_BYTES else None


def _place(hashes: bytes, wanted: bytes | None, start: int) -> int | None:
    """Where a hash stands, within a bounded distance."""
    if wanted is None:
        return None
    end = min(len(hashes) // HASH_BYTES, start + _FAR)
    return next((index for index in range(start, end) if _at(hashes, index) == wanted), None)
