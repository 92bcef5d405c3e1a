"""Facts as administrators see them: one function per entity. Never a secret, never a verifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from policy_service.model.changes import Change
from policy_service.model.facts import (
    Bundle,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
from policy_service.model.instants import format_rfc3339
from policy_service.service.administration import SeenKey

Document = dict[str, Any]


def _instant(ns: int | None) -> str | None:
    return None if ns is None else format_rfc3339(ns)


def workspace_document(fact: Workspace) -> Document:
    """A workspace."""
    return {"id": fact.id, "name": fact.name, "created_at": _instant(fact.created_at)}


def user_document(fact: User) -> Document:
    """A user."""
    return {"id": fact.id, "workspace": fact.workspace, "name": fact.name, "suspended": fact.suspended}


def service_principal_document(fact: ServicePrincipal) -> Document:
    """A service principal."""
    return {"id": fact.id, "workspace": fact.workspace, "name": fact.name}


def team_document(fact: Team) -> Document:
    """A team."""
    return {"id": fact.id, "workspace": fact.workspace, "name": fact.name, "parent": fact.parent}


def membership_document(fact: Membership) -> Document:
    """A membership."""
    return {"workspace": fact.workspace, "team": fact.team, "user": fact.user}


def resource_document(fact: Resource) -> Document:
    """A registered resource."""
    return {
        "type": fact.type,
        "id": fact.id,
        "workspace": fact.workspace,
        "owner": fact.owner,
        "attributes": fact.attributes,
    }


def role_binding_document(fact: RoleBinding) -> Document:
    """A role binding; `resource` None: over the whole workspace."""
    bound = None if fact.resource_type is None else {"type": fact.resource_type, "id": fact.resource_id}
    return {
        "id": fact.id,
        "workspace": fact.workspace,
        "role": fact.role,
        "team": fact.team,
        "user": fact.user,
        "resource": bound,
    }


def allowlist_document(fact: IpAllowlist) -> Document:
    """An allowlist."""
    entries = [{"cidr": entry.cidr, "label": entry.label} for entry in fact.entries]
    return {"workspace": fact.workspace, "enabled": fact.enabled, "entries": entries}


def key_document(seen: SeenKey) -> Document:
    """A key without its text, which nobody has but its holder."""
    fact = seen.key
    return {
        "id": fact.id,
        "workspace": fact.workspace,
        "principal": {"kind": fact.principal_kind, "id": fact.principal_id},
        "scopes": list(fact.scopes),
        "status": seen.status,
        "created_at": _instant(fact.created_at),
        "not_before": _instant(fact.not_before),
        "expires_at": _instant(fact.expires_at),
        "revoked_at": _instant(fact.revoked_at),
        "revoke_reason": fact.revoke_reason,
        "last_used_at": _instant(seen.last_used_at),
        "cidrs": list(fact.cidrs),
        "labels": fact.labels,
        "secrets": [_secret_document(status, slot) for status, slot in seen.secrets],
    }


def _secret_document(status: str, slot: SecretSlot) -> Document:
    return {
        "number": slot.number,
        "status": status,
        "created_at": _instant(slot.created_at),
        "expires_at": _instant(slot.expires_at),
    }


def published_document(fact: Bundle) -> Document:
    """A bundle without its files."""
    return {
        "digest": fact.digest,
        "content_sha256": fact.content_sha256,
        "published_at": _instant(fact.published_at),
    }


def bundle_document(fact: Bundle, files: dict[str, str]) -> Document:
    """A bundle with its files."""
    return {**published_document(fact), "files": files}


def change_document(change: Change) -> Document:
    """A change: who, when, what, before and after. The sealed part is told by its hash alone."""
    return {
        "revision": change.revision,
        "at": _instant(change.at),
        "actor": change.actor,
        "action": change.action,
        "workspace": change.workspace,
        "subject": change.subject,
        "effects": [
            {"entity": effect.entity, "key": list(effect.key), "before": effect.before, "after": effect.after}
            for effect in change.effects
        ],
        "note": change.note,
        "sealed_sha256": change.sealed_sha256,
        "previous_hash": change.previous_hash,
        "hash": change.hash,
    }


_DOCUMENTS: Final[dict[type[Fact], Callable[[Any], Document]]] = {
    Workspace: workspace_document,
    User: user_document,
    ServicePrincipal: service_principal_document,
    Team: team_document,
    Membership: membership_document,
    Resource: resource_document,
    RoleBinding: role_binding_document,
    IpAllowlist: allowlist_document,
}


def fact_document(fact: Fact) -> Document:
    """Any fact that administrators see, by its kind; keys have more to show than their fact (`key_document`)."""
    return _DOCUMENTS[type(fact)](fact)
