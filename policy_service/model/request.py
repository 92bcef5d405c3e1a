"""What is asked: the request as the pure decision sees it.

Nothing here can refer back to itself, so the garbage collector need not look (`gc=False`): each request makes several.

The secret is not in it. Checking the secret happens before; its outcome is an input, so that a replay needs no pepper.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

CredentialOutcome = Literal["missing", "malformed", "unknown", "verified"]


class Credential(msgspec.Struct, frozen=True, gc=False):
    """The outcome of checking a presented key.

    `verified` means that the secret in slot `slot` of key `key_id` was presented. It does *not* mean that the key is
    valid now: revocation, expiry and grace are judged by the decision.
    """

    outcome: CredentialOutcome
    key_id: str | None = None
    slot: int | None = None


MISSING = Credential("missing")
MALFORMED = Credential("malformed")
UNKNOWN = Credential("unknown")


class ResourceRef(msgspec.Struct, frozen=True, gc=False):
    """The resource as the caller claims it.

    `workspace` never selects facts. `owner` and `attributes` count only where the store does not know better.
    """

    type: str
    id: str
    workspace: str | None = None
    owner: str | None = None
    attributes: dict[str, Any] = {}


class Request(msgspec.Struct, frozen=True, gc=False):
    """One question: may this credential use this scope on this resource from this address?

    Args:
        source_ip: as received; None when absent. Any other text is present, valid or not.
        context: the caller's claims under `request.context`; undeclared ones are ignored.
    """

    credential: Credential
    scope: str
    resource: ResourceRef
    source_ip: str | None = None
    context: dict[str, Any] = {}
