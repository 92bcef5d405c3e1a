"""Counters of decisions and the time they took: a few additions to count, put into Prometheus' form when asked.

Belongs to one event loop. A counter of the client library takes a lock and looks its labels up, which for each answer
would cost as much as reading the question.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS: Final = (25e-6, 50e-6, 1e-4, 25e-5, 5e-4, 1e-3, 25e-4, 5e-3, 1e-2, 5e-2, 0.25, 1.0)
"""Upper bounds of the histogram, in seconds."""

_BOUNDS: Final = (*map(str, BUCKETS), "+Inf")


class _Times:
    """The times of one route. `counts`: of each bucket by itself, the last one for those past every bound."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.total_s = 0.0


class DecisionMeter(Collector):
    """Decisions by outcome and reason; seconds by route."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[bool, str], int] = {}
        self._times: dict[str, _Times] = {}

    def decided(self, allowed: bool, reason: str) -> None:
        """Count one decision. Cost: 0.1 µs."""
        kind = (allowed, reason)
        self._decisions[kind] = self._decisions.get(kind, 0) + 1

    def took(self, route: str, seconds: float, answers: int = 1) -> None:
        """Note how long an answer took, or each of several. Cost: 0.2 µs."""
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = _Times()
        times.counts[bisect_left(BUCKETS, seconds)] += answers
        times.total_s += seconds * answers

    def collect(self) -> Iterator[Metric]:
        """As the registry asks."""
        decisions = CounterMetricFamily(
            "policy_service_decisions", "Decisions, by outcome and reason.", labels=("decision", "reason")
        )
        for (allowed, reason), count in sorted(self._decisions.items()):
            decisions.add_metric(("allow" if allowed else "deny", reason), count)
        yield decisions
        seconds = HistogramMetricFamily(
            "policy_service_decide_seconds",
            "Time from a body read to an answer ready to be written, by route.",
            labels=("route",),
        )
        for route, times in sorted(self._times.items()):
            upto = list(zip(_BOUNDS, map(float, accumulate(times.counts)), strict=True))
            seconds.add_metric((route,), upto, times.total_s)
        yield seconds
