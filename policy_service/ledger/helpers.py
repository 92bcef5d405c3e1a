"""Processes that help: forked before anything is opened, given one task after another, gone when they are let go.

INVARIANT: what comes of tasks does not depend on how many helpers there are (test_helpers: one or many;
test_scan, test_replay: shared out).
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, Pipe, wait
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, TypeVar

from policy_service.model.errors import PolicyServiceError, StoreError

T = TypeVar("T")
R = TypeVar("R")
Tell = Callable[[Any], object]
Work = Callable[[T, Tell], R]
"""Does a task, and may tell of how far it is."""

LOST: Final = "helper_lost"
_LINE: Final = "\n"
_AHEAD: Final = 2
"""Tasks for each helper that may be done before the first of them is taken: what comes of them waits in memory."""
_LOG: Final = logging.getLogger(__name__)


def processors() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0))


class _Failed(NamedTuple):
    """What a helper's task raised."""

    code: str
    message: str


class _Helper(NamedTuple):
    process: int
    ours: Connection


class Helpers(Generic[T, R]):
    """So many processes that do the same kind of work; none where there is one job: then the work is done here.

    To be made while this process has one thread, and nothing open that a fork must not share.

    Args:
        work: what it takes and gives can be pickled; it is found in the helpers as it is here now.

    Raises:
        StoreError: `helper_lost`, no process can be made.
    """

    def __init__(self, jobs: int, work: Work[T, R]) -> None:
        self._work = work
        self._helpers: list[_Helper] = []
        try:
            while len(self._helpers) < jobs > 1:
                self._helpers.append(self._forked())
        except OSError as error:
            self.close()
            raise StoreError(LOST, f"cannot make another process: {error.strerror}; ask for fewer `--jobs`") from None

    def __enter__(self) -> Helpers[T, R]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all helpers, whatever they are doing."""
        for helper in self._helpers:
            helper.ours.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(helper.process, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(helper.process, 0)
        self._helpers.clear()

    def results(self, tasks: Iterable[T], told: Tell = lambda _value: None) -> Iterator[R]:
        """What comes of each task, in their order. Memory: of a few results for each helper.

        Args:
            told: hears what the work tells, in no order.

        Raises:
            StoreError: what a task raised; `helper_lost`, a helper was killed, or failed.
        """
        if self._helpers:
            return _Sharing(self._helpers, tasks, told).results()
        return (self._work(task, told) for task in tasks)

    def _forked(self) -> _Helper:
        ours, theirs = Pipe()
        process = os.fork()
        if process:
            theirs.close()
            return _Helper(process, ours)
        # From here on this is another process, which must not return: what waits above belongs to its parent.
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted is the parent; it ends its helpers
            for pipe in (ours, *(helper.ours for helper in self._helpers)):
                pipe.close()  # else nobody would notice that the parent is gone
            _serve(theirs, self._work)
            status = 0
        except BaseException:
            _LOG.debug("a helper failed", exc_info=True)  # it is told of by whoever finds it gone
        finally:
            os._exit(status)


def _serve(pipe: Connection, work: Work[Any, Any]) -> None:
    """Do one task after another, until the parent is gone."""
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            number, task = pipe.recv()
            try:
                answer = work(task, lambda value: pipe.send((None, value)))
            except PolicyServiceError as error:
                answer = _Failed(error.code, error.message)
            except Exception as error:
                _LOG.debug("a task failed", exc_info=True)
                answer = _Failed(LOST, f"a process that helped failed: {str(error).partition(_LINE)[0].lower()}")
            pipe.send((number, answer))


class _Sharing(Generic[R]):
    """Tasks being dealt, each to a helper that is idle."""

    def __init__(self, helpers: list[_Helper], tasks: Iterable[Any], told: Tell) -> None:
        self._idle = deque(helpers)
        self._busy: dict[Connection, _Helper] = {}
        self._tasks = enumerate(tasks)
        self._told = told
        self._ahead = _AHEAD * len(helpers)
        self._ready: dict[int, Any] = {}
        self._dealt = self._taken = 0

    def results(self) -> Iterator[R]:
        while True:
            self._deal()
            if self._taken in self._ready:
                self._taken += 1
                yield self._ready.pop(self._taken - 1)
            elif self._busy:
                self._listen()
            else:
                return

    def _deal(self) -> None:
        while self._idle and self._dealt - self._taken < self._ahead:
            task = next(self._tasks, None)
            if task is None:
                return
            helper = self._idle.popleft()
            self._busy[helper.ours] = helper
            self._dealt += 1
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # then it is gone, which is heard
                helper.ours.send(task)

    def _listen(self) -> None:
        for pipe in wait(list(self._busy)):
            assert isinstance(pipe, Connection)  # nothing else was waited for
            try:
                number, value = pipe.recv()
            except (EOFError, ConnectionResetError, pickle.UnpicklingError):
                raise _lost() from None
            if number is None:
                self._told(value)
            elif isinstance(value, _Failed):
                raise StoreError(value.code, value.message)
            else:
                self._ready[number] = value
                self._idle.append(self._busy.pop(pipe))


def _lost() -> StoreError:
    return StoreError(LOST, "a process that helped ended before its task did; was memory short? ask for fewer `--jobs`")
