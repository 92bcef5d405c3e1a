"""Engines over HTTP on one core: rates in turn, latency by connections, latency at a fixed rate of arrival.

Every engine is asked the same questions, those that all of them can answer. `cpu_us` is the server's processor time for
an answer: on a shared machine its ratios say more than those of rates.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any, Final

import msgspec

from bench.peers import load, targets
from bench.peers.peer import common
from bench.peers.targets import Target
from bench.questions import Question, judged
from bench.workloads import World

CONNECTIONS: Final = 32
BATCH: Final = 100
IN_BATCHES: Final = f"{targets.OURS}, batches of {BATCH}"

Make = Callable[[World], AbstractContextManager[Target | str]]
MAKES: Final[dict[str, Make]] = {
    targets.OURS: targets.ours,
    targets.CERBOS: targets.cerbos_server,
    targets.PLAIN: targets.plain,
    targets.FSYNC: partial(targets.ours, durability="fsync"),
    targets.ROUTE: partial(targets.ours, lane="off"),
}
ALL: Final = tuple(MAKES)
BESIDE: Final = ALL[:3]
"""Those that are compared throughout; `fsync`, the documented route and batches in their rates only."""


class Running(msgspec.Struct, frozen=True):
    """Servers whose answers were compared, the questions they share, and why some are not there."""

    world: World
    engines: list[Target]
    asked: list[Question]
    skipped: dict[str, str]

    def beside(self) -> list[Target]:
        """Those that are compared throughout."""
        return [one for one in self.engines if one.name in BESIDE]

    def about(self) -> dict[str, Any]:
        """What the figures are about."""
        reasons = sorted({question.reason for question in self.asked})
        beyond = {one.name: dict(one.beyond) for one in self.engines}
        return {
            "keys": self.world.keys,
            "rules": self.world.rules,
            "reasons": reasons,
            "beyond": beyond,
            "skipped": self.skipped,
        }


@contextmanager
def running(world: World, names: Sequence[str], questions: int) -> Iterator[Running]:
    """Servers, each with the whole world. Raises DisagreementError unless they all answer as expected."""
    with ExitStack() as stack:
        started = {name: stack.enter_context(MAKES[name](world)) for name in names}
        engines = [one for one in started.values() if isinstance(one, Target)]
        asked = common(judged(world, questions), [one.beyond for one in engines])
        for one in engines:
            one.check(asked)
        yield Running(world, engines, asked, {name: why for name, why in started.items() if isinstance(why, str)})


def rates(servers: Running, rounds: int, seconds: int) -> list[dict[str, Any]]:
    """As fast as answers come, over 32 connections; each engine once a round."""
    return _in_turn(servers.engines, servers.asked, rounds, seconds)


def in_batches(servers: Running, rounds: int, seconds: int) -> list[dict[str, Any]]:
    """Our server as fast as answers to batches come.

    To be measured last: when the load stops, the server has batches left to answer, which whoever came next would feel.
    """
    return _in_turn([_batched(servers.engines[0])], servers.asked, rounds, seconds)


def _in_turn(engines: Sequence[Target], asked: Sequence[Question], rounds: int, seconds: int) -> list[dict[str, Any]]:
    runs: dict[str, list[load.Loaded]] = {one.name: [] for one in engines}
    for _ in range(rounds):
        for one in engines:
            runs[one.name].append(load.closed_loop(one, _bodies(one, asked), CONNECTIONS, seconds))
    return [_rate(one, runs[one.name]) for one in engines]


def by_connections(servers: Running, counts: Sequence[int], rounds: int, seconds: int) -> list[dict[str, Any]]:
    """As fast as answers come, over more and more connections."""
    return [
        {"engine": one.name, **msgspec.to_builtins(load.closed_loop(one, one.bodies(servers.asked), count, seconds))}
        for count in counts
        for _ in range(rounds)
        for one in servers.beside()
    ]


def at_half_of_peak(servers: Running, peaks: dict[str, float], rounds: int, seconds: int) -> list[dict[str, Any]]:
    """Open loop: arrivals at half of each engine's own peak.

    Args:
        peaks: answers a second by engine, of a closed loop.
    """
    return [
        {
            "engine": one.name,
            **load.open_loop(one, one.bodies(servers.asked), round(peaks[one.name] / 2, 1), CONNECTIONS, seconds),
        }
        for _ in range(rounds)
        for one in servers.beside()
    ]


def _batched(one: Target) -> Target:
    """The same server, asked a hundred questions at a time."""
    return msgspec.structs.replace(one, name=IN_BATCHES, path="/decide/batch")


def _bodies(one: Target, asked: Sequence[Question]) -> list[str]:
    if not one.path.endswith("/batch"):
        return one.bodies(asked)
    single = [json.loads(body) for body in one.bodies(asked)]
    return [json.dumps({"requests": single[start : start + BATCH]}) for start in range(0, len(single) - BATCH, BATCH)]


def _rate(one: Target, runs: Sequence[load.Loaded]) -> dict[str, Any]:
    """Medians over the rounds, for a decision; a batch is a hundred of them."""
    each = BATCH if one.path.endswith("/batch") else 1
    assert not any(run.failures for run in runs), f"{one.name}: some answers were no decisions"
    return {
        "engine": one.name,
        "decisions_a_second": round(statistics.median(run.rate for run in runs) * each, 1),
        "cpu_us": round(statistics.median(run.cpu_us for run in runs) / each, 2),
        "p50_ms": round(statistics.median(run.p50_ms for run in runs), 3),
        "p99_ms": round(statistics.median(run.p99_ms for run in runs), 3),
        "peak_mb": round(one.peak_mb(), 1),
        "rounds": [round(run.rate * each, 1) for run in runs],
    }
