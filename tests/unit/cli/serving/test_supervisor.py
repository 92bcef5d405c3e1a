"""The process above the workers, with workers that do next to nothing: real processes, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policy_service.service.following.crew import SILENT_S

ROOT = Path(__file__).parents[4]
PATIENCE_S = 30


class Crew:
    """A running supervisor of `crew_process.py`."""

    def __init__(self, behaviour: str, count: int = 3) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.unit.cli.serving.crew_process", behaviour, str(count)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))

    def told(self, pattern: str) -> list[str]:
        """What the lines that fit say."""
        return [
            found[1] if found.groups() else found[0] for line in list(self.lines) if (found := re.match(pattern, line))
        ]

    def until(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)
        return found

    def ready(self) -> Crew:
        self.until(lambda: self.told("ready$"))
        return self

    def ask(self) -> int | None:
        """Which worker answers one more connection; None where nobody listens."""
        port = int(self.told(r"port (\d+)")[0])
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
                return int(connection.recv(16) or -1)
        except OSError:
            return None

    def pid(self, worker: int) -> int:
        """The latest process of a worker."""
        return int(self.told(rf"start {worker} (\d+)")[-1])

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def code(self) -> int:
        """The exit code, once it has ended; all of its output is there then."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code


@contextmanager
def crew(behaviour: str = "well", count: int = 3) -> Iterator[Crew]:
    """Its processes are gone in the end, whatever happened."""
    made = Crew(behaviour, count)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()


def test_connections_are_dealt_in_turn() -> None:
    """Evenly, one by one and many at once."""
    with crew() as workers:
        workers.ready()
        assert Counter(workers.ask() for _ in range(30)) == {0: 10, 1: 10, 2: 10}
        answers: list[int | None] = []
        threads = [threading.Thread(target=lambda: answers.append(workers.ask())) for _ in range(30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(answers) == {0: 10, 1: 10, 2: 10}
        workers.send(signal.SIGTERM)
        assert workers.code() == 0


def test_the_first_worker_starts_alone() -> None:
    """The others once it answers; the server is ready when all are."""
    with crew() as workers:
        workers.ready()
        starts = [line for line in workers.lines if line.startswith("start")]
        assert starts[0].startswith("start 0 ")
        assert sorted(line.split()[1] for line in starts) == ["0", "1", "2"]
        assert workers.told("(ready)") == ["ready"]


def test_a_worker_that_is_killed_is_started_anew() -> None:
    """Under its number; nobody waits for it meanwhile."""
    with crew() as workers:
        workers.ready()
        first = workers.pid(1)
        os.kill(first, signal.SIGKILL)
        assert all(workers.ask() is not None for _ in range(20))
        workers.until(lambda: workers.told("log worker 1 answers again"))
        assert workers.pid(1) != first
        assert workers.told(r"start 1 \d+ (\w+)") == ["first", "again"]
        assert {workers.ask() for _ in range(9)} == {0, 1, 2}


def test_what_a_worker_had_not_taken_when_it_was_killed_is_answered_by_the_next() -> None:
    """A connection that waited for a worker that stood still is not lost with it."""
    with crew(count=2) as workers:
        workers.ready()
        os.kill(workers.pid(0), signal.SIGSTOP)
        answers: list[int | None] = []
        threads = [threading.Thread(target=lambda: answers.append(workers.ask())) for _ in range(8)]
        for thread in threads:
            thread.start()
        workers.until(lambda: len(answers) == 4)
        os.kill(workers.pid(0), signal.SIGKILL)
        for thread in threads:
            thread.join()
        assert Counter(answers) == {0: 4, 1: 4}


def test_a_worker_that_says_nothing_gets_no_more_connections() -> None:
    """It may hang; the others have them all."""
    with crew("silent") as workers:
        workers.ready()
        time.sleep(SILENT_S + 0.5)
        assert Counter(workers.ask() for _ in range(10)) == {0: 5, 2: 5}


def test_a_worker_that_cannot_start_ends_the_server_with_its_code() -> None:
    """It has said why itself; the others are told to stop."""
    with crew("cannot-start") as workers:
        assert workers.code() == 3
        assert workers.told("ready") == []
        assert workers.told("log") == []


def test_a_worker_that_is_killed_as_it_starts_ends_the_server_too() -> None:
    """It could not say why: the supervisor does."""
    with crew("dies-starting") as workers:
        assert workers.code() == 2
        assert workers.told("log (.*)") == ["worker 1 ended by SIGKILL before it answered a request; the server ends"]


def test_a_worker_that_cannot_start_again_is_tried_ever_less_often() -> None:
    """The others answer meanwhile. When none of them is left, the server ends with its code."""
    with crew("cannot-start-again") as workers:
        workers.ready()
        os.kill(workers.pid(1), signal.SIGKILL)
        pauses = workers.until(lambda: (found := workers.told(r".* starts in (\S+) s")) and len(found) >= 4 and found)
        assert pauses[:4] == ["0.1", "0.2", "0.4", "0.8"]
        assert {workers.ask() for _ in range(6)} == {0, 2}


def test_hanging_up_reaches_every_worker() -> None:
    """Also those that were not ready to hear when the signal came: they are told once they are."""
    with crew() as workers:
        workers.until(lambda: workers.told("start 0"))
        workers.send(signal.SIGHUP)
        workers.ready().until(lambda: workers.told("hangup 0"))
        workers.send(signal.SIGHUP)
        workers.until(lambda: set(workers.told(r"hangup (\d)")) == {"0", "1", "2"})


def test_a_worker_that_ends_badly_is_not_hidden() -> None:
    """The exit code of the server is not 0."""
    with crew("ends-badly") as workers:
        workers.ready().send(signal.SIGINT)
        assert workers.code() == 2


def test_a_worker_that_does_not_end_is_killed() -> None:
    """After the grace, and with an error."""
    with crew("deaf") as workers:
        workers.ready().send(signal.SIGTERM)
        assert workers.code() == 2
        assert set(workers.told("log (.*)")) == {"some worker does not end by itself and is killed"}


def test_being_told_to_stop_while_starting_is_a_good_end() -> None:
    """Nobody is left behind."""
    with crew() as workers:
        workers.until(lambda: workers.told("port"))
        workers.send(signal.SIGTERM)
        assert workers.code() == 0


def test_workers_hear_that_their_supervisor_is_gone() -> None:
    """Whatever ended it."""
    with crew() as workers:
        workers.ready().process.kill()
        workers.until(lambda: sorted(workers.told(r"orphan (\d)")) == ["0", "1", "2"])


def test_nobody_can_connect_once_the_server_was_told_to_stop() -> None:
    """Refused, rather than left waiting."""
    with crew("deaf") as workers:
        workers.ready().send(signal.SIGTERM)
        workers.until(lambda: workers.ask() is None)
