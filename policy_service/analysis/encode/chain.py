"""The chain as guarded endings: each check's denials in the order in which the engine would give them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
import z3

from policy_service.analysis.encode.conditions import Gap, Outcome
from policy_service.analysis.encode.terms import Truth, both, either, no, some
from policy_service.analysis.encode.usage import usages
from policy_service.analysis.encode.world import OUTCOMES, Name, Reading, World
from policy_service.language.ir import Condition
from policy_service.language.policy import BuiltinCheck, Check, ConditionCheck, Policy, Rule
from policy_service.model.spans import Span


class Case(msgspec.Struct, frozen=True):
    """One way to be denied: where no case before it applies and `when` holds."""

    when: Truth
    reason: str
    check: str
    rule: str | None = None


class Unsupported(msgspec.Struct, frozen=True):
    """A construct of some rule or condition that has no formula. `name` is the rule's or the condition check's."""

    construct: str
    span: Span
    name: str


class Chain(msgspec.Struct, frozen=True):
    """All ways to be denied, in order; whoever meets none is allowed.

    Args:
        unsupported: constructs whose outcome was left open: the cases hold of everything that the engine could do, and
            of some things that it never does.
    """

    cases: tuple[Case, ...]
    unsupported: tuple[Unsupported, ...] = ()

    @property
    def allowed(self) -> Truth:
        return no(some(case.when for case in self.cases))

    def reasons(self) -> Iterator[tuple[Truth, Case]]:
        """Each case with when it is the one that decides."""
        before: Truth = False
        for case in self.cases:
            if case.when is not False:
                yield both(case.when, no(before)), case
                before = either(before, case.when)


BEFORE_RULES: Final = ("credential", "revocation", "workspace", "scope", "rbac", "ip_allowlist")
"""The built-in checks that look at no condition."""


def world_of(policies: Iterable[Policy], scope: Name, type_: Name, also: Iterable[Condition] = ()) -> World:
    """The unknowns of requests for a scope on a type, under any of the policies.

    Args:
        also: conditions that will be read besides those of the policies' rules and checks.
    """
    several = tuple(policies)
    conditions = [one for policy in several for one in conditions_on(policy, scope, type_)]
    return World(
        scope,
        type_,
        declared_scopes={name for policy in several for name in policy.scopes},
        declared_types={name for policy in several for name in declared_types(policy)},
        roles={name for policy in several for name in policy.roles},
        patterns=[one for policy in several for rule in rules_on(policy, scope, type_) for one in rule.patterns or ()],
        usages=usages([*conditions, *also]),
    )


def declared_types(policy: Policy) -> frozenset[str]:
    """Every resource type that has a file or that a scope is on."""
    return frozenset(policy.resources).union(*(scope.on for scope in policy.scopes.values()))


def rules_on(policy: Policy, scope: Name, type_: Name) -> tuple[Rule, ...]:
    """The rules of a type that can apply to a scope, by name."""
    resource = policy.resources.get(type_ or "")
    rules = sorted(resource.rules if resource else (), key=lambda rule: rule.name)
    return tuple(rule for rule in rules if rule.scopes is None or scope in rule.scopes)


def conditions_on(policy: Policy, scope: Name, type_: Name) -> list[Condition]:
    """Every condition that a request for a scope on a type can meet."""
    found = [rule.condition for rule in rules_on(policy, scope, type_)]
    for check in policy.chain:
        if isinstance(check, ConditionCheck) and check.resource_type in (None, type_):
            found += [check.when, check.require]
    return [condition for condition in found if condition is not None]


class ChainEncoder:
    """Encodes the chain of one policy over a world."""

    def __init__(self, policy: Policy, world: World, scope: Name, type_: Name) -> None:
        self.reading = Reading(world, policy)
        self._policy = policy
        self._world = world
        self._scope = scope
        self._type = type_
        self._unsupported: list[Unsupported] = []

    def chain(self, *, only: Iterable[str] | None = None) -> Chain:
        """The cases of the chain; with `only`, of these built-in checks alone: then less is denied than in truth."""
        wanted = None if only is None else frozenset(only)
        cases: list[Case] = []
        for check in self._policy.chain:
            if isinstance(check, ConditionCheck):
                cases += self._condition(check) if wanted is None else ()
            elif wanted is None or check.name in wanted:
                cases += self._builtin(check)
        return Chain(tuple(cases), tuple(self._unsupported))

    @property
    def unsupported(self) -> tuple[Unsupported, ...]:
        """Of all that was encoded so far."""
        return tuple(self._unsupported)

    def reaches(self, wanted: Check) -> Truth:
        """When no check before this one denies."""
        before: list[Case] = []
        for check in self._policy.chain:
            if check is wanted:
                break
            before += self._condition(check) if isinstance(check, ConditionCheck) else self._builtin(check)
        return no(some(case.when for case in before))

    def _builtin(self, check: BuiltinCheck) -> list[Case]:
        cases = _CHECKS[check.name](self)
        return [Case(when, reason, check.name, rule) for when, reason, rule in cases]

    def credential(self) -> Iterator[tuple[Truth, str, str | None]]:
        outcome = self._world.outcome
        for number, reason in enumerate(("missing_credentials", "malformed_key", "unknown_key")):
            yield outcome == OUTCOMES.index(OUTCOMES[number]), reason, None

    def revocation(self) -> Iterator[tuple[Truth, str, str | None]]:
        world = self._world
        yield world.revoked, "revoked_key", None
        yield self.expired(), "expired_key", None
        yield both(world.starts, world.now < world.not_before), "key_not_yet_valid", None
        yield world.suspended, "principal_suspended", None

    def expired(self) -> Truth:
        """The key, or the secret that was presented, has ended."""
        world = self._world
        return either(
            both(world.expires, world.now >= world.expires_at), both(world.graced, world.now >= world.grace_ends)
        )

    def workspace(self) -> Iterator[tuple[Truth, str, str | None]]:
        world = self._world
        resource = self._policy.resources.get(self._type or "")
        is_welcome = both(resource is not None and resource.unregistered == "allow", world.claims_own)
        yield world.claims_other, "workspace_mismatch", None
        yield both(no(world.registered), no(is_welcome)), "unknown_resource", None

    def scope(self) -> Iterator[tuple[Truth, str, str | None]]:
        declared = self._policy.scopes.get(self._scope or "")
        yield declared is None, "unknown_scope", None
        yield declared is None or self._type not in declared.on, "scope_resource_mismatch", None
        yield no(self.reading.carried(self._world.scope)), "insufficient_scope", None

    def rbac(self) -> Iterator[tuple[Truth, str, str | None]]:
        granted = self.reading.granted(self._world.scope)
        yield both(self._world.is_user, no(granted)), "role_not_granted", None

    def ip_allowlist(self) -> Iterator[tuple[Truth, str, str | None]]:
        world = self._world
        limited = either(world.list_on, world.has_cidrs)
        yield either(world.bad_address, both(world.no_address, limited)), "invalid_source_ip", None
        outside = either(both(world.list_on, no(world.listed)), both(world.has_cidrs, no(world.in_cidrs)))
        yield outside, "ip_not_allowed", None

    def resource_policy(self) -> Iterator[tuple[Truth, str, str | None]]:
        resource = self._policy.resources.get(self._type or "")
        if resource is None:
            yield True, "resource_not_allowed", None
            return
        rules = [(rule, *self.rule(rule)) for rule in rules_on(self._policy, self._scope, self._type)]
        denying = [one for one in rules if one[0].effect == "deny"]
        for rule, applies, outcome in denying:
            yield both(applies, outcome.satisfied), rule.reason or "resource_denied", rule.name
        for rule, applies, outcome in denying:
            yield both(applies, outcome.fault), "policy_error", rule.name
        if resource.default == "deny":
            allowing = (both(applies, one.satisfied) for rule, applies, one in rules if rule.effect == "allow")
            yield no(some(allowing)), "resource_not_allowed", None

    def rule(self, rule: Rule) -> tuple[Truth, Outcome]:
        """When a rule applies to the resource's id, and what its condition comes to."""
        return self.applies(rule), self.outcome(rule.condition, rule.name, rule.span)

    def applies(self, rule: Rule) -> Truth:
        """When a rule is about the resource's id."""
        if rule.patterns is None:
            return True
        return some(self._world.regions.matches(pattern) for pattern in rule.patterns)

    def outcome(self, condition: Condition | None, name: str, span: Span) -> Outcome:
        """A condition's formulas; where a construct has none, an outcome that is left open."""
        encoded = self.reading.outcome(condition)
        if isinstance(encoded, Outcome):
            return encoded
        self._unsupported.append(Unsupported(encoded.construct, span, name))
        assert isinstance(encoded, Gap)
        satisfied, fault = z3.FreshBool(f"{name} satisfied"), z3.FreshBool(f"{name} faults")
        return Outcome(z3.And(satisfied, z3.Not(fault)), fault)

    def _condition(self, check: ConditionCheck) -> list[Case]:
        if check.resource_type is not None and check.resource_type != self._type:
            return []
        when = self.outcome(check.when, check.name, check.span)
        require = self.outcome(check.require, check.name, check.span)
        fault = either(when.fault, both(when.satisfied, require.fault))
        return [
            Case(fault, "policy_error", "condition", check.name),
            Case(both(when.satisfied, require.unsatisfied), check.reason, "condition", check.name),
        ]


_CHECKS: Final[dict[str, Callable[[ChainEncoder], Iterator[tuple[Any, str, str | None]]]]] = {
    "credential": ChainEncoder.credential,
    "revocation": ChainEncoder.revocation,
    "workspace": ChainEncoder.workspace,
    "scope": ChainEncoder.scope,
    "rbac": ChainEncoder.rbac,
    "resource_policy": ChainEncoder.resource_policy,
    "ip_allowlist": ChainEncoder.ip_allowlist,
}
