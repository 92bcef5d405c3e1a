"""The built-in reasons of a decision: code, check, HTTP status for the PEP, and the default message.

Authors add their own codes (deny rules and condition checks); those are always 403 and never one of these.
"""

from __future__ import annotations

from typing import Final

import msgspec

CHECKS: Final = ("credential", "revocation", "workspace", "scope", "rbac", "resource_policy", "ip_allowlist")
"""The mandatory checks, in the order of the shipped chain. The first three are always first, in this order."""

FIXED_CHECKS: Final = CHECKS[:3]

ALLOWED: Final = "allowed"
POLICY_ERROR: Final = "policy_error"


class Reason(msgspec.Struct, frozen=True):
    """One built-in reason code. `check` is None for `allowed` and for `policy_error` (two checks give it)."""

    code: str
    check: str | None
    http_status: int
    message: str


REASONS: Final[dict[str, Reason]] = {
    reason.code: reason
    for reason in (
        Reason(ALLOWED, None, 200, "The request is allowed."),
        Reason("missing_credentials", "credential", 401, "No API key was presented."),
        Reason("malformed_key", "credential", 401, "The API key is malformed."),
        Reason("unknown_key", "credential", 401, "The API key is not known."),
        Reason("revoked_key", "revocation", 401, "The API key was revoked."),
        Reason("expired_key", "revocation", 401, "The API key has expired."),
        Reason("key_not_yet_valid", "revocation", 401, "The API key is not valid yet."),
        Reason("principal_suspended", "revocation", 403, "The user of this API key is suspended."),
        Reason("workspace_mismatch", "workspace", 403, "The resource belongs to another workspace than the API key."),
        Reason(
            "unknown_resource",
            "workspace",
            403,
            "The resource is not registered in the workspace of the API key.",
        ),
        Reason("unknown_scope", "scope", 403, "The scope is not declared in the catalogue."),
        Reason("scope_resource_mismatch", "scope", 403, "The scope does not apply to this type of resource."),
        Reason("insufficient_scope", "scope", 403, "The API key does not have the required scope."),
        Reason("role_not_granted", "rbac", 403, "No role of the user grants this scope on this resource."),
        Reason("resource_denied", "resource_policy", 403, "A rule denies this request."),
        Reason("resource_not_allowed", "resource_policy", 403, "No rule allows this request."),
        Reason(POLICY_ERROR, None, 403, "A rule could not be evaluated, so the request is denied."),
        Reason("invalid_source_ip", "ip_allowlist", 403, "The source address is absent or not a valid IP address."),
        Reason("ip_not_allowed", "ip_allowlist", 403, "The source address is not on the allowlist."),
    )
}


def http_status(reason: str) -> int:
    """The status that a PEP should answer with; an author's own code is 403."""
    known = REASONS.get(reason)
    return known.http_status if known else 403
