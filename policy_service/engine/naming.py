"""Names in the generated module, and which facts its functions take."""

from __future__ import annotations

import re

from policy_service.engine.reads import Reads, names_below, paths_read, type_conditions
from policy_service.language.policy import Attribute, ConditionCheck, Policy
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX


class Names:
    """The plan of a generated module.

    Attributes:
        types: all resource types that have a policy or a condition check of their own, sorted.
        context: the declared context values that any condition reads.
        shared: what every resource policy is called with besides `request`, `key` and `view`.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        checks = [check for check in policy.chain if isinstance(check, ConditionCheck)]
        on_types = {check.resource_type for check in checks if check.resource_type is not None}
        self.types = tuple(sorted(on_types | set(policy.resources)))
        self._stems = _stems(self.types)
        self._condition_stems = _stems(tuple(check.name for check in checks))
        # Once a type: of 10,000 conditions it takes a tenth of a second.
        self._paths = {t: paths_read(type_conditions(policy, t)) for t in self.types}
        in_checks = paths_read(c for check in checks for c in (check.when, check.require) if c is not None)
        read = names_below(CONTEXT_PREFIX, in_checks.union(*self._paths.values()))
        self.context = tuple(attribute for attribute in sorted_by_name(policy.context) if attribute.name in read)
        self._reads = {t: self._reads_of(t) for t in (None, *self.types)}
        # Once a type: for each rule anew it would grow with the square of their number.
        self._rule_parameters = {t: self._rule_parameters_of(t) for t in policy.resources}
        needed = {p for t in policy.resources for p in self.rule_parameters(t)}
        self.shared = tuple(name for name in ("now", "point", "context", "grants", "roles") if name in needed)

    def attributes(self, resource_type: str | None) -> tuple[Attribute, ...]:
        """The attributes of a type that conditions read, sorted by name: the order of its reader."""
        if resource_type is None or resource_type not in self._policy.resources:
            return ()
        read = names_below(ATTRIBUTE_PREFIX, self._paths[resource_type])
        declared = sorted_by_name(self._policy.resources[resource_type].attributes)
        return tuple(attribute for attribute in declared if attribute.name in read)

    def reads(self, resource_type: str | None) -> Reads:
        """Expressions for conditions on a type; None: for condition checks on every type."""
        return self._reads[resource_type]

    def rule_parameters(self, resource_type: str) -> tuple[str, ...]:
        """What the conditions of a type's rules take."""
        return self._rule_parameters[resource_type]

    def stem(self, resource_type: str) -> str:
        """The type's name as part of Python names; no two types share one."""
        return self._stems[resource_type]

    def condition_stem(self, check: ConditionCheck) -> str:
        """The check's name as part of Python names; no two condition checks share one."""
        return self._condition_stems[check.name]

    def condition_parameters(self, check: ConditionCheck) -> tuple[str, ...]:
        """What a condition check's function takes."""
        conditions = [condition for condition in (check.when, check.require) if condition is not None]
        return self.reads(check.resource_type).parameters(conditions)

    def _rule_parameters_of(self, resource_type: str) -> tuple[str, ...]:
        rules = self._policy.resources[resource_type].rules
        conditions = [rule.condition for rule in rules if rule.condition is not None]
        return self.reads(resource_type).parameters(conditions)

    def _reads_of(self, resource_type: str | None) -> Reads:
        attributes = [attribute.name for attribute in self.attributes(resource_type)]
        return Reads(attributes, [attribute.name for attribute in self.context])


def sorted_by_name(attributes: tuple[Attribute, ...]) -> list[Attribute]:
    """Their order in a file means nothing."""
    return sorted(attributes, key=lambda attribute: attribute.name)


def _stems(names: tuple[str, ...]) -> dict[str, str]:
    """Distinct parts of Python names for names of rule files."""
    stems: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"\W", "_", name, flags=re.ASCII)
        while stem in taken:
            stem += "_"
        taken.add(stem)
        stems[name] = stem
    return stems
