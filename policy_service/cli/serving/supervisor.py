"""The process above several workers: it forks them and again those that die, deals connections, passes signals on.

    starting ──first worker ready──► joining ──all ready──► serving ──SIGTERM, SIGINT──► stopping ──► ended
       └── a worker ends before it was ready: the others are told to stop, and the server ends with its code ──┘

The supervisor imports everything and opens nothing but the listening socket: it has one thread, so that forking it is
safe, and its workers share the memory that the imports take. The first worker starts alone: what is wrong with a start
is said once. Connections are dealt in turn to the workers that answer (docs/decisions/0013-workers-are-forked.md).
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

import msgspec

from policy_service.service.following.crew import Crew, Member

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
"""Before a worker is started anew: from the one to the other, doubled each time that it did not live long."""
LONG_S: Final = 10.0
"""A worker that lived so long did not die of its start."""
LINGER_S: Final = 75.0
"""Past the grace, for the last checkpoint and sealing; then a worker that is told to stop is killed."""

CROWD: Final = 64
"""Connections dealt before signals and reports are looked at again."""
FULL_S: Final = 0.01
"""When to try again to deal, where every worker has as many waiting as its channel holds."""

_FORWARDED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LOG: Final = logging.getLogger(__name__)


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is given as it starts.

    Args:
        lifeline: a pipe that ends when the supervisor does, however it does.
        connections: where the connections come from that this worker is to serve. What one process has not taken when
            it ends, the next has.
        is_again: whether another process held this post before.
    """

    member: Member
    lifeline: int
    connections: socket.socket
    is_again: bool
    reports: int

    def report_ready(self) -> None:
        """Tell the supervisor that requests are answered."""
        # A supervisor that is gone is told of by the lifeline.
        with contextlib.suppress(OSError):
            os.write(self.reports, bytes((self.member.number,)))


class _Worker:
    """One worker, whichever process it is just now."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid: int | None = None
        self.is_ready = False
        self.starts = 0
        self.started_at = 0.0
        self.due_at: float | None = None
        self.pause_s = FIRST_PAUSE_S
        self.is_hung_up = False
        self.deals, self.takes = socket.socketpair()
        self.deals.setblocking(False)
        self.takes.setblocking(False)

    def deal(self, connection: socket.socket) -> bool:
        """Give it a connection to serve; False where it has too many waiting."""
        try:
            socket.send_fds(self.deals, [b"\0"], [connection.fileno()])
        except OSError:
            # Its channel is full, or the system has too many descriptors under way.
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send its process a signal. Nobody else has its pid: it stays taken until it is waited for."""
        if self.pid is not None:
            os.kill(self.pid, number)

    def later(self, now: float) -> float:
        """Note when it is to start anew. Seconds until then."""
        if now - self.started_at >= LONG_S:
            self.pause_s = FIRST_PAUSE_S
        pause_s = self.pause_s
        self.due_at = now + pause_s
        self.pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return pause_s


class Supervisor:
    """Runs the workers of a crew until it is told to stop.

    INVARIANT: a process with several threads is never forked (test_several_workers_share_the_work).

    INVARIANT: connections go to workers that answer, in turn (test_connections_are_dealt_in_turn).

    Args:
        listener: listens; closed when the server is told to stop.
        grace_s: that requests under way have when the server is told to stop.
        ready: called once all workers answer.
    """

    def __init__(self, crew: Crew, listener: socket.socket, *, grace_s: float, ready: Callable[[], None]) -> None:
        self._crew = crew
        self._listener = listener
        self._waiting: socket.socket | None = None
        self._next = 0
        self._grace_s = grace_s
        self._ready = ready
        self._workers = [_Worker(number) for number in range(crew.count)]
        self._lifeline = os.pipe()
        self._reports = os.pipe()
        self._signals = os.pipe()
        for descriptor in (*self._reports, *self._signals):
            os.set_blocking(descriptor, False)
        listener.setblocking(False)
        self._is_serving = False
        self._kill_at: float | None = None
        self._code = 0

    def run(self) -> Post | int:
        """Returns in several processes.

        Returns:
            in each worker its post; in the supervisor, once all workers have ended, the server's exit code.
        """
        self._take_signals()
        first, *_ = self._workers
        first.due_at = time.monotonic()
        while True:
            self._reap()
            post = self._start_due()
            if post is not None:
                return post
            if self._is_stopping and all(worker.pid is None for worker in self._workers):
                self._end()
                return self._code
            self._wait()

    @property
    def _is_stopping(self) -> bool:
        return self._kill_at is not None

    def _take_signals(self) -> None:
        def noted(_signal: int, _frame: FrameType | None) -> None:
            """Python wrote its number to the pipe already."""

        signal.set_wakeup_fd(self._signals[1])
        for number in (*_FORWARDED, signal.SIGCHLD):
            signal.signal(number, noted)

    def _release_signals(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in (*_FORWARDED, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)

    def _end(self) -> None:
        self._release_signals()
        for worker in self._workers:
            worker.deals.close()
            worker.takes.close()
        if self._waiting is not None:
            self._waiting.close()

    def _start_due(self) -> Post | None:
        """Fork those whose time has come. In the forked process its post."""
        now = time.monotonic()
        for worker in self._workers:
            if worker.due_at is not None and worker.due_at <= now and not self._is_stopping:
                worker.due_at = None
                worker.started_at = now
                worker.starts += 1
                worker.is_ready = False
                post = self._fork(worker)
                if post is not None:
                    return post
        return None

    def _fork(self, worker: _Worker) -> Post | None:
        # A signal that came between the fork and its worker's own handlers would be noted here and lost there.
        signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
        worker.pid = os.fork()
        if worker.pid == 0:
            self._become_worker(worker)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        if worker.pid != 0:
            return None
        return Post(
            member=self._crew.member(worker.number),
            lifeline=self._lifeline[0],
            connections=worker.takes,
            is_again=worker.starts > 1,
            reports=self._reports[1],
        )

    def _become_worker(self, worker: _Worker) -> None:
        """Let go of what is the supervisor's alone."""
        self._release_signals()
        # It is sent again to those that are ready; until then there is nothing to read anew.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for descriptor in (self._lifeline[1], self._reports[0], *self._signals):
            os.close(descriptor)
        self._listener.close()
        if self._waiting is not None:
            self._waiting.close()
        for each in self._workers:
            each.deals.close()
            if each is not worker:
                each.takes.close()

    def _wait(self) -> None:
        """Until a worker reports, somebody connects, a signal comes, or something is due."""
        sources: list[int | socket.socket] = [self._reports[0], self._signals[0]]
        if self._is_dealing and self._waiting is None:
            sources.append(self._listener)
        readable, _, _ = select.select(sources, [], [], self._timeout_s())
        if self._reports[0] in readable:
            for number in os.read(self._reports[0], 4096):
                self._note_ready(self._workers[number])
        if self._signals[0] in readable:
            for number in os.read(self._signals[0], 4096):
                self._note_signal(signal.Signals(number))
        if self._is_dealing:
            self._deal()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill()

    @property
    def _is_dealing(self) -> bool:
        return not self._is_stopping and any(worker.is_ready for worker in self._workers)

    def _timeout_s(self) -> float | None:
        wakes = [worker.due_at for worker in self._workers if worker.due_at is not None and not self._is_stopping]
        if self._kill_at is not None:
            wakes.append(self._kill_at)
        if self._waiting is not None:
            wakes.append(time.monotonic() + FULL_S)
        return max(0.0, min(wakes) - time.monotonic()) if wakes else None

    def _deal(self) -> None:
        """Take the connections that wait, and give each to the next worker in turn."""
        for _ in range(CROWD):
            try:
                connection = self._waiting or self._listener.accept()[0]
            except OSError:
                # Nobody waits any more, or whoever did has gone; or there is no descriptor left, until one is closed.
                return
            if not self._dealt(connection):
                self._waiting = connection
                return
            self._waiting = None
            connection.close()

    def _dealt(self, connection: socket.socket) -> bool:
        """Whether some worker took it: one that answers, for choice."""
        ahead = [*self._workers[self._next :], *self._workers[: self._next]]
        ready = [worker for worker in ahead if worker.is_ready]
        well = [worker for worker in ready if self._crew.hears(worker.number)]
        taker = next((worker for worker in well or ready if worker.deal(connection)), None)
        if taker is not None:
            self._next = (taker.number + 1) % len(self._workers)
        return taker is not None

    def _note_ready(self, worker: _Worker) -> None:
        worker.is_ready = True
        if worker.is_hung_up:
            worker.is_hung_up = False
            worker.send(signal.SIGHUP)
        if worker.starts > 1:
            _LOG.warning("worker %d answers again", worker.number)
        if self._is_serving or self._is_stopping:
            return
        for other in self._workers:
            if other.starts == 0:
                other.due_at = time.monotonic()
        if all(one.is_ready for one in self._workers):
            self._is_serving = True
            self._ready()

    def _note_signal(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP:
            for worker in self._workers:
                # One that starts may have read the file already: it is told once it is able to hear.
                worker.is_hung_up = not worker.is_ready
                if worker.is_ready:
                    worker.send(signal.SIGHUP)
        elif number in (signal.SIGTERM, signal.SIGINT):
            # The second Ctrl-C waits for no request under way.
            self._stop(signal.SIGINT if self._is_stopping and number == signal.SIGINT else signal.SIGTERM)

    def _stop(self, how: signal.Signals) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace_s + LINGER_S
            self._listener.close()
        for worker in self._workers:
            worker.send(how)

    def _kill(self) -> None:
        _LOG.error("some worker does not end by itself and is killed")
        # Nobody survives that; it is said and done again where the system is very slow.
        self._kill_at = time.monotonic() + LINGER_S
        self._code = self._code or 2
        for worker in self._workers:
            worker.send(signal.SIGKILL)

    def _reap(self) -> None:
        """Take note of every worker that has ended."""
        for worker in self._workers:
            if worker.pid is None:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                worker.pid = None
                self._crew.down(worker.number)
                self._note_end(worker, os.waitstatus_to_exitcode(status))

    def _note_end(self, worker: _Worker, code: int) -> None:
        was_ready, worker.is_ready = worker.is_ready, False
        if self._is_stopping:
            # A worker that was told to stop before it could hear dies of the signal itself: that is a good end.
            self._code = self._code or (0 if code in (0, -signal.SIGTERM, -signal.SIGINT) else 2)
            return
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        is_alone = not any(other.is_ready for other in self._workers)
        if not was_ready and (is_alone or not self._is_serving):
            self._give_up(worker, how, code)
        else:
            pause_s = worker.later(time.monotonic())
            _LOG.warning("worker %d ended %s; another starts in %.1f s", worker.number, how, pause_s)

    def _give_up(self, worker: _Worker, how: str, code: int) -> None:
        """A worker that could not start has said why; one that was killed could not."""
        if code <= 0:
            _LOG.error("worker %d ended %s before it answered a request; the server ends", worker.number, how)
        self._code = code if code > 0 else 2
        self._stop(signal.SIGTERM)
