"""A decision record for tests, each part replaceable."""

from __future__ import annotations

from typing import Any

from policy_service.ledger.record import (
    SCHEMA,
    DecisionRecord,
    RecordedCaller,
    RecordedCredential,
    RecordedFacts,
    RecordedPrincipal,
    RecordedRequest,
    RecordedResource,
)

CHAIN = "c0" * 32
BUNDLE = "sha256:" + "b0" * 32


def a_request(**changes: Any) -> RecordedRequest:
    """A recorded request."""
    parts: dict[str, Any] = {
        "credential": RecordedCredential(outcome="verified", key_id="K00000000001", slot=1),
        "scope": "pipelines:run",
        "resource": RecordedResource(type="pipeline", id="etl-42", workspace="demo"),
        "source_ip": "203.0.113.7",
    }
    return RecordedRequest(**parts | changes)


def a_record(**changes: Any) -> DecisionRecord:
    """A record of a service key that was allowed."""
    parts: dict[str, Any] = {
        "v": SCHEMA,
        "id": "D000000000000000000001",
        "at": "1800000000000000000",
        "semantics": 1,
        "caller": RecordedCaller(
            actor="key:K00000000002", workspace="system", verdict="allowed", key_id="K00000000002"
        ),
        "workspace": "demo",
        "request": a_request(),
        "facts": RecordedFacts(key_scopes=("pipelines:run",), registered=False, address="203.0.113.7"),
        "decision": "allow",
        "reason": "allowed",
        "revision": 7,
        "chain": CHAIN,
        "bundle": BUNDLE,
        "principal": RecordedPrincipal(kind="service", id="ci"),
    }
    return DecisionRecord(**parts | changes)
