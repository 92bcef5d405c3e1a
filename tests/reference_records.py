"""Records as structs, member by member: slow and obvious. Lines put together from texts are held against them."""

from __future__ import annotations

import msgspec

from policy_service.engine.seen import Seen
from policy_service.ledger.codec import is_plain
from policy_service.ledger.record import (
    SCHEMA,
    DecisionRecord,
    RecordedCaller,
    RecordedCredential,
    RecordedRequest,
    RecordedResource,
)
from policy_service.model.canonical import canonical_plain, canonical_text
from policy_service.model.decision import SEMANTICS
from policy_service.model.request import Credential, Request
from policy_service.service.caller import Caller
from policy_service.service.ports import Decided
from policy_service.service.recording.record_lines import LineWriter, recorded_facts, recorded_principal

line_of = LineWriter().line_of
"""One writer for whole test runs: what it remembers of the last line must not show in the next."""


def record_of(decided: Decided, seen: Seen) -> DecisionRecord:
    """What is recorded of a decision."""
    decision = decided.decision
    return DecisionRecord(
        v=SCHEMA,
        id=decided.decision_id,
        at=str(decision.now),
        semantics=SEMANTICS,
        caller=_caller(decided.caller),
        workspace=decision.workspace or decided.caller.workspace,
        request=recorded_request(decided.request, decided.key_fingerprint),
        facts=recorded_facts(seen),
        decision="allow" if decision.allowed else "deny",
        reason=decision.reason,
        revision=decision.revision,
        chain=decided.chain,
        bundle=decision.bundle,
        principal=recorded_principal(decision),
        check=decision.check,
        rule=decision.rule,
        batch_id=decided.batch_id,
        item_id=decided.item_id,
        request_id=decided.request_id,
        trace_id=decided.trace_id,
        explained=decided.explained,
    )


def recorded_request(request: Request, fingerprint: str | None = None) -> RecordedRequest:
    """A request as records have it: what `replayed_request` makes a request of again."""
    return RecordedRequest(
        credential=_credential(request.credential, fingerprint),
        scope=request.scope,
        resource=_resource(request),
        source_ip=request.source_ip,
        context=request.context,
    )


def encode_request(request: RecordedRequest) -> bytes:
    """The canonical form of a request alone."""
    if is_plain(request.context) and is_plain(request.resource.attributes):
        return canonical_plain(request)
    return canonical_text(msgspec.to_builtins(request)).encode()


def _caller(caller: Caller) -> RecordedCaller:
    return RecordedCaller(actor=caller.actor, workspace=caller.workspace, verdict="allowed", key_id=caller.key_id)


def _credential(credential: Credential, fingerprint: str | None) -> RecordedCredential:
    return RecordedCredential(
        outcome=credential.outcome, key_id=credential.key_id, slot=credential.slot, fingerprint=fingerprint
    )


def _resource(request: Request) -> RecordedResource:
    asked = request.resource
    return RecordedResource(
        type=asked.type, id=asked.id, workspace=asked.workspace, owner=asked.owner, attributes=asked.attributes
    )
