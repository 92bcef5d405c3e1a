"""The built-in checks one by one, for explanations (those on rules and conditions stand in `steps_rules`)."""

from __future__ import annotations

from typing import Any

import msgspec

from policy_service.engine.endings import Ending, builtin
from policy_service.engine.facts_read import Facts, instant_text
from policy_service.engine.standing import standing
from policy_service.language.policy import ResourcePolicy
from policy_service.model.address import Network, parse_network
from policy_service.model.decision import Outcome
from policy_service.model.facts import IpAllowlist, RoleBinding
from policy_service.model.values import ABSENT, WRONG


class Step(msgspec.Struct, frozen=True):
    """What one check came to. `ending` is set where it denies."""

    outcome: Outcome
    ending: Ending | None
    detail: str
    values: dict[str, Any]


def passed(detail: str, values: dict[str, Any]) -> Step:
    return Step("passed", None, detail, values)


def failed(reason: str, values: dict[str, Any], detail: str | None = None) -> Step:
    """A denial for a built-in reason; `detail` where there is more to say than its message."""
    ending = builtin(reason)
    return Step("failed", ending, detail or ending[3], values)


def verified(facts: Facts) -> Step:
    """credential: a key of this snapshot was shown, or the engine would not have come here."""
    slot = facts.request.credential.slot
    detail = f"The API key `{facts.key.id}` is known."
    return passed(detail, {"outcome": "verified", "key_id": facts.key.id, "slot": slot})


def revocation(facts: Facts) -> Step:
    """revocation: the key, its secret and its user are good at this instant."""
    key, slot = facts.key.fact, facts.request.credential.slot
    values = {
        "now": instant_text(facts.now),
        "revoked_at": instant_text(key.revoked_at),
        "not_before": instant_text(key.not_before),
        "expires_at": instant_text(key.expires_at),
        "secret_expires_at": next((instant_text(s.expires_at) for s in key.slots if s.number == slot), None),
        "suspended": facts.grants.suspended,
    }
    reason = standing(facts.key, slot, facts.now, suspended=facts.grants.suspended)
    return failed(reason, values) if reason else passed("The API key is valid now.", values)


def workspace(facts: Facts) -> Step:
    """workspace: the resource is one of the key's workspace, or of a type that needs no registration."""
    claimed, own = facts.request.resource.workspace, facts.key.workspace_id
    policy: ResourcePolicy | None = facts.policy.resources.get(facts.request.resource.type)
    unregistered = policy.unregistered if policy else "deny"
    values = {
        "workspace": own,
        "claimed": claimed,
        "resource": ":".join(facts.place),
        "registered": facts.view is not None,
        "unregistered": unregistered,
    }
    if claimed is not None and claimed != own:
        return failed("workspace_mismatch", values)
    if facts.view is not None:
        return passed("The resource is registered in the workspace of the API key.", values)
    if unregistered == "allow" and claimed == own:
        return passed(
            "The resource is not registered; its type allows that, and the request names the workspace.", values
        )
    if unregistered == "allow":
        detail = "The resource is not registered; its type allows that where the request names the key's workspace."
        return failed("unknown_resource", values, detail)
    return failed("unknown_resource", values)


def scope(facts: Facts) -> Step:
    """scope: declared, on this type of resource, and among the key's."""
    requested = facts.request.scope
    declared = facts.policy.scopes.get(requested)
    closure = set(facts.key.scopes).union(
        *(facts.policy.scopes[name].closure for name in facts.key.scopes if name in facts.policy.scopes)
    )
    values: dict[str, Any] = {
        "scope": requested,
        "on": sorted(declared.on) if declared else [],
        "key_scopes": list(facts.key.scopes),
        "with_implied": sorted(closure),
    }
    if declared is None:
        return failed("unknown_scope", values)
    if facts.request.resource.type not in declared.on:
        return failed("scope_resource_mismatch", values)
    if requested not in closure:
        return failed("insufficient_scope", values)
    return passed("The API key has the scope.", values)


def rbac(facts: Facts) -> Step:
    """rbac: for a user key, some role in force on this resource grants the scope."""
    if not facts.key.is_user:
        return passed("A service key has just its own scopes; roles do not apply.", {"kind": facts.key.kind})
    bindings = [one for one in facts.key.workspace.bindings_of(facts.key.principal_id) if _reaches(one, facts)]
    granting = sorted({one.role for one in bindings if _grants(one, facts)})
    values = {
        "user": facts.key.principal_id,
        "teams": list(facts.grants.teams),
        "bindings": [_binding(one) for one in bindings],
        "roles": list(facts.roles.names),
        "granted_by": granting,
    }
    if not granting:
        return failed("role_not_granted", values)
    return passed(f"The scope is granted by the role `{granting[0]}`.", values)


def _reaches(binding: RoleBinding, facts: Facts) -> bool:
    place = (binding.resource_type, binding.resource_id)
    return None in place or place == facts.place


def _grants(binding: RoleBinding, facts: Facts) -> bool:
    role = facts.policy.roles.get(binding.role)
    return role is not None and facts.request.scope in role.closure


def _binding(binding: RoleBinding) -> dict[str, Any]:
    subject = {"user": binding.user} if binding.user is not None else {"team": binding.team}
    place = f"{binding.resource_type}:{binding.resource_id}" if binding.resource_type is not None else None
    return {"id": binding.id, "role": binding.role, **subject, "resource": place}


def ip_allowlist(facts: Facts) -> Step:
    """ip_allowlist: the source address is on the workspace's list and in the key's CIDRs, where these apply."""
    allowlist = facts.snapshot.fact(IpAllowlist.entity, (facts.key.workspace_id,))
    enabled = isinstance(allowlist, IpAllowlist) and allowlist.enabled
    listed = [entry.cidr for entry in allowlist.entries] if isinstance(allowlist, IpAllowlist) and enabled else []
    cidrs = list(facts.key.fact.cidrs)
    values: dict[str, Any] = {
        "source_ip": facts.request.source_ip,
        "allowlist_enabled": enabled,
        "allowlist_matches": _matches(listed, facts.point),
        "key_cidrs": cidrs,
        "key_cidrs_matches": _matches(cidrs, facts.point),
    }
    if facts.point is WRONG or (facts.point is ABSENT and (enabled or cidrs)):
        return failed("invalid_source_ip", values)
    if enabled and not values["allowlist_matches"]:
        return failed("ip_not_allowed", values, "The source address is not on the workspace's allowlist.")
    if cidrs and not values["key_cidrs_matches"]:
        return failed("ip_not_allowed", values, "The source address is not in the CIDRs of the API key.")
    if enabled or cidrs:
        return passed("The source address is allowed.", values)
    return passed("No allowlist is on, and the API key has no CIDRs.", values)


def _matches(cidrs: list[str], point: object) -> list[str]:
    """The CIDRs that contain the address."""
    if not isinstance(point, int):
        return []
    networks = ((text, parse_network(text)) for text in cidrs)
    return [text for text, network in networks if isinstance(network, Network) and point in network]
