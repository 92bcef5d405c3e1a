"""Any worker answers `/readyz` and `/metrics` for all: each tells the others where it stands and what it counts.

State is told whenever it may have changed; meters every second and before they are shown, so that no counter
that was shown is ever shown lower.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from policy_service.api.meters import Meters
from policy_service.model.errors import StoreError
from policy_service.service.clock import elapsed_s
from policy_service.service.following.crew import Crew, Member, WorkerState
from policy_service.service.services import Services

TELL_S: Final = 1.0
"""Pause between two publications of this worker's meters."""
_OWN: Final = frozenset({"policy_service_revision", "policy_service_lag_revisions"})
"""Told anew from the states, which are younger than the meters."""

_LOG: Final = logging.getLogger(__name__)


class _Family(msgspec.Struct, frozen=True, array_like=True):
    """A metric with its samples, as it travels from worker to worker."""

    name: str
    documentation: str
    type: str
    samples: list[tuple[str, dict[str, str], float]]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[_Family])


class CrewDesk:
    """One worker's part in what all of them tell.

    Args:
        ready: raises StoreError where this worker does not decide.
        elapsed: seconds on a scale that all processes of the machine share.
    """

    def __init__(
        self,
        member: Member,
        services: Services,
        meters: Meters,
        ready: Callable[[], object],
        *,
        elapsed: Callable[[], float] = elapsed_s,
    ) -> None:
        self._member = member
        self._services = services
        self._meters = meters
        self._ready = ready
        self._elapsed = elapsed
        self._is_full = False

    @property
    def number(self) -> int:
        """Which worker this is."""
        return self._member.number

    async def run(self) -> None:
        """Tell every second, until cancelled. Between, the follower has the state told."""
        while True:
            self.tell()
            self._publish()
            await asyncio.sleep(TELL_S)

    def tell(self) -> None:
        """Say where this worker stands. Cost: some 10 µs."""
        services = self._services
        self._member.tell(
            WorkerState(
                pid=os.getpid(),
                revision=services.replica.revision,
                told_at=self._elapsed(),
                trouble=self._trouble(),
                policy_error=None if services.watch is None else services.watch.error,
            )
        )

    def _trouble(self) -> str | None:
        try:
            self._ready()
        except StoreError as error:
            return error.code
        return None

    def policy_error(self) -> str | None:
        """The mistake in the rule files that one of the workers watches."""
        return next((state.policy_error for _, state in self._states() if state.policy_error is not None), None)

    def workers(self) -> list[dict[str, Any]]:
        """What `/readyz` shows of each."""
        self.tell()
        return [
            {"worker": number, "revision": state.revision, "trouble": self._member.crew.trouble(number)}
            for number, state in self._states()
        ]

    def text(self, head: int | None) -> bytes:
        """Prometheus' text for all workers. `head` None: the store cannot be read."""
        self.tell()
        self._publish(head)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_All(self._member.crew, list(self._standing(head))))
        return generate_latest(registry)

    def _publish(self, head: int | None = None) -> None:
        revision, is_followed = self._services.replica.revision, self._services.follower.trouble is None
        self._meters.freshness(revision, head if head is not None else revision if is_followed else None)
        told = self._member.publish(_ENCODER.encode(self._families()))
        if not told and not self._is_full:
            _LOG.error("this worker counts by too many labels to tell the others; its meters are those of before")
        self._is_full = not told

    def _families(self) -> list[_Family]:
        return [_family(metric) for metric in self._meters.registry.collect() if metric.name not in _OWN]

    def _states(self) -> Iterator[tuple[int, WorkerState]]:
        crew = self._member.crew
        return ((number, crew.state(number)) for number in range(crew.count))

    def _standing(self, head: int | None) -> Iterator[Metric]:
        """Which workers there are, and how fresh the facts of each."""
        up = GaugeMetricFamily("policy_service_worker_up", "1 while a worker decides, else 0.", labels=["worker"])
        seen = GaugeMetricFamily("policy_service_revision", "The last change this worker has seen.", labels=["worker"])
        lag = GaugeMetricFamily(
            "policy_service_lag_revisions", "Committed changes that this worker has not seen yet.", labels=["worker"]
        )
        for number, state in self._states():
            up.add_metric([str(number)], self._member.crew.trouble(number) is None)
            if state.pid:
                seen.add_metric([str(number)], state.revision)
                if head is not None:
                    lag.add_metric([str(number)], max(head - state.revision, 0))
        return iter((up, seen, lag))


class _All(Collector):
    """The meters of every worker, each sample labelled with its worker's number."""

    def __init__(self, crew: Crew, standing: Iterable[Metric]) -> None:
        self._crew = crew
        self._standing = standing

    def collect(self) -> Iterator[Metric]:
        """As the registry asks."""
        families: dict[str, Metric] = {}
        for number in range(self._crew.count):
            text = self._crew.meters(number)
            for family in _DECODER.decode(text) if text else []:
                metric = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                metric.samples += [
                    Sample(name, {**labels, "worker": str(number)}, value) for name, labels, value in family.samples
                ]
        yield from self._standing
        yield from families.values()


def _family(metric: Metric) -> _Family:
    samples = [(one.name, dict(one.labels), float(one.value)) for one in metric.samples]
    return _Family(metric.name, metric.documentation, metric.type, samples)
