"""Whether any decision id occurs twice among hundreds of millions, in little memory."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator
from typing import Final

_SPILL: Final = 1 << 20
"""Fingerprints kept in memory; more go into a temporary file."""
_AT_ONCE: Final = 1 << 22
"""Fingerprints compared at a time: some 300 MB."""


ID_LENGTH: Final = 22
"""Of a decision id. Of a longer one that somebody made up only so much is looked at."""


def fingerprint(decision_id: bytes) -> int:
    """64 bits of an id."""
    return hash(decision_id[:ID_LENGTH])


class DecisionIds:
    """Fingerprints of the ids seen. Equal ids have equal ones; whether those of equal ones are is to be checked.

    Cost: 40 ns and 8 bytes an id.
    """

    def __init__(self) -> None:
        self._recent = array("q")
        # Closed by `close`: it lives as long as this.
        self._spilled = tempfile.TemporaryFile()  # noqa: SIM115 - as said
        self._count = 0

    def add(self, ids: Iterable[bytes]) -> None:
        """See more ids, each no longer than `ID_LENGTH`, or cut to it."""
        self._recent.extend(map(hash, ids))
        if len(self._recent) >= _SPILL:
            self._spill()

    def suspects(self) -> frozenset[int]:
        """The fingerprints that occurred more than once."""
        self._spill()
        parts = self._count // _AT_ONCE + 1
        found: set[int] = set()
        for part in range(parts):
            found |= self._twice(part, parts)
        return frozenset(found)

    def close(self) -> None:
        """Let the temporary file go."""
        self._spilled.close()

    def _spill(self) -> None:
        self._count += len(self._recent)
        self._recent.tofile(self._spilled)
        self._recent = array("q")

    def _twice(self, part: int, parts: int) -> set[int]:
        seen: set[int] = set()
        twice: set[int] = set()
        for batch in self._batches():
            mine = batch if parts == 1 else array("q", (one for one in batch if one % parts == part))
            fresh = set(mine)
            if len(fresh) < len(mine):
                twice |= _repeated(mine)
            twice |= seen & fresh
            seen |= fresh
        return twice

    def _batches(self) -> Iterator[array[int]]:
        self._spilled.seek(0)
        left = self._count
        while left:
            batch = array("q")
            batch.fromfile(self._spilled, min(left, _SPILL))
            left -= len(batch)
            yield batch


def _repeated(fingerprints: Iterable[int]) -> set[int]:
    seen: set[int] = set()
    return {one for one in fingerprints if one in seen or seen.add(one)}  # type: ignore[func-returns-value]  # adds
