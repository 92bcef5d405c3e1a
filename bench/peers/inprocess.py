"""Engines in process: each in a process of its own, told when to answer, when to time, and when to tell its memory.

So rounds can go A B C A B C while each engine's memory is its own. What is timed is processor time: on an idle machine
that is the time that passes, on a shared one it is what counts.
"""

from __future__ import annotations

import importlib
import multiprocessing
import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from bench.peers.peer import Peer, common
from bench.questions import Question, judged
from bench.questions import questions as drawn
from bench.workloads import World

PEERS: Final = {
    "policy-service": "bench.peers.ours:Ours",
    "policy-service, secret checked": "bench.peers.ours:OursWithSecret",
    "cedarpy": "bench.peers.cedar:Cedar",
    "cedarpy, one policy": "bench.peers.cedar:CedarOnePolicy",
    "pycasbin": "bench.peers.pycasbin:Casbin",
    "regorus": "bench.peers.rego:Regorus",
    "regopy": "bench.peers.rego:RegoCpp",
}
ALL: Final = tuple(name for name in PEERS if name != "cedarpy, one policy")
"""The engines that can be asked everything that some other can."""
OURS, WITH_SECRET = "policy-service", "policy-service, secret checked"
FEWER: Final = 50
"""So many questions at most with more than 1,000 rules, where some engines take tens of milliseconds to answer."""
CHUNK: Final = 10
"""Questions between two looks at the clock."""


class DisagreementError(AssertionError):
    """Engines that answer differently are not compared."""


class Worker:
    """An engine in a process of its own."""

    def __init__(self, name: str, connection: Connection, ready: dict[str, Any]) -> None:
        self.name = name
        self._connection = connection
        self.ready = ready
        self.rounds_us: list[float] = []

    @property
    def beyond(self) -> Mapping[str, str]:
        """What it cannot deny for, and why."""
        beyond: Mapping[str, str] = self.ready["beyond"]
        return beyond

    def ask(self, what: str, *arguments: Any) -> Any:
        """Have it do something; what came of it."""
        self._connection.send((what, arguments))
        return self._connection.recv()

    def time(self, seconds: float) -> None:
        """One round more."""
        self.rounds_us.append(self.ask("time", seconds))

    def result(self, ours: Worker) -> dict[str, Any]:
        """Its line of the table."""
        return {
            "engine": self.name,
            "version": self.ready["version"],
            "median_us": round(statistics.median(self.rounds_us), 2),
            "times_ours": round(median_ratio(self.rounds_us, ours.rounds_us), 2),
            "setup_s": round(self.ready["setup_s"], 2),
            "built_mb": round(self.ready["built_mb"], 1),
            "peak_mb": round(self.ask("peak"), 1),
        }


@contextmanager
def worker(name: str, world: World, count: int) -> Iterator[Worker | str]:
    """A running engine; where its package is not installed, why there is none."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, name, world, count), daemon=True)
    process.start()
    there.close()
    try:
        ready = here.recv()
        yield ready if isinstance(ready, str) else Worker(name, here, ready)
    finally:
        here.close()
        process.join()


def compare(world: World, names: Sequence[str], questions: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Engines on one world: answers first, then rounds in turn.

    Args:
        questions: how many; each engine in a round is asked them over and over, for so many seconds.

    Raises:
        DisagreementError: some engine's answer is not the expected one; nothing has been timed.
    """
    count = questions if world.rules <= 1000 else min(questions, FEWER)
    asked = judged(world, count)
    with ExitStack() as stack:
        started = {name: stack.enter_context(worker(name, world, count)) for name in names}
        workers = [one for one in started.values() if isinstance(one, Worker)]
        shared = common(asked, [one.beyond for one in workers])
        for one in workers:
            _check_answers(one, asked, shared)
        for _ in range(rounds):
            for one in workers:
                one.time(seconds)
        ours = next(one for one in workers if one.name == OURS)
        results = [one.result(ours) for one in workers]
    return {
        "keys": world.keys,
        "rules": world.rules,
        "reasons": sorted({question.reason for question in shared}),
        "engines": results,
        "beyond": {one.name: dict(one.beyond) for one in workers},
        "skipped": {name: why for name, why in started.items() if isinstance(why, str)},
    }


def median_ratio(these: Sequence[float], those: Sequence[float]) -> float:
    """The median of the ratios, round by round: what slows the machine for a while slows both, and falls out."""
    return statistics.median(this / that for this, that in zip(these, those, strict=True))


def _check_answers(one: Worker, asked: Sequence[Question], shared: Sequence[Question]) -> None:
    """Every answer of an engine within its own limits must be right; then let it keep the shared questions only."""
    mine = [index for index, question in enumerate(asked) if question.reason not in one.beyond]
    answers = one.ask("answer", mine)
    wrong = [asked[index] for index, answer in zip(mine, answers, strict=True) if answer != asked[index].allowed]
    if wrong:
        raise DisagreementError(f"{one.name} answers {len(wrong)} of {len(mine)} otherwise, first {wrong[0]}")
    kept = {id(question) for question in shared}
    one.ask("keep", [index for index, question in enumerate(asked) if id(question) in kept])


# ---- in the engine's own process


def _work(connection: Connection, name: str, world: World, count: int) -> None:
    """Build the engine, then do as told until nobody tells any more."""
    module, class_name = PEERS[name].split(":")
    kind: type[Peer] = getattr(importlib.import_module(module), class_name)
    asked, before, started = drawn(world, count), memory_mb("VmRSS"), time.perf_counter()
    try:
        peer = kind(world)
    except ImportError:
        connection.send(f"needs the package `{kind.requires}`: pip install --editable '.[bench]'")
        return
    ready = {"setup_s": time.perf_counter() - started, "before_mb": before, "built_mb": memory_mb("VmRSS") - before}
    connection.send({**ready, "beyond": dict(kind.beyond), "version": _version(kind.requires)})
    _obey(connection, Bench(peer, asked))


def _obey(connection: Connection, bench: Bench) -> None:
    while True:
        try:
            what, arguments = connection.recv()
        except EOFError:
            return
        connection.send(getattr(bench, what)(*arguments))


class Bench:
    """What a worker can be told to do."""

    def __init__(self, peer: Peer, asked: list[Question]) -> None:
        self._peer = peer
        self._asked = asked
        self._kept: list[Any] = []

    def answer(self, indexes: list[int]) -> list[bool]:
        """Its answers to some questions."""
        return [self._peer.allows(self._peer.prepare(self._asked[index])) for index in indexes]

    def keep(self, indexes: list[int]) -> None:
        """Prepare the questions that will be timed."""
        self._kept = [self._peer.prepare(self._asked[index]) for index in indexes]

    def time(self, seconds: float) -> float:
        """Microseconds a question, over whole chunks, for about so many seconds."""
        allows, source, count = self._peer.allows, cycle(self._kept), 0
        start, end = time.process_time_ns(), time.perf_counter() + seconds
        while time.perf_counter() < end:
            for prepared in islice(source, CHUNK):
                allows(prepared)
            count += CHUNK
        return (time.process_time_ns() - start) / count / 1000

    def peak(self) -> float:
        """Most resident memory that this process ever had, MB."""
        return memory_mb("VmHWM")


def _version(package: str) -> str:
    """Of an installed package; ours may be a checkout that is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "checkout"


def memory_mb(field: str) -> float:
    """A line of /proc/self/status; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(rf"^{field}:\s+(\d+) kB", status.read_text(), re.M) if status.exists() else None
    return int(found[1]) / 1024 if found else 0.0
