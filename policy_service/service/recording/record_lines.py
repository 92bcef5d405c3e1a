"""From a decision to its line: what is recorded of it, and what of a request may not be.

INVARIANT: a request that passes `refuse_unrecordable` takes no more than 8 KiB of its record, and no API key with the
right checksum stands in it (test_recording: the bound to the byte, keys in every place).
"""

from __future__ import annotations

import msgspec

from policy_service.engine.seen import Seen
from policy_service.ledger.codec import encode_record, encode_request, is_plain
from policy_service.ledger.lines import (
    LineCaller,
    LineCredential,
    LineFacts,
    LinePrincipal,
    LineRecord,
    LineRequest,
    LineResource,
    write_line,
)
from policy_service.ledger.record import (
    MAX_REQUEST_BYTES,
    SCHEMA,
    DecisionRecord,
    RecordedCaller,
    RecordedCredential,
    RecordedFacts,
    RecordedPrincipal,
    RecordedRequest,
    RecordedResource,
)
from policy_service.model.api_key import MIN_LENGTH, holds_api_key
from policy_service.model.decision import SEMANTICS, Decision
from policy_service.model.errors import RequestError
from policy_service.model.request import Credential, Request
from policy_service.service.caller import Caller
from policy_service.service.ports import Decided


def line_of(decided: Decided) -> bytes:
    """The line of a decision, without its line feed. Cost: about 4 µs; several times that where a claim holds a double.

    Raises:
        ValueError: it holds what JSON cannot carry; `refuse_unrecordable` would have said so.
    """
    asked, known = decided.request, decided.seen.attributes
    if is_plain(asked.context) and is_plain(asked.resource.attributes) and (known is None or is_plain(known)):
        return write_line(_line(decided))
    return encode_record(record_of(decided))


def _line(decided: Decided) -> msgspec.Struct:
    """The parts of the line, each in alphabetical order of its members."""
    decision, caller, seen = decided.decision, decided.caller, decided.seen
    return LineRecord(
        str(decision.now),
        decided.batch_id,
        decision.bundle,
        LineCaller(caller.actor, caller.key_id, "allowed", caller.workspace),
        decided.chain,
        decision.check,
        "allow" if decision.allowed else "deny",
        decided.explained or None,
        LineFacts(
            seen.address,
            seen.allowlist_network,
            seen.attributes,
            seen.key_network,
            seen.key_scopes,
            seen.owner,
            seen.registered,
            seen.roles,
            seen.teams,
        ),
        decided.decision_id,
        decided.item_id,
        None if decision.principal_id is None else LinePrincipal(decision.principal_id, decision.principal_kind),
        decision.reason,
        _line_request(decided.request, decided.key_fingerprint),
        decided.request_id,
        decision.revision,
        decision.rule,
        SEMANTICS,
        decided.trace_id,
        SCHEMA,
        decision.workspace or caller.workspace,
    )


def _line_request(request: Request, fingerprint: str | None) -> msgspec.Struct:
    shown, asked = request.credential, request.resource
    return LineRequest(
        request.context or None,
        LineCredential(fingerprint, shown.key_id, shown.outcome, shown.slot),
        LineResource(asked.attributes or None, asked.id, asked.owner, asked.type, asked.workspace),
        request.scope,
        request.source_ip,
    )


def record_of(decided: Decided) -> DecisionRecord:
    """What is recorded of a decision: `line_of` writes the same, at half of the cost."""
    decision = decided.decision
    return DecisionRecord(
        v=SCHEMA,
        id=decided.decision_id,
        at=str(decision.now),
        semantics=SEMANTICS,
        caller=_caller(decided.caller),
        workspace=decision.workspace or decided.caller.workspace,
        request=recorded_request(decided.request, decided.key_fingerprint),
        facts=recorded_facts(decided.seen),
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


def refuse_unrecordable(request: Request, fingerprint: str | None = None, item_id: str | None = None) -> None:
    """Return where a request can be recorded. To be asked before deciding: what is not recorded is not decided.

    Raises:
        RequestError: 413 `request_too_large`; 400 `secret_in_request`, an API key stands where it would be recorded;
            400 `unrecordable`, it holds what no JSON text can.

    Cost: 0.3 µs where there are no claims and no long texts; else that of writing the request down.
    """
    if item_id is not None and len(item_id) >= MIN_LENGTH and holds_api_key(item_id):
        raise _secret_in_request()
    if _is_short(request):
        return
    try:
        written = encode_request(recorded_request(request, fingerprint))
    except ValueError:
        raise RequestError(
            "unrecordable", "the request holds a text or number that JSON cannot carry; leave it out"
        ) from None
    if len(written) > MAX_REQUEST_BYTES:
        raise _too_large(len(written))
    # Nothing of a key is ever escaped: where one stands in a value, it stands in the line.
    if holds_api_key(written.decode()):
        raise _secret_in_request()


def _is_short(request: Request) -> bool:
    """Whether it is too short to be too large, or to hold a key. So of most requests nothing is written down twice."""
    resource = request.resource
    if request.context or resource.attributes:
        return False
    for text in (request.scope, resource.type, resource.id, resource.workspace, resource.owner, request.source_ip):
        if text is not None and len(text) >= MIN_LENGTH:
            return False
    return True


def _too_large(size: int) -> RequestError:
    return RequestError(
        "request_too_large",
        f"the request takes {size} bytes of its record, and at most {MAX_REQUEST_BYTES} are kept; send fewer or "
        "shorter attributes and context",
        {"bytes": size, "limit_bytes": MAX_REQUEST_BYTES},
        status=413,
    )


def _secret_in_request() -> RequestError:
    return RequestError(
        "secret_in_request", "an API key stands elsewhere than in `key`, where it would be recorded; leave it out"
    )


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


def recorded_principal(decision: Decision) -> RecordedPrincipal | None:
    """Who the key acts as; None while none was verified."""
    if decision.principal_kind is None or decision.principal_id is None:
        return None
    return RecordedPrincipal(kind=decision.principal_kind, id=decision.principal_id)


def recorded_facts(seen: Seen) -> RecordedFacts:
    """What a snapshot knew, as records have it."""
    return RecordedFacts(
        key_scopes=seen.key_scopes,
        teams=seen.teams,
        roles=seen.roles,
        registered=seen.registered,
        owner=seen.owner,
        attributes=seen.attributes,
        address=seen.address,
        allowlist_network=seen.allowlist_network,
        key_network=seen.key_network,
    )
