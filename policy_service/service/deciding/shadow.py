"""A candidate policy beside the active one: real requests, decided twice, answered once.

INVARIANT: the candidate can do nothing to an answer: it is asked after the decision was handed to be recorded, on the
snapshot that decided, and whatever it raises is counted (test_shadow: a candidate that breaks).
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from policy_service.engine.shadow import ShadowProgram
from policy_service.engine.snapshot import Snapshot
from policy_service.model.address import address_point
from policy_service.model.decision import Decision
from policy_service.model.errors import StoreError
from policy_service.model.facts import ShadowBundle
from policy_service.model.instants import format_rfc3339
from policy_service.model.request import Request
from policy_service.service.following.replica import Replica
from policy_service.service.policies.bundles import Bundles
from policy_service.service.ports import Decided, DecisionSink
from policy_service.service.recording.groups import Group

Change = Literal["allow_to_deny", "deny_to_allow", "other_reason"]
EXAMPLES: Final = 100
MAX_KINDS: Final = 500
"""Different flips that are counted apart; the rest is counted together: the metrics of a huge policy stay bounded."""

MAX_CLAIMS_BYTES: Final = 4096
_REST: Final = ("other_reason", "(others)", "")
_LOG: Final = logging.getLogger(__name__)


class ShadowReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it so far, in this process.

    Args:
        digest: the candidate's; None: no bundle is in shadow.
        state: `linking`: not compared yet.
        compared: decisions made twice, flips among them.
        failures: times that the candidate raised an exception; a fault of a condition is none.
        flips: how often, by change, and reason and rule of the side that denies (`other_reason`: of the candidate).
        examples: the newest last.
    """

    digest: str | None
    state: Literal["off", "linking", "running"]
    compared: int
    failures: int
    flips: dict[tuple[str, str, str], int]
    examples: tuple[dict[str, Any], ...]


class Shadow:
    """A DecisionSink that records in another one first, and then compares.

    It belongs to the thread that owns the replica's snapshot; `report` may be asked from any.
    """

    def __init__(self, replica: Replica, bundles: Bundles, sink: DecisionSink) -> None:
        self._replica = replica
        self._bundles = bundles
        self._sink = sink
        self._seen = -1
        self._use(None)

    def record(self, decided: Sequence[Decided]) -> Group:
        """As DecisionSink says. Nothing of the comparison is ever raised; it counts once the records are written."""
        group = self._sink.record(decided)
        try:
            snapshot = self._replica.view()
            candidate = self._candidate(snapshot)
            if candidate is not None:
                pairs = [(one, self._other(candidate, one, snapshot)) for one in decided]
                digest = self._digest
                group.then(lambda: self._compare(digest, pairs) if group.failure is None else None)
        except Exception:
            self._failed()
        return group

    def report(self) -> ShadowReport:
        """What came of it so far."""
        state: Literal["off", "linking", "running"] = "off"
        if self._digest is not None:
            state = "linking" if self._program is None else "running"
        return ShadowReport(
            digest=self._digest,
            state=state,
            compared=self._compared,
            failures=self._failures,
            flips=dict(self._flips),
            examples=tuple(self._examples),
        )

    def follow(self) -> None:
        """Look which bundle is in shadow now, where the facts can be had; a decision does so by itself."""
        with contextlib.suppress(StoreError):
            self._candidate(self._replica.view())

    def _use(self, digest: str | None) -> None:
        self._digest = digest
        self._program: ShadowProgram | None = None
        self._compared = self._failures = 0
        self._flips: Counter[tuple[str, str, str]] = Counter()
        self._examples: deque[dict[str, Any]] = deque(maxlen=EXAMPLES)

    def _candidate(self, snapshot: Snapshot) -> ShadowProgram | None:
        """The candidate, once it is linked. Cost: a comparison, where nothing has changed."""
        is_waiting = self._digest is not None and self._program is None
        if snapshot.revision != self._seen or is_waiting:
            fact = snapshot.fact(ShadowBundle.entity, ("shadow",))
            digest = fact.digest if isinstance(fact, ShadowBundle) else None
            if digest != self._digest:
                self._use(digest)
            if digest is not None and self._program is None:
                program = self._bundles.ready_program(digest)
                self._program = None if program is None else ShadowProgram(program)
            self._seen = snapshot.revision
        return self._program

    def _other(self, candidate: ShadowProgram, decided: Decided, snapshot: Snapshot) -> Decision | None:
        """The candidate's decision; None where it failed."""
        try:
            return candidate.decide(decided.request, snapshot, decided.decision.now)
        except Exception:
            self._failed()
            return None

    def _compare(self, digest: str | None, pairs: Sequence[tuple[Decided, Decision | None]]) -> None:
        """Count what the candidate of that digest would change, unless another took its place meanwhile."""
        for decided, other in pairs if digest == self._digest else ():
            if other is not None:
                self._compared += 1
                self._flip(decided, other)

    def _flip(self, decided: Decided, other: Decision) -> None:
        actual = decided.decision
        change = change_of(actual, other)
        if change is not None:
            told = actual if change == "deny_to_allow" else other
            kind = (change, told.reason, told.rule or "")
            self._flips[kind if kind in self._flips or len(self._flips) < MAX_KINDS else _REST] += 1
            self._examples.append(_example(change, decided, other))

    def _failed(self) -> None:
        if not self._failures:
            _LOG.exception("the bundle in shadow failed; answers are not touched")
        self._failures += 1


def change_of(actual: Decision, other: Decision) -> Change | None:
    """What the candidate would change; None where it gives the same answer for the same reason by the same rule."""
    if actual.allowed != other.allowed:
        return "allow_to_deny" if actual.allowed else "deny_to_allow"
    return None if (actual.reason, actual.rule) == (other.reason, other.rule) else "other_reason"


def _example(change: Change, decided: Decided, other: Decision) -> dict[str, Any]:
    actual = decided.decision
    return {
        "decision_id": decided.decision_id,
        "decided_at": format_rfc3339(actual.now),
        "revision": actual.revision,
        "change": change,
        "active": _side(actual),
        "candidate": _side(other),
        "request": _request(decided.request, actual),
    }


def _side(decision: Decision) -> dict[str, Any]:
    return {
        "decision": "allow" if decision.allowed else "deny",
        "reason": decision.reason,
        "check": decision.check,
        "rule": decision.rule,
        "bundle": decision.bundle,
    }


def _request(request: Request, decision: Decision) -> dict[str, Any]:
    """What was asked. Never the key's text; a source address only where it is one, for anything may have come there."""
    source = request.source_ip
    resource = request.resource
    return {
        "key_id": decision.key_id,
        "scope": request.scope[:128],
        "resource": {
            "type": resource.type,
            "id": resource.id,
            "workspace": decision.workspace,
            "owner": resource.owner,
            "attributes": _bounded(resource.attributes),
        },
        "source_ip": source if source is not None and address_point(source) is not None else None,
        "context": _bounded(request.context),
    }


def _bounded(claims: dict[str, Any]) -> dict[str, Any] | None:
    """A caller's claims; None where they are too large to keep. The decision's record has them."""
    return claims if len(msgspec.json.encode(claims)) <= MAX_CLAIMS_BYTES else None
