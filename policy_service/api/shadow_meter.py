"""What `/metrics` tells of the bundle in shadow: read when asked, counted where decisions are made."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from policy_service.service.deciding.shadow import Shadow


class ShadowMeter(Collector):
    """Comparisons, flips by reason and rule, failures. They start anew with each bundle put in shadow."""

    def __init__(self) -> None:
        self.shadow: Shadow | None = None

    def collect(self) -> Iterator[Metric]:
        """As the registry asks."""
        report = None if self.shadow is None else self.shadow.report()
        running = GaugeMetricFamily("policy_service_shadow_running", "1 while a bundle is compared in shadow, else 0.")
        running.add_metric([], 1.0 if report is not None and report.state == "running" else 0.0)
        yield running
        if report is None or report.digest is None:
            return
        yield CounterMetricFamily(
            "policy_service_shadow_compared", "Decisions also made by the bundle in shadow.", value=report.compared
        )
        yield CounterMetricFamily(
            "policy_service_shadow_failures", "Decisions that the bundle in shadow broke on.", value=report.failures
        )
        flips = CounterMetricFamily(
            "policy_service_shadow_flips",
            "Decisions that the bundle in shadow would change, by reason and rule of the side that denies.",
            labels=("change", "reason", "rule"),
        )
        for kind, count in sorted(report.flips.items()):
            flips.add_metric(kind, count)
        yield flips
