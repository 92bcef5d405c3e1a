"""What is measured, section by section, in a thorough and in a quick form. Each gives plain data for JSON."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, Final

import msgspec

from bench import decide as kinds_of_key
from bench.peers import inprocess, load, many_keys, over_http
from bench.workloads import World
from policy_service.engine.link import compile_policy
from policy_service.engine.snapshot import Snapshot
from policy_service.language.load import load_policy
from policy_service.model.request import Request


class Effort(msgspec.Struct, frozen=True):
    """How thorough a run is.

    Args:
        questions: of each engine.
        seconds: of one engine in one round, in process.
        servers, http_rounds: over HTTP.
        load_s: of one run of load.
    """

    rules: tuple[int, ...] = (10, 100, 1000, 10_000)
    keys: tuple[int, ...] = (1000, 10_000, 100_000)
    connections: tuple[int, ...] = (1, 8, 32, 128)
    questions: int = 400
    rounds: int = 5
    seconds: float = 0.2
    servers: tuple[str, ...] = over_http.ALL
    http_rounds: int = 3
    load_s: int = 4


QUICK: Final = Effort(
    rules=(10, 100),
    keys=(1000, 10_000),
    connections=(1, 32),
    questions=100,
    rounds=2,
    seconds=0.1,
    servers=over_http.BESIDE,
    http_rounds=1,
    load_s=1,
)


def rules(effort: Effort) -> Any:
    """Every engine in process, by the number of rules."""
    return [
        inprocess.compare(World(rules=count), inprocess.ALL, effort.questions, effort.rounds, effort.seconds)
        for count in effort.rules
    ]


def smallest(effort: Effort) -> Any:
    """Ours with the whole chain beside Cedar with one policy that permits all."""
    names = (inprocess.OURS, "cedarpy, one policy")
    return inprocess.compare(World(rules=10), names, effort.questions, effort.rounds, effort.seconds)


def kinds(effort: Effort) -> Any:
    """Ours in process by kind of key, with the fewest and the most rules, in turn: many short rounds."""
    found = []
    for count in (effort.rules[0], effort.rules[-1]):
        program = compile_policy(load_policy(kinds_of_key.rule_files(count)))
        found += [_Kind(count, *case) for case in kinds_of_key.cases(program)]
    for _ in range(effort.rounds * _FINER):
        for one in found:
            one.time(effort.seconds / _FINER)
    return [one.line() for one in found]


_FINER: Final = 4


class _Kind:
    """One case of `bench.decide`, timed in rounds."""

    def __init__(self, rules: int, name: str, snapshot: Snapshot, asked: Request, reason: str) -> None:
        self._rules, self._name = rules, name
        self._case = (snapshot, asked, reason)
        self._rounds_ns: list[tuple[float, float]] = []

    def time(self, seconds: float) -> None:
        self._rounds_ns.append(kinds_of_key.measure_case(*self._case, seconds))

    def line(self) -> dict[str, Any]:
        """Medians in µs, and the rounds that they are of."""
        alone, with_secret = ([round(ns / 1000, 3) for ns in times] for times in zip(*self._rounds_ns, strict=True))
        return {
            "case": self._name,
            "rules": self._rules,
            "decide_us": statistics.median(alone),
            "with_secret_us": statistics.median(with_secret),
            "rounds_us": alone,
        }


def keys(effort: Effort) -> Any:
    """Ours in process, by the number of keys."""
    return many_keys.measure(effort.keys, effort.rounds, effort.seconds)


def http(effort: Effort) -> Any:
    """Over HTTP beside Cerbos and the plain route: rates, latency by connections and at a fixed rate of arrival."""
    with over_http.running(World(rules=10), effort.servers, effort.questions) as servers:
        rates = over_http.rates(servers, effort.http_rounds, effort.load_s)
        peaks = {line["engine"]: line["decisions_a_second"] for line in rates}
        return {
            **servers.about(),
            "connections": over_http.by_connections(servers, effort.connections, effort.http_rounds, effort.load_s),
            "half_of_peak": over_http.at_half_of_peak(servers, peaks, effort.http_rounds, effort.load_s),
            "generator": load.ceiling(effort.load_s),
            "rates": [*rates, *over_http.in_batches(servers, effort.http_rounds, effort.load_s)],
        }


SECTIONS: Final[dict[str, Callable[[Effort], Any]]] = {
    "rules": rules,
    "smallest": smallest,
    "kinds": kinds,
    "keys": keys,
    "http": http,
}


def why_not(section: str) -> str | None:
    """Why a section cannot be measured here; None where it can."""
    return load.WHY_NO_WRK if section == "http" and not load.has_wrk() else None
