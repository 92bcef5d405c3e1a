"""The fixed chain by which the service guards itself, as slowly and plainly as the other one.

"The service guards itself by a fixed chain (credential, revocation, scope, rbac, the key's own CIDRs), so that no
author's rule or workspace allowlist can lock callers and administrators out."
"""

from __future__ import annotations

from policy_service.model.facts import Fact
from policy_service.model.request import Credential, Request, ResourceRef
from tests.oracle import addresses
from tests.oracle.oracle import Oracle
from tests.oracle.rule_files import RuleFiles

NOWHERE = ResourceRef("", "")
"""No resource is meant: so of all role bindings, only those over the workspace count."""


def authorize(
    rules: RuleFiles, facts: list[Fact], credential: Credential, scope: str, peer_ip: str | None, now: int
) -> str:
    """`allowed` or the reason."""
    chain = Oracle(rules, facts, Request(credential, scope, NOWHERE), now)
    for check in (chain.check_credential, chain.check_revocation):
        failure = check()
        if failure is not None:
            return failure[0]
    # "`on:` is not consulted"; one that nobody declared is held by naming it.
    if scope not in rules.scope_closure(set(chain.key.scopes)):
        return "insufficient_scope"
    # "In the fixed chain only workspace-wide bindings count."
    if chain.key.principal_kind == "user" and scope not in rules.role_scopes(chain.bound_roles()):
        return "role_not_granted"
    if not chain.key.cidrs:
        return "allowed"
    address = None if peer_ip is None else addresses.parse_address(peer_ip)
    if address is None:
        return "invalid_source_ip"
    inside = any(addresses.contains(cidr, address) for cidr in chain.key.cidrs)
    return "allowed" if inside else "ip_not_allowed"
