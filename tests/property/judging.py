"""Judging drawn cases: by the engine, and by the oracle."""

from __future__ import annotations

from collections.abc import Iterable

from policy_service.engine.decide import decide
from policy_service.model.decision import Decision
from policy_service.model.facts import Fact
from policy_service.model.request import Request
from tests.oracle.oracle import Verdict
from tests.property.policies import Documents, render
from tests.worlds import program_of, snapshot_of

Asked = Iterable[tuple[Request, int]]


def verdict_of(decision: Decision) -> Verdict:
    """Of a decision, what the oracle says too."""
    return Verdict(decision.allowed, decision.reason, decision.check, decision.rule, decision.http_status)


def judged(documents: Documents, facts: list[Fact], asked: Asked) -> list[Verdict]:
    """The engine's verdicts on each request, in a snapshot made anew."""
    snapshot = snapshot_of(program_of(render(documents)), facts)
    return [verdict_of(decide(request, snapshot, now)) for request, now in asked]
