"""How the service guards itself: a fixed chain that no author's rule and no workspace allowlist can close.

credential, revocation, scope, rbac (workspace-wide bindings alone count), the key's own CIDRs. What a scope is `on` is
not consulted.
"""

from __future__ import annotations

import msgspec

from policy_service.engine.endings import CREDENTIAL
from policy_service.engine.key_view import KeyView
from policy_service.engine.snapshot import Snapshot
from policy_service.engine.standing import standing
from policy_service.model.address import address_point
from policy_service.model.facts import ApiKey
from policy_service.model.reasons import ALLOWED
from policy_service.model.request import Credential


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """Whether a caller may; `reason` is one of the built-in codes.

    The last four are the key's, from the moment that it is known, whether or not it is allowed.
    """

    allowed: bool
    reason: str
    key_id: str | None = None
    workspace: str | None = None
    principal_kind: str | None = None
    principal_id: str | None = None


def authorize(credential: Credential, scope: str, peer_ip: str | None, snapshot: Snapshot, now: int) -> Verdict:
    """May this caller use this scope of the service itself?

    Args:
        scope: one of the service's own; one that the active policy does not declare is held only by naming it.
        peer_ip: the TCP peer's address; None where there is none, such as a local socket.
        now: nanoseconds UTC.

    Raises:
        StoreError: the active bundle cannot be had.
    """
    snapshot.settle()
    key = snapshot.keys[credential.key_id or ""] if credential.outcome == "verified" else None
    if key is None or credential.slot not in key.slots:
        return Verdict(False, CREDENTIAL[credential.outcome][1])
    refusal = (
        standing(key, credential.slot, now, suspended=key.grants().suspended)
        or _ungranted(key, scope, snapshot)
        or _out_of_place(key, peer_ip)
    )
    return Verdict(refusal is None, refusal or ALLOWED, key.id, key.workspace_id, key.kind, key.principal_id)


def effective_scopes(key: ApiKey, snapshot: Snapshot) -> frozenset[str]:
    """What a key can do for itself: its scopes with all they imply, for a user no more than workspace-wide bindings
    grant. Says nothing about whether the key is valid.
    """
    snapshot.settle()
    view = KeyView.of_fact(key, snapshot.workspace(key.workspace))
    scopes = snapshot.closure_of(view)
    return scopes & view.grants().wide.scopes if view.is_user else scopes


def _ungranted(key: KeyView, scope: str, snapshot: Snapshot) -> str | None:
    if scope not in (key.closure or snapshot.closure_of(key)):
        return "insufficient_scope"
    if key.is_user and scope not in key.grants().wide.scopes:
        return "role_not_granted"
    return None


def _out_of_place(key: KeyView, peer_ip: str | None) -> str | None:
    """The key's own CIDRs against the peer's address; a key without any may be used from everywhere."""
    if key.networks is None:
        return None
    point = None if peer_ip is None else address_point(peer_ip)
    if point is None:
        return "invalid_source_ip"
    return None if point in key.networks else "ip_not_allowed"
