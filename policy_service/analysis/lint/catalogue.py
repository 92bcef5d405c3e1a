"""Findings in scopes.yaml, roles.yaml, networks.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from policy_service.analysis.lint.documents import Documents, child, items, name_of
from policy_service.analysis.lint.findings import Findings
from policy_service.analysis.lint.removals import removal
from policy_service.language.ir import Condition, InNetworks, walk
from policy_service.language.places import Place
from policy_service.language.policy import Policy, ResourcePolicy
from policy_service.language.report import quoted
from policy_service.model.address import Network, parse_network
from policy_service.model.names import OWN_SCOPES

BROAD_V4: Final = 1 << 25
"""More addresses than this, a /7 and wider, is no network of anybody's."""

BROAD_V6: Final = 1 << 109
"""Wider than a /19, the widest block ever given out."""

_LAST_V4: Final = (1 << 32) - 1


def lint_scopes(documents: Documents, policy: Policy, found: Findings) -> None:
    """Scopes without a description, that cannot be used, that imply another twice."""
    granted = {scope for role in policy.roles.values() for scope in role.closure}
    for name, key, value in documents.members("scopes.yaml", "scopes"):
        scope = policy.scopes[name]
        if not scope.description:
            found.add("missing-description", f"the scope {quoted(name)} has no `description`; say what it is for", key)
        if policy.roles and name not in granted:
            message = f"no role grants the scope {quoted(name)}, so no user key can use it; put it into a role"
            found.add("ungranted-scope", message, key)
        if name not in OWN_SCOPES:
            _lint_use(name, key, [policy.resources.get(type_) for type_ in sorted(scope.on)], found)
        closures = {other: policy.scopes[other].closure for other in scope.implies}
        _implied_twice(child(value, "implies"), closures, "implies", found)


def _lint_use(name: str, key: Place, types: list[ResourcePolicy | None], found: Findings) -> None:
    if types and not any(types):
        message = f"no type that the scope {quoted(name)} is on has a policy, so it is never allowed"
        found.add("scope-without-policy", message, key)
    elif types and not any(one is not None and _may_allow(one, name) for one in types):
        message = f"no allow rule is about the scope {quoted(name)}, and the default is deny: it is never allowed"
        found.add("never-allowed-scope", message, key)


def _may_allow(policy: ResourcePolicy, scope: str) -> bool:
    rules = (rule for rule in policy.rules if rule.effect == "allow")
    return policy.default == "allow" or any(rule.scopes is None or scope in rule.scopes for rule in rules)


def lint_roles(documents: Documents, policy: Policy, found: Findings) -> None:
    """Roles without a description, that grant nothing, that list what they have anyway."""
    for name, key, value in documents.members("roles.yaml", "roles"):
        role = policy.roles[name]
        if not role.description:
            found.add("missing-description", f"the role {quoted(name)} has no `description`; say whom it is for", key)
        if not role.closure:
            found.add("empty-role", f"the role {quoted(name)} grants nothing; give it scopes, or remove it", key)
        inherited = {f"the role {other}": policy.roles[other].closure for other in role.inherits}
        scopes = {scope: policy.scopes[scope].closure for scope in role.scopes}
        _implied_twice(child(value, "scopes"), {**scopes, **inherited}, "grants", found)
        lineages = {other: policy.roles[other].lineage for other in role.inherits}
        _implied_twice(child(value, "inherits"), lineages, "inherits", found)


def _implied_twice(place: Place | None, reach: dict[str, frozenset[str]], verb: str, found: Findings) -> None:
    """Items of a list that another source brings along. Of two that bring each other along, neither is told."""
    for item in items(place):
        name = name_of(item)
        sources = [other for other, all_ in reach.items() if name in all_ and other != name]
        mutual = [other for other in sources if other in reach.get(name, ())]
        if place is not None and sources and not mutual:
            verb_shown = "implies" if not sources[0].startswith("the role") and verb == "grants" else verb
            message = f"{quoted(sources[0])} {verb_shown} {quoted(name)} already; leave it out"
            found.add("implied-twice", message, item, removal(place, item))


def lint_networks(documents: Documents, conditions: Iterable[Condition], found: Findings) -> None:
    """Networks that nothing names, that are wider than they look, that hold a CIDR twice."""
    used = {node.label for one in conditions for node in walk(one.expr) if isinstance(node, InNetworks)}
    for name, key, value in documents.members("networks.yaml", "networks"):
        if name not in used:
            found.add("unused-network", f"no condition names the network {quoted(name)}; use it, or remove it", key)
        networks = [(item, parse_network(name_of(item))) for item in items(value)]
        _lint_cidrs(value, [(item, one) for item, one in networks if isinstance(one, Network)], found)


def _lint_cidrs(place: Place, cidrs: list[tuple[Place, Network]], found: Findings) -> None:
    for item, network in cidrs:
        if is_broad(network):
            message = f"{quoted(network.text)} is a great part of all addresses; is that meant?"
            found.add("broad-cidr", message, item)
    widest_first = sorted(cidrs, key=lambda one: (one[1].first, -one[1].last))
    around: list[Network] = []
    for item, network in widest_first:
        holder = next((one for one in around if one.first <= network.first and network.last <= one.last), None)
        if holder is None:
            around = [network]
        elif holder != network:
            message = f"{quoted(network.text)} is inside {quoted(holder.text)}; leave it out"
            found.add("contained-cidr", message, item, removal(place, item))


def is_broad(network: Network) -> bool:
    """Whether it is more than any one house has."""
    limit = BROAD_V4 if network.last <= _LAST_V4 else BROAD_V6
    return network.last - network.first + 1 >= limit
