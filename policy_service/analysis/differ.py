"""Two policies compared by what they allow: who gains and who loses access, with a witness that both engines decided.

Slice by slice (scope and resource type); where both say the same of a slice, nothing is asked. In the others the solver
looks for a request that one allows and the other does not, then for one that is denied for another reason, and so on:
each is one kind of change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import msgspec

from policy_service.analysis.concrete import Concretizer, wishes
from policy_service.analysis.encode.chain import Chain, ChainEncoder, conditions_on, rules_on, world_of
from policy_service.analysis.encode.terms import Truth, both, no, some
from policy_service.analysis.judged import Judge
from policy_service.analysis.own_scopes import OwnScopeChange, own_scope_changes
from policy_service.analysis.situation import Situation
from policy_service.analysis.slices import Slice, allowable
from policy_service.analysis.solving import Budget, Solver, Unknown
from policy_service.language.ir import Condition
from policy_service.language.policy import BuiltinCheck, Policy, Rule
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX
from policy_service.model.decision import Decision, Explanation
from policy_service.model.facts import PrincipalKind
from policy_service.model.spans import Span

Direction = Literal["looser", "stricter"]
Verdict = Literal["equivalent", "looser", "stricter", "both", "undecided"]
Advance = Callable[[int], None]

MAX_KINDS: Final = 20
"""Kinds of change that are looked for in one slice and direction."""

_Denial = tuple[str, str | None]
"""Reason, and rule if one denied."""

_NOWHERE: Final = Span("")


class Change(msgspec.Struct, frozen=True):
    """One kind of change: requests that the new policy decides otherwise, for one reason.

    Args:
        scopes, types: where it was found.
        principals: whose keys it concerns.
        denial: of the policy that denies: reason, and rule if one did.
        rules: that are judged otherwise by the two policies, or are in one only.
        situation: one such request, which both engines decided as `old` and `new` say.
    """

    direction: Direction
    scopes: tuple[str, ...]
    types: tuple[str, ...]
    principals: tuple[PrincipalKind, ...]
    denial: _Denial
    rules: tuple[str, ...]
    situation: Situation
    old: Decision
    new: Decision


class Comparison(msgspec.Struct, frozen=True):
    """What has changed.

    Args:
        own_scopes: in other hands: those that only the service itself asks for.
        why: what keeps it from being known, one line each; then nothing follows from no change.
    """

    changes: tuple[Change, ...]
    why: tuple[str, ...] = ()
    own_scopes: tuple[OwnScopeChange, ...] = ()

    @property
    def directions(self) -> set[Direction]:
        return {one.direction for one in self.changes} | {one.direction for one in self.own_scopes}

    @property
    def verdict(self) -> Verdict:
        directions = self.directions
        if len(directions) == 2:
            return "both"
        if self.why:
            return "undecided"
        return next(iter(directions), "equivalent")


def steps(old: Policy, new: Policy) -> list[Slice]:
    """The slices that a comparison looks at: where either could allow."""
    return sorted({*allowable(old), *allowable(new)}, key=lambda one: (one.type or "", one.scope or ""))


def compare(old: Policy, new: Policy, budget: Budget, advance: Advance = lambda _steps: None) -> Comparison:
    """Every kind of change.

    Args:
        advance: told of every slice that is done; there are as many as `steps` gives.

    Cost: nothing for slices that both policies say the same of; else some 0.5 ms a rule, and the solver's time.
    """
    judges = (Judge(old), Judge(new))
    changes: list[Change] = []
    why: list[str] = []
    for part in steps(old, new):
        if _said_of(old, part) != _said_of(new, part):
            question = _Question(judges, part, budget, {(one.direction, one.denial) for one in changes})
            changes += question.changes()
            why += question.why
        advance(1)
    return Comparison(tuple(_merged(changes)), tuple(dict.fromkeys(why)), tuple(own_scope_changes(old, new)))


def _said_of(policy: Policy, part: Slice) -> tuple[Any, ...]:
    """All that a policy says of a slice, without places."""
    resource = policy.resources.get(part.type or "")
    declared = policy.scopes.get(part.scope or "")
    granting = {name: part.scope in role.closure for name, role in policy.roles.items()}
    carrying = {name: part.scope in scope.closure for name, scope in policy.scopes.items()}
    lineages = {name: role.lineage for name, role in policy.roles.items()}
    return (
        [one if isinstance(one, BuiltinCheck) else msgspec.structs.replace(one, span=_NOWHERE) for one in policy.chain],
        None if resource is None else (resource.default, resource.unregistered, resource.attributes),
        [msgspec.structs.replace(rule, span=_NOWHERE) for rule in rules_on(policy, part.scope, part.type)],
        (policy.context, declared is not None and part.type in declared.on, granting, carrying, lineages),
    )


def _merged(changes: list[Change]) -> Iterator[Change]:
    """Changes of one kind in several slices as one."""
    kinds: dict[Any, list[Change]] = {}
    for one in changes:
        kinds.setdefault((one.direction, one.denial, one.rules), []).append(one)
    for same in kinds.values():
        yield msgspec.structs.replace(
            same[0],
            scopes=tuple(sorted({name for one in same for name in one.scopes})),
            types=tuple(sorted({name for one in same for name in one.types})),
            principals=tuple(sorted({kind for one in same for kind in one.principals})),
        )


class _Question:
    """One slice under both policies. `why`: what is not known of it, once its changes were asked for."""

    def __init__(
        self, judges: tuple[Judge, Judge], part: Slice, budget: Budget, told: set[tuple[Direction, _Denial]]
    ) -> None:
        self._told = told
        self._judges = judges
        self._part = part
        self._budget = budget
        policies = [judge.policy for judge in judges]
        self._world = world_of(policies, part.scope, part.type)
        encoders = [ChainEncoder(policy, self._world, part.scope, part.type) for policy in policies]
        self._old, self._new = (encoder.chain() for encoder in encoders)
        self._endings = {"looser": list(self._old.reasons()), "stricter": list(self._new.reasons())}
        self.why: list[str] = [*self._retyped(policies)]

    def _retyped(self, policies: list[Policy]) -> Iterator[str]:
        """Values whose declared type has changed: what one policy reads says nothing of what the other does."""
        paths = [
            {path for one in conditions_on(policy, self._part.scope, self._part.type) for path in one.reads()}
            for policy in policies
        ]
        types = [_types(policy, self._part) for policy in policies]
        for path in sorted(paths[0] & paths[1]):
            if types[0].get(path) != types[1].get(path):
                yield f"the type of `{path}` has changed; its values were taken for unrelated"

    def changes(self) -> list[Change]:
        """Every kind of change in this slice."""
        found: list[Change] = []
        for direction, denying, allowing in (("looser", self._old, self._new), ("stricter", self._new, self._old)):
            try:
                found += self._kinds(direction, denying, allowing)  # type: ignore[arg-type]  # the two words
            except Unknown as unknown:
                self.why.append(unknown.why)
        return found

    def _kinds(self, direction: Direction, denying: Chain, allowing: Chain) -> Iterator[Change]:
        solver = Solver(self._budget)
        shared = {case.when for case in allowing.cases}
        truth = both(allowing.allowed, some(case.when for case in denying.cases if case.when not in shared))
        if truth is False:
            return
        solver.add(truth, *self._world.well_formed())
        endings = self._endings[direction]
        for _ in range(MAX_KINDS):
            if not solver.is_possible():
                self.why += self._bounds()
                return
            change = self._change(direction, solver)
            if change is None:
                return
            yield change
            solver.add(*(no(when) for when, case in endings if (case.reason, case.rule) == change.denial))

    def _change(self, direction: Direction, solver: Solver) -> Change | None:
        """One request of the kind that the solver has found, with what both engines say to it."""
        situation, old, new = self._found(direction, solver)
        if (old.decision.allowed, new.decision.allowed) != (direction == "stricter", direction == "looser"):
            self.why += self._unsupported() or ["an engine decides a witness otherwise than its formula; please report"]
            return None
        denying = old.decision if direction == "looser" else new.decision
        denial = (denying.reason, denying.rule)
        return Change(
            direction,
            (str(self._part.scope),),
            (str(self._part.type),),
            self._principals(solver, direction, denial),
            denial,
            tuple(_differing(old, new)),
            situation,
            old.decision,
            new.decision,
        )

    def _found(self, direction: Direction, solver: Solver) -> tuple[Situation, Explanation, Explanation]:
        """A request that the solver found: one short to tell, if its kind was not told of another slice already."""
        for wanted in ((), wishes(self._world)):
            situation = Concretizer(self._world, solver.model(wanted)).situation()
            old, new = (judge.explain(situation) for judge in self._judges)
            denying = old.decision if direction == "looser" else new.decision
            if (direction, (denying.reason, denying.rule)) in self._told:
                break
        return situation, old, new

    def _principals(self, solver: Solver, direction: Direction, denial: _Denial) -> tuple[PrincipalKind, ...]:
        """Whose keys can be concerned."""
        here = some(when for when, case in self._endings[direction] if (case.reason, case.rule) == denial)
        kinds: tuple[tuple[PrincipalKind, Truth], ...] = (
            ("service", no(self._world.is_user)),
            ("user", self._world.is_user),
        )
        return tuple(kind for kind, truth in kinds if solver.could(both(here, truth)))

    def _unsupported(self) -> list[str]:
        return [
            f"{one.construct} has no formula ({one.span.file}:{one.span.line}, `{one.name}`)"
            for chain in (self._old, self._new)
            for one in chain.unsupported
        ]

    def _bounds(self) -> list[str]:
        return sorted(self._world.bounds.values())


def _types(policy: Policy, part: Slice) -> dict[str, str]:
    """The declared types by path."""
    resource = policy.resources.get(part.type or "")
    found = {ATTRIBUTE_PREFIX + one.name: str(one.type) for one in (resource.attributes if resource else ())}
    return found | {CONTEXT_PREFIX + one.name: str(one.type) for one in policy.context}


def _differing(old: Explanation, new: Explanation) -> Iterator[str]:
    """The rules and conditions that came to something else, or are in one policy only."""
    before, after = _outcomes(old), _outcomes(new)
    yield from (name for name in sorted({*before, *after}) if before.get(name) != after.get(name))


def _outcomes(explanation: Explanation) -> dict[str, str]:
    found: dict[str, str] = {}
    for trace in explanation.checks:
        if trace.check == "resource_policy":
            found |= {one["rule"]: f"{one['effect']} {one['outcome']}" for one in trace.values.get("rules", ())}
        elif trace.check == "condition" and trace.outcome != "not_reached":
            found[trace.name] = trace.outcome
    return found


def said_by(policy: Policy, names: tuple[str, ...]) -> dict[str, str]:
    """Rule or condition check → what it does and when, in the author's words; of those that the policy has."""
    rules = [rule for resource in policy.resources.values() for rule in resource.rules]
    checks = [check for check in policy.chain if not isinstance(check, BuiltinCheck)]
    found = {rule.name: _said(rule) for rule in rules} | {one.name: f"requires {_line(one.require)}" for one in checks}
    return {name: text for name, text in found.items() if name in names}


def _said(rule: Rule) -> str:
    scopes = f" {', '.join(sorted(rule.scopes))}" if rule.scopes else ""
    ids = ", ".join(pattern.text + "*" * pattern.is_prefix for pattern in rule.patterns or ())
    when = f" when {_line(rule.condition)}" if rule.condition else ""
    return f"{rule.effect}{scopes}{f' on {ids}' if ids else ''}{when}"


def _line(condition: Condition) -> str:
    return " ".join(condition.text.split())
