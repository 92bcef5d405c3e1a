"""What `/metrics` counts. One registry per application; no label holds an id of any tenant."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from policy_service.api.decision_meter import DecisionMeter
from policy_service.api.ledger_meter import LedgerMeter
from policy_service.api.shadow_meter import ShadowMeter
from policy_service.model.decision import Decision
from policy_service.model.reasons import REASONS


class Meters:
    """Counters of decisions and refusals, the time they took, and how fresh the facts are."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decisions = DecisionMeter()
        self.registry.register(self.decisions)
        self._refused = Counter(
            "policy_service_refused_callers_total",
            "Callers of this service who were not let in, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self._revision = Gauge(
            "policy_service_revision", "The last change this worker has seen.", registry=self.registry
        )
        self._lag = Gauge(
            "policy_service_lag_revisions",
            "Committed changes that this worker has not seen yet.",
            registry=self.registry,
        )
        self._reachable = Gauge(
            "policy_service_store_reachable", "1 while the store can be read, else 0.", registry=self.registry
        )

        self.shadow = ShadowMeter()
        self.registry.register(self.shadow)
        self.ledger = LedgerMeter()
        self.registry.register(self.ledger)
        self._folder = Gauge(
            "policy_service_policy_folder_broken",
            "1 while the watched rule files have mistakes and an older policy decides, else 0.",
            registry=self.registry,
        )

    def decided(self, decision: Decision) -> None:
        """Count one decision."""
        self.decisions.decided(decision.allowed, decision.reason)

    def refused(self, reason: str) -> None:
        """Count one caller who was not let in. Only reasons of the fixed chain are: the label stays small."""
        if reason in REASONS:
            self._refused.labels(reason).inc()

    def took(self, route: str, seconds: float) -> None:
        """Note how long an answer took."""
        self.decisions.took(route, seconds)

    def freshness(self, revision: int, head: int | None) -> None:
        """Note how fresh the facts are. `head` None: the store cannot be read."""
        self._revision.set(revision)
        self._reachable.set(0 if head is None else 1)
        if head is not None:
            self._lag.set(max(head - revision, 0))

    def folder(self, *, is_broken: bool) -> None:
        """Note how the watched rule files are."""
        self._folder.set(is_broken)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
