"""Whether two policies decide alike though they are written differently: closures, not lists."""

from __future__ import annotations

from typing import Any

from policy_service.analysis.lint.rules import reduced
from policy_service.language.digest import canonical
from policy_service.language.policy import Policy
from policy_service.model.canonical import canonical_text


def same_meaning(one: Policy, other: Policy) -> bool:
    """Never true of two that decide some request differently; false of many that do not."""
    return _meaning(one) == _meaning(other)


def _meaning(policy: Policy) -> str:
    form: dict[str, Any] = canonical(policy)
    scopes = {name: [sorted(scope.on), sorted(scope.closure)] for name, scope in policy.scopes.items()}
    roles = {name: [sorted(role.closure), sorted(role.lineage)] for name, role in policy.roles.items()}
    patterns = {
        f"{type_}/{rule.name}": sorted([one.text, one.is_prefix] for one in reduced(rule.patterns))
        for type_, resource in policy.resources.items()
        for rule in resource.rules
        if rule.patterns is not None
    }
    for resource in form["resources"].values():
        for rule in resource["rules"].values():
            rule["resources"] = rule["resources"] is not None
    return canonical_text({**form, "scopes": scopes, "roles": roles, "patterns": patterns})
