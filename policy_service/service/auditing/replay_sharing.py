"""A replay that several processes share: each takes some of the files, and goes through the past by itself.

The order of records does not matter to a replay, so neither does who replays which. Each process holds the facts:
memory and the folding of the changes are spent once for each.

INVARIANT: the report is that of one process (test_replay_sharing: one or several).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import msgspec

from policy_service.ledger.helpers import Helpers, Tell
from policy_service.ledger.reader import Source
from policy_service.service.auditing.archive import Archive
from policy_service.service.auditing.replay import ReplayOptions, tallied
from policy_service.service.auditing.replay_report import ReplayReport, Tally

Past = Callable[[], AbstractContextManager[Archive]]
"""Opens the archive: in each process its own."""
Replayers = Helpers[Sequence[Source], Tally]

_TOLD: Final = 1 << 20
"""Bytes read after which it is told: another process that is told has work of its own."""


def replayers(jobs: int, past: Past, options: ReplayOptions) -> Replayers:
    """So many processes to replay with these options: to be made, and to fail, as Helpers are."""

    def work(share: Sequence[Source], tell: Tell) -> Tally:
        progress = _Told(tell)
        with past() as archive:
            tally = tallied(archive, share, msgspec.structs.replace(options, progress=progress.read))
        progress.rest()
        return tally

    return Helpers(jobs, work)


def replay_shared(
    helpers: Replayers,
    sources: Iterable[Source],
    jobs: int,
    *,
    shown: int,
    progress: Callable[[int], object] = lambda _count: None,
) -> ReplayReport:
    """Decide all records of some files again and compare.

    Args:
        helpers: as many as there are jobs.
        progress: told of bytes read, as they are.

    Raises:
        StoreError: as `replay` does; `helper_lost`; why the past cannot be opened.
    """
    whole = Tally(shown)
    for part in helpers.results(shares(sources, jobs), progress):
        whole.add(part)
    return whole.report()


def shares(sources: Iterable[Source], jobs: int) -> list[list[Source]]:
    """The files in so many shares of about the same size: the largest first, always to who has least."""
    sizes = {source: _size(source) for source in sources}
    parts: list[list[Source]] = [[] for _ in range(jobs)]
    loads = [0] * jobs
    for source in sorted(sizes, key=lambda source: (-sizes[source], source)):
        least = loads.index(min(loads))
        parts[least].append(source)
        loads[least] += sizes[source] + 1
    return [part for part in parts if part]


def _size(source: Source) -> int:
    try:
        return source.path.stat().st_size
    except OSError:
        return 0  # whoever reads it tells what is wrong


class _Told:
    """Bytes that were read and are not told of yet."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._count = 0

    def read(self, count: int) -> None:
        self._count += count
        if self._count >= _TOLD:
            self.rest()

    def rest(self) -> None:
        self._tell(self._count)
        self._count = 0
