"""What `/metrics` tells of the ledger: read when asked, counted where records are written."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from policy_service.service.ports import CheckpointState
from policy_service.service.recording.recorder import SIZES, Recorder, RecorderReport
from policy_service.service.services import Services


class LedgerMeter(Collector):
    """Records, writes and what failed, in this process; its checkpoints, and the age of the last."""

    def __init__(self) -> None:
        self.services: Services | None = None

    def collect(self) -> Iterator[Metric]:
        """As the registry asks. Nothing where decisions leave no record."""
        if self.services is None or self.services.recorder is None:
            return
        yield from _written(self.services.recorder.report())
        yield from _state(self.services.recorder)
        if self.services.checkpoints is not None:
            yield from _checkpoints(self.services.checkpoints)


def _written(report: RecorderReport) -> Iterator[Metric]:
    yield CounterMetricFamily("policy_service_ledger_records", "Decisions recorded.", value=report.records)
    yield CounterMetricFamily("policy_service_ledger_bytes", "Bytes of records written.", value=report.bytes)
    yield CounterMetricFamily(
        "policy_service_ledger_failures", "Groups of records that could not be written.", value=report.failures
    )
    sizes = HistogramMetricFamily(
        "policy_service_ledger_records_per_write", "Records that one write took: the size of groups."
    )
    buckets = [(str(float(size)), count) for size, count in zip(SIZES, report.sizes, strict=True)]
    sizes.add_metric([], [*buckets, ("+Inf", report.writes)], sum_value=report.records)
    yield sizes


def _checkpoints(checkpoints: CheckpointState) -> Iterator[Metric]:
    age = checkpoints.age_s()
    if age is not None:
        yield GaugeMetricFamily(
            "policy_service_ledger_checkpoint_age_seconds", "Time since the last signed checkpoint.", value=age
        )
    report = checkpoints.report()
    told = (
        ("signed", "Checkpoints signed.", report.signed),
        ("sign_failures", "Attempts to sign a checkpoint that gave none.", report.sign_failures),
        ("delivered", "Checkpoints carried off to the sink.", report.delivered),
        ("delivery_failures", "Attempts to carry a checkpoint off that failed.", report.delivery_failures),
    )
    for name, meaning, value in told:
        yield CounterMetricFamily(f"policy_service_ledger_checkpoints_{name}", meaning, value=value)


def _state(recorder: Recorder) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "policy_service_ledger_writable", "1 while records can be written, else 0.", value=recorder.trouble() is None
    )
    yield GaugeMetricFamily(
        "policy_service_ledger_warning",
        "1 while something is in sight that will stop the writing, such as little space, else 0.",
        value=recorder.warning() is not None,
    )
