"""Group commit: the records of one turn of the event loop in one write, and no answer before it.

A turn's decisions gather in a group, which is written when the turn is over. With `fsync` the group is synced in a
thread; what is decided meanwhile gathers, and is written and synced next: the slower the disk, the larger the groups.

INVARIANT: no group is settled as written before its lines are (test_recorder: nothing is answered before).
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Final, Literal

import msgspec

from policy_service.model.errors import StoreError
from policy_service.service.ports import Decided, RecordLog
from policy_service.service.recording.groups import WRITTEN, Group
from policy_service.service.recording.record_lines import LineWriter

Durability = Literal["fsync", "os"]
"""What a written record survives: `fsync` the loss of power too, `os` the process being killed."""

SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Bounds of the histogram of records in one write."""

_LOG: Final = logging.getLogger(__name__)


class RecorderReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was written so far, by this process.

    Args:
        sizes: number of writes with at most so many records, for each of `SIZES`; `writes` counts those of any size.
        failures: groups that could not be written: each was one or more answers of 503.
    """

    records: int
    bytes: int
    writes: int
    failures: int
    sizes: tuple[int, ...]


class Recorder:
    """A DecisionSink that writes to this process's shard. It belongs to one event loop.

    Where no event loop runs (a test, a command) every call is written by itself, at once.
    """

    def __init__(self, durability: Durability = "os", log: RecordLog | None = None) -> None:
        self.durability: Durability = durability
        self._log = log
        self._line_of = LineWriter().line_of
        self._gathering: Group | None = None
        self._is_syncing = False
        self._threads: ThreadPoolExecutor | None = None
        self._failure: StoreError | None = None
        self._records = self._bytes = self._writes = self._failures = 0
        self._sizes = [0] * (len(SIZES) + 1)

    def use(self, log: RecordLog | None) -> None:
        """Write to this shard from now on; None: to none, and nothing is decided. Waits for what is being synced."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown()
        self._log = log
        self._failure = None

    def record(self, decided: Sequence[Decided]) -> Group:
        """As DecisionSink says."""
        return self.record_lines(list(map(self._line_of, decided)))

    def record_lines(self, lines: Sequence[bytes]) -> Group:
        """Have lines written with all else that is decided in this turn: whole, and in this order.

        Returns:
            the group to wait for: nothing of what the lines tell may leave before it is written.
        """
        if not lines:
            return WRITTEN
        group = self._gathering
        if group is not None:
            group.lines.extend(lines)
            return group
        group = self._gathering = Group(lines)
        if not self._is_syncing:
            self._write_soon()
        return group

    def flush(self) -> None:
        """Write now what has gathered in this turn, where nothing is being synced; else it is written after that."""
        if not self._is_syncing:
            self._write()

    def trouble(self) -> StoreError | None:
        """Why nothing can be written; None where it can. While it could not this looks anew: no decision need come."""
        if self._log is None:
            return _no_ledger()
        if self._failure is not None:
            self._note(_failure_of(self._log.probe))
        return self._failure

    def warning(self) -> str | None:
        """A code for what will stop the writing soon, such as little space; None where nothing is in sight."""
        return None if self._log is None else self._log.warning()

    def report(self) -> RecorderReport:
        """What was written so far."""
        return RecorderReport(
            records=self._records,
            bytes=self._bytes,
            writes=self._writes,
            failures=self._failures,
            sizes=tuple(accumulate(self._sizes[:-1])),
        )

    def _write_soon(self) -> None:
        """When this turn is over: whatever else it decides goes into the same write."""
        try:
            asyncio.get_running_loop().call_soon(self._write)
        except RuntimeError:
            self._write()

    def _write(self) -> None:
        """Write the group that has gathered; what is decided from here on is the next one's."""
        group, self._gathering = self._gathering, None
        if group is None:
            return
        failure = self._append(group.lines)
        if failure is None and self.durability == "fsync":
            self._sync(group)
        else:
            self._settle(group, failure)

    def _append(self, lines: list[bytes]) -> StoreError | None:
        log = self._log
        if log is None:
            return _no_ledger()
        return _failure_of(lambda: log.append(lines))

    def _sync(self, group: Group) -> None:
        """Sync what was appended, off the loop; then the group that has gathered meanwhile is written."""
        log = self._log
        assert log is not None  # something was appended to it
        self._threads = self._threads or ThreadPoolExecutor(1, thread_name_prefix="ledger-sync")
        try:
            syncing = asyncio.get_running_loop().run_in_executor(self._threads, _failure_of, log.sync)
        except RuntimeError:
            # There is no event loop, or the process is about to end and begins no thread.
            self._settle(group, _failure_of(log.sync))
            return
        self._is_syncing = True
        syncing.add_done_callback(lambda done: self._synced(group, done))

    def _synced(self, group: Group, done: asyncio.Future[StoreError | None]) -> None:
        """The next group first: the disk works on it while the answers of this one are sent."""
        failure = _unfinished() if done.cancelled() else done.result()
        self._is_syncing = False
        self._account(group, failure)
        try:
            self._write()
        finally:
            group.settle(failure)

    def _settle(self, group: Group, failure: StoreError | None) -> None:
        self._account(group, failure)
        group.settle(failure)

    def _account(self, group: Group, failure: StoreError | None) -> None:
        """Count it, and note the state that it shows: in the order in which things happened to the disk."""
        self._note(failure)
        if failure is None:
            self._count(group.lines)
        else:
            self._failures += 1

    def _count(self, lines: list[bytes]) -> None:
        self._records += len(lines)
        self._bytes += sum(map(len, lines)) + len(lines)
        self._writes += 1
        self._sizes[bisect_left(SIZES, len(lines))] += 1

    def _note(self, failure: StoreError | None) -> None:
        """Remember the state, and log where it changes: not once for each decision that is refused."""
        before, self._failure = self._failure, failure
        if failure is not None and (before is None or before.code != failure.code):
            _LOG.error("nothing is decided while no record can be written: %s [%s]", failure.message, failure.code)
        elif failure is None and before is not None:
            _LOG.warning("records are written again; decisions are answered")


def _failure_of(attempt: Callable[[], object]) -> StoreError | None:
    """What an attempt failed with. A bug is a failure too: whoever waits for the group must be told."""
    try:
        attempt()
    except StoreError as error:
        return error
    except Exception:
        _LOG.exception("the ledger failed in a way that nobody foresaw")
        return StoreError("ledger_unavailable", "the decision could not be recorded; see the log of this process")
    return None


def _no_ledger() -> StoreError:
    return StoreError("ledger_unavailable", "no ledger is open in this process: decisions are made by `serve`")


def _unfinished() -> StoreError:
    return StoreError("ledger_unavailable", "the process ended before the record was synced")
