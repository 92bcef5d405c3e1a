"""The shape of a decision record in answers: that of its line. Members without a value are left out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from policy_service.api.shapes import Principal, Shape


class RecordedCallerShape(Shape):
    """Who asked: a caller who was let in."""

    actor: str
    workspace: str
    verdict: Literal["allowed"]
    key_id: str | None = None


class RecordedCredentialShape(Shape):
    """What checking the presented key came to; the key's text is nowhere."""

    outcome: Literal["missing", "malformed", "unknown", "verified"]
    key_id: str | None = None
    slot: int | None = None
    fingerprint: str | None = Field(None, description="Of a key that the caller cannot know of.")


class RecordedResourceShape(Shape):
    """The resource as the caller claimed it."""

    type: str
    id: str
    workspace: str | None = None
    owner: str | None = None
    attributes: dict[str, Any] | None = None


class RecordedRequestShape(Shape):
    """The whole validated request."""

    credential: RecordedCredentialShape
    scope: str
    resource: RecordedResourceShape
    source_ip: str | None = None
    context: dict[str, Any] | None = None


class RecordedFactsShape(Shape):
    """What the facts said, as far as the decision could look at them."""

    key_scopes: list[str] | None = None
    teams: list[str] | None = None
    roles: list[str] | None = None
    registered: bool | None = None
    owner: str | None = None
    attributes: dict[str, Any] | None = None
    address: str | None = None
    allowlist_network: str | None = None
    key_network: str | None = None


class RecordShape(Shape):
    """A decision as it was recorded before it was answered. Its canonical JSON is its line in the ledger."""

    v: Literal[1]
    id: str
    at: str = Field(description="Nanoseconds since 1970, UTC, decimal.", examples=["1795500199123456789"])
    semantics: int
    caller: RecordedCallerShape
    workspace: str
    request: RecordedRequestShape
    facts: RecordedFactsShape
    decision: Literal["allow", "deny"]
    reason: str
    revision: int
    chain: str = Field(description="Hash of change `revision`.", examples=["c41d" * 16])
    bundle: str
    principal: Principal | None = None
    check: str | None = None
    rule: str | None = None
    batch_id: str | None = None
    item_id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    explained: bool | None = None
