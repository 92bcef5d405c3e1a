"""From a decision to its line: what is recorded of it, and what of a request may not be.

A line is canonical JSON (`ledger.codec`), but it is not written from a DecisionRecord: it is put together of parts with
their members in the order of a line, some of which are written already. Each decision waits for its line.

INVARIANT: the line is the one that `encode_record` writes for the same record (test_recording: lines made of parts).
INVARIANT: a request that passes `write_request` takes no more than 8 KiB of its record, and no API key with the right
checksum stands in it (test_record_lines: the bound to the byte, keys in every place).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from policy_service.engine.seen import Seen
from policy_service.ledger.codec import is_plain
from policy_service.ledger.lines import (
    LineCaller,
    LineCredential,
    LinePrincipal,
    LineRecord,
    LineRequest,
    LineResource,
    write_part,
    write_shared,
)
from policy_service.ledger.record import (
    MAX_REQUEST_BYTES,
    SCHEMA,
    RecordedFacts,
    RecordedPrincipal,
)
from policy_service.model.api_key import MIN_LENGTH, holds_api_key
from policy_service.model.canonical import canonical_text
from policy_service.model.decision import SEMANTICS, Decision
from policy_service.model.errors import RequestError
from policy_service.model.request import Request
from policy_service.service.caller import Caller
from policy_service.service.ports import Decided


class LineWriter:
    """Writes lines. What the lines of a caller, a revision or an instant share, it writes once for all of them."""

    def __init__(self) -> None:
        self._caller: Caller | None = None
        self._bundle = self._chain = ""
        self._shared = Raw(b"null")
        self._now = 0
        self._at = "0"

    def line_of(self, decided: Decided) -> bytes:
        """The line of a decision, without its line feed. Cost: about 1.3 µs.

        Raises:
            ValueError: it holds what UTF-8 cannot carry; `write_request` would have said so of a request.
        """
        decision, caller, asked = decided.decision, decided.caller, decided.asked
        # By identity: an equal one that is another object is written anew, and is as right.
        if caller is not self._caller or decided.chain is not self._chain or decision.bundle is not self._bundle:
            self._share(caller, decision.bundle, decided.chain)
        if decision.now != self._now:
            self._now, self._at = decision.now, str(decision.now)
        principal = decision.principal_id
        return write_part(
            LineRecord(
                self._at,
                decided.batch_id,
                self._shared,
                decision.check,
                "allow" if decision.allowed else "deny",
                decided.explained or None,
                decided.facts,
                decided.decision_id,
                decided.item_id,
                None if principal is None else LinePrincipal(principal, decision.principal_kind),
                decision.reason,
                _request(decided.request, decided.key_fingerprint) if asked is None else Raw(asked),
                decided.request_id,
                decision.revision,
                decision.rule,
                SEMANTICS,
                decided.trace_id,
                SCHEMA,
                decision.workspace or caller.workspace,
            )
        )

    def _share(self, caller: Caller, bundle: str, chain: str) -> None:
        self._caller, self._bundle, self._chain = caller, bundle, chain
        who = LineCaller(caller.actor, caller.key_id, "allowed", caller.workspace)
        self._shared = Raw(write_shared(bundle, who, chain))


def write_request(request: Request, fingerprint: str | None = None, item_id: str | None = None) -> bytes | None:
    """Return where a request can be recorded. To be asked before deciding: what is not recorded is not decided.

    Args:
        fingerprint: of a presented key that the caller cannot know of.
        item_id: the caller's name for it: recorded beside the request, and looked through as well.

    Returns:
        its canonical JSON as the record will have it, where it had to be written to find out; it is not written twice.

    Raises:
        RequestError: 413 `request_too_large`; 400 `secret_in_request`, an API key stands where it would be recorded;
            400 `unrecordable`, it holds what no JSON text can.

    Cost: 0.2 µs where there are no claims and no long texts; else that of writing the request down.
    """
    if item_id is not None and len(item_id) >= MIN_LENGTH and holds_api_key(item_id):
        raise _secret_in_request()
    if _is_short(request):
        return None
    try:
        written = write_part(_request(request, fingerprint))
    except ValueError:
        raise RequestError(
            "unrecordable", "the request holds a text or number that JSON cannot carry; leave it out"
        ) from None
    if len(written) > MAX_REQUEST_BYTES:
        raise _too_large(len(written))
    # Nothing of a key is ever escaped: where one stands in a value, it stands in what was written.
    if holds_api_key(written.decode()):
        raise _secret_in_request()
    return written


def _is_short(request: Request) -> bool:
    """Whether it is too short to be too large or to hold a key, and all ASCII: so are most requests."""
    asked, source_ip = request.resource, request.source_ip
    owner, workspace = asked.owner, asked.workspace
    return (
        not request.context
        and not asked.attributes
        and len(asked.id) < MIN_LENGTH
        and asked.id.isascii()
        and len(request.scope) < MIN_LENGTH
        and request.scope.isascii()
        and len(asked.type) < MIN_LENGTH
        and asked.type.isascii()
        and (source_ip is None or (len(source_ip) < MIN_LENGTH and source_ip.isascii()))
        and (workspace is None or (len(workspace) < MIN_LENGTH and workspace.isascii()))
        and (owner is None or (len(owner) < MIN_LENGTH and owner.isascii()))
    )


def _request(request: Request, fingerprint: str | None) -> msgspec.Struct:
    shown, asked = request.credential, request.resource
    return LineRequest(
        _claims(request.context) if request.context else None,
        LineCredential(fingerprint, shown.key_id, shown.outcome, shown.slot),
        LineResource(
            _claims(asked.attributes) if asked.attributes else None, asked.id, asked.owner, asked.type, asked.workspace
        ),
        request.scope,
        request.source_ip,
    )


def _claims(claims: dict[str, Any]) -> object:
    """What a caller claims, ready to be written. A double has another canonical form than the quick encoder's."""
    return claims if is_plain(claims) else Raw(canonical_text(claims).encode())


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
