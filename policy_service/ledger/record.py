"""One decision as it is logged: a line of canonical JSON. The schema has a version; a newer one is refused by name.

A record means *decided*, not *delivered*. No secret is in it. Fields that are None are left out of the line; instants
are decimal strings of nanoseconds UTC. `docs/auditors.md` explains it field by field.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from policy_service.model.decision import SEMANTICS, Decision
from policy_service.model.request import Credential, Request, ResourceRef

SCHEMA: Final = 1
MAX_REQUEST_BYTES: Final = 8 * 1024
"""The canonical form of a recorded request is no larger; a caller who sends more gets 413 `request_too_large`."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of all parts of a record: what is None is left out."""


class RecordedCaller(Part, frozen=True, kw_only=True):
    """Who asked: a caller who was let in. Refused callers leave no record.

    Args:
        actor: `key:<id>` or `local:<uid>`.
        verdict: of the service's own fixed chain; a record exists only where it allowed.
    """

    actor: str
    workspace: str
    verdict: Literal["allowed"]
    key_id: str | None = None


class RecordedCredential(Part, frozen=True, kw_only=True):
    """What checking the presented key came to; the key's text is nowhere.

    Args:
        fingerprint: keyed fingerprint of a well-formed key that the caller cannot know of; equal keys, equal
            fingerprints, within one pepper.
    """

    outcome: Literal["missing", "malformed", "unknown", "verified"]
    key_id: str | None = None
    slot: int | None = None
    fingerprint: str | None = None


class RecordedResource(Part, frozen=True, kw_only=True):
    """The resource as the caller claimed it."""

    type: str
    id: str
    workspace: str | None = None
    owner: str | None = None
    attributes: dict[str, Any] = {}


class RecordedRequest(Part, frozen=True, kw_only=True):
    """The whole validated request: enough to decide again."""

    credential: RecordedCredential
    scope: str
    resource: RecordedResource
    source_ip: str | None = None
    context: dict[str, Any] = {}


class RecordedPrincipal(Part, frozen=True, kw_only=True):
    """Who the key acts as."""

    kind: str
    id: str


class RecordedFacts(Part, frozen=True, kw_only=True):
    """What the snapshot knew and the decision could look at; for reading. A replay derives it anew and compares it.

    Args:
        key_scopes: of the key as issued.
        teams, roles: of the user, in force for this resource, ancestors and inherited ones included; None for services.
        registered: whether the resource was.
        owner, attributes: the store's, where it was registered.
        address: canonical form of a valid source address.
        allowlist_network, key_network: the most specific entry of the workspace's list and of the key's CIDRs that
            holds the address, where there is a list that is on, or a CIDR.
    """

    key_scopes: tuple[str, ...] | None = None
    teams: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    registered: bool | None = None
    owner: str | None = None
    attributes: dict[str, Any] | None = None
    address: str | None = None
    allowlist_network: str | None = None
    key_network: str | None = None


class DecisionRecord(Part, frozen=True, kw_only=True):
    """One logged decision.

    Args:
        v: version of this schema.
        id: the decision's, as answered.
        at: the instant decided for, nanoseconds UTC, decimal.
        semantics: version of the engine's meaning.
        workspace: the key's; the caller's where no key was verified.
        revision, chain: the snapshot's place in the feed of changes: number and hash of the last change it had seen.
        bundle: digest of the policy that decided.
        batch_id: shared by the decisions of one batch. item_id: the caller's own name for this one.
        explained: whether the caller asked for the steps.
    """

    v: int
    id: str
    at: str
    semantics: int
    caller: RecordedCaller
    workspace: str
    request: RecordedRequest
    facts: RecordedFacts
    decision: Literal["allow", "deny"]
    reason: str
    revision: int
    chain: str
    bundle: str
    principal: RecordedPrincipal | None = None
    check: str | None = None
    rule: str | None = None
    batch_id: str | None = None
    item_id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    explained: bool = False


def replayed_request(record: DecisionRecord) -> Request:
    """The request to decide again."""
    return request_of(record.request)


def request_of(asked: RecordedRequest) -> Request:
    """A recorded request as the pure decision sees it."""
    shown = asked.credential
    resource = ResourceRef(*msgspec.structs.astuple(asked.resource))
    credential = Credential(shown.outcome, shown.key_id, shown.slot)
    return Request(credential, asked.scope, resource, asked.source_ip, asked.context)


def differences(record: DecisionRecord, decision: Decision) -> list[str]:
    """The names of those fields that a decision made again gives another value; none where it is the same.

    Compared is what a decision says and rests on, not its message: that follows from the rest.
    """
    principal = record.principal
    pairs = {
        "decision": (record.decision == "allow", decision.allowed),
        "reason": (record.reason, decision.reason),
        "check": (record.check, decision.check),
        "rule": (record.rule, decision.rule),
        "revision": (record.revision, decision.revision),
        "bundle": (record.bundle, decision.bundle),
        "at": (record.at, str(decision.now)),
        # A key that was gone by then has no principal, and the decision does not name it.
        "key_id": (None if principal is None else record.request.credential.key_id, decision.key_id),
        "principal": (
            (None, None) if principal is None else (principal.kind, principal.id),
            (decision.principal_kind, decision.principal_id),
        ),
    }
    return [name for name, (recorded, again) in pairs.items() if recorded != again]


def is_of_this_engine(record: DecisionRecord) -> bool:
    """Whether the record was decided under the meaning that this engine has."""
    return record.semantics == SEMANTICS
