"""`WWW-Authenticate: Bearer …`, for this service's own callers and as advice to theirs.

Source: RFC 6750 section 3: no error code where no credentials came; `invalid_request` where they came in a way that
cannot be read; `invalid_token` for a key that is not good; `insufficient_scope`, with the scope, where the key is good
and does not reach far enough. Other refusals (the address, a suspended user) have no error code there, and get none.
"""

from __future__ import annotations

import re
from typing import Any, Final

from policy_service.model.decision import Decision
from policy_service.model.reasons import REASONS

SERVICE_REALM: Final = "policy-service"
DEFAULT_REALM: Final = "api"

CREDENTIAL_MISTAKES: Final = {
    "conflicting_credentials": "The request shows more than one API key.",
    "credentials_in_query": "API keys are not read from the URL.",
}
"""Codes of 400 that are about how a key was shown, with what is said of them. Other mistakes of a request are none of
RFC 6750's."""

_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_REACHES_TOO_SHORT: Final = frozenset({"insufficient_scope", "role_not_granted"})


def challenge(realm: str, reason: str, status: int, scope: Any = None) -> str:
    """A Bearer challenge for a refusal with `reason`. Never shows the key."""
    head = f'Bearer realm="{realm}"'
    if status == 400:
        return f'{head}, error="invalid_request", error_description="{CREDENTIAL_MISTAKES[reason]}"'
    if status == 401 and reason != "missing_credentials":
        return f'{head}, error="invalid_token", error_description="{_description(reason)}"'
    if status == 403 and reason in _REACHES_TOO_SHORT:
        known = isinstance(scope, str) and _SCOPE_TOKEN.fullmatch(scope)
        return f'{head}, error="insufficient_scope"' + (f', scope="{scope}"' if known else "")
    return head


def service_challenge(reason: str, scope: Any) -> str:
    """For a caller of this service, refused with 401, 403, or 400 for one of `CREDENTIAL_MISTAKES`."""
    if reason in CREDENTIAL_MISTAKES:
        return challenge(SERVICE_REALM, reason, 400)
    known = REASONS.get(reason)
    return challenge(SERVICE_REALM, reason, known.http_status if known else 403, scope)


def decision_challenge(decision: Decision, scope: str) -> str | None:
    """What a PEP should answer its own client with; None where another key of the same person would not help."""
    if decision.http_status == 401 or decision.reason == "insufficient_scope":
        return challenge(decision.workspace or DEFAULT_REALM, decision.reason, decision.http_status, scope)
    return None


def _description(reason: str) -> str:
    known = REASONS.get(reason)
    return known.message if known else "The API key is not accepted."
