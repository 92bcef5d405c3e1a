"""Pieces of work done beside each other, by forks of a process that has one thread."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

MOST: Final = 4
"""Processes of one piece of work, this one among them."""
WORTH: Final = 64 * 1024
"""Characters of rule files that are worth another process: it takes some 20 ms, and so much takes 100."""

T = TypeVar("T")
_LOG: Final = logging.getLogger(__name__)


class Fork(NamedTuple):
    """A process that does its share and writes what came of it."""

    process: int
    results: int
    share: list[str]


def side_by_side(
    work: Callable[[str], T], names: list[str], *, sizes: Mapping[str, int], processors: int | None = None
) -> list[T]:
    """What `work` gives for each name, in order; spread over the processors there are.

    What a fork fails to tell is done here.

    INVARIANT: the same as one by one (test_side_by_side: equal to one by one).

    Args:
        work: depends on nothing that changes, and what it gives can be pickled.
        sizes: characters of rule files that each is about; nothing where there is none.
        processors: None: as many as this process may run on.
    """
    own, *others = _shares(names, sizes, processors or len(os.sched_getaffinity(0)))
    forks = [_forked(work, share) for share in others]
    found = {name: work(name) for name in own}
    for fork in forks:
        found |= _told(fork) or {name: work(name) for name in fork.share}
    return [found[name] for name in names]


def _shares(names: list[str], sizes: Mapping[str, int], processors: int) -> list[list[str]]:
    """Of about the same size each: the largest first, always to who has least."""
    by_size = sorted(names, key=lambda name: -sizes.get(name, 0))
    total = sum(sizes.get(name, 0) for name in names)
    count = max(1, min(MOST, processors, len(names), total // WORTH))
    shares: list[list[str]] = [[] for _ in range(count)]
    loads = [0] * count
    for name in by_size:
        least = loads.index(min(loads))
        shares[least].append(name)
        loads[least] += sizes.get(name, 0)
    return shares


def _forked(work: Callable[[str], Any], share: list[str]) -> Fork:
    results, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return Fork(process, results, share)
    # From here on this is another process, which must not return: what waits above belongs to its parent.
    status = 1
    try:
        with os.fdopen(writing, "wb") as file:
            pickle.dump({name: work(name) for name in share}, file, pickle.HIGHEST_PROTOCOL)
        status = 0
    except BaseException:
        _LOG.exception("a share of the work failed")
    finally:
        os._exit(status)


def _told(fork: Fork) -> dict[str, Any] | None:
    """What a fork came to; None where it failed."""
    with os.fdopen(fork.results, "rb") as file:
        data = file.read()
    _, status = os.waitpid(fork.process, 0)
    if status != 0:
        _LOG.warning("a process that reads rule files failed with status %d; its share is done again", status)
        return None
    found: dict[str, Any] = pickle.loads(data)  # noqa: S301 - from a fork of this process
    return found
