"""For each gap of coverage the smallest request that closes it, or the proof that there is none.

The solver finds a situation; `named_facts` says it with the names that the suite has already; the text that results is
read and decided like any test file, and what it covers is measured. Only what closes the gap then is shown.

INVARIANT: no goal that a request can reach is called impossible (test_suggest).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from policy_service.analysis.concrete import Concretizer, readable, wishes
from policy_service.analysis.coverage import CHAIN
from policy_service.analysis.encode.chain import conditions_on, rules_on
from policy_service.analysis.encode.terms import Truth, both
from policy_service.analysis.gaps import Gap, NewTest, Suggestions
from policy_service.analysis.goal_checks import GoalCheck, Seen
from policy_service.analysis.goal_formulas import RESOURCE_POLICY, GoalFormulas
from policy_service.analysis.new_tests import Bench
from policy_service.analysis.situation import Situation
from policy_service.analysis.slices import Slice, reaching
from policy_service.analysis.solving import Budget, Solver, Unknown, otherwise
from policy_service.analysis.trials import Trials
from policy_service.language.policy import ConditionCheck, Policy

Advance = Callable[[int], None]

_TRIES: Final = 8
"""Models that may turn out to be none, where constructs have no formula."""
_ODD: Final = "the engine takes the request that was found otherwise than its formula; please report this"
_UNNAMED: Final = "only requests for a scope or type that nobody declared reach it, and a test cannot name one"


class _Open(msgspec.Struct):
    """What is known of a gap so far.

    Args:
        is_alive: some request reaches the rule at all.
    """

    gap: Gap
    parts: tuple[Slice, ...]
    why: list[str] = msgspec.field(default_factory=list)
    is_alive: bool = False


def suggest(
    policy: Policy, missing: Sequence[Gap], bench: Bench, budget: Budget, advance: Advance = lambda _steps: None
) -> Suggestions:
    """What can be said of each gap.

    Args:
        bench: where new tests are tried; a gap that one closes by the way needs no test of its own.
        advance: told how many gaps are settled.

    Cost: some ten milliseconds a gap; more for whether a rule decides, where many rules can apply to one request.
    """
    return _Suggester(policy, missing, bench, budget, advance).all()


class _Suggester:
    def __init__(self, policy: Policy, missing: Sequence[Gap], bench: Bench, budget: Budget, advance: Advance) -> None:
        self._policy = policy
        self._bench = bench
        self._budget = budget
        self._advance = advance
        self._trials = Trials(policy)
        self._order = {gap: place for place, gap in enumerate(missing)}
        self._open = {gap: _Open(gap, _slices(policy, gap)) for gap in missing}
        self._tests: list[NewTest] = []

    def all(self) -> Suggestions:
        """Slice after slice; what is open in none of its slices any more is impossible, or undecided."""
        parts = dict.fromkeys(part for one in self._open.values() for part in one.parts)
        for part in sorted(parts, key=lambda part: (part.scope is None, part.type is None)):
            self._look_at(part)
        left = [(one.gap, one) for one in self._open.values()]
        self._advance(len(left))
        return Suggestions(
            tuple(sorted(self._tests, key=lambda test: self._order[test.closes[0]])),
            tuple((gap, _impossible(one)) for gap, one in left if not one.why),
            tuple((gap, "; ".join(dict.fromkeys(one.why))) for gap, one in left if one.why),
        )

    def _look_at(self, part: Slice) -> None:
        for gap in [one.gap for one in self._open.values() if part in one.parts]:
            self._try_names(gap, part)
        self._try_guesses(part)
        about = [one for one in self._open.values() if part in one.parts]
        alone = [one for one in about if one.gap.type != CHAIN and (one.gap.atom or one.gap.goal != "deciding")]
        for name in dict.fromkeys(one.gap.rule for one in alone):
            # What a rule's own condition comes to is no matter of the other rules: a hundred times less to say.
            self._ask([one for one in alone if one.gap.rule == name], part, _only(self._policy, str(part.type), name))
        self._ask([one for one in about if one not in alone], part, self._policy)

    def _ask(self, about: Sequence[_Open], part: Slice, policy: Policy) -> None:
        """By the solver, in the world of these rules."""
        about = [one for one in about if one.gap in self._open]
        if not about or self._is_late(about):
            return
        formulas = GoalFormulas(policy, part)
        goals = [(one, formulas.goal(one.gap)) for one in about if not self._budget.is_spent]
        if self._is_late(about):
            return
        solver = Solver(self._budget)
        solver.add(*formulas.world.well_formed())
        for one, goal in goals:
            if one.gap in self._open:
                self._settle(one, goal, part, formulas, solver)

    def _is_late(self, about: Sequence[_Open]) -> bool:
        """Whether the time is over; then that is why nothing is known of these."""
        if not self._budget.is_spent:
            return False
        for one in about:
            one.why.append(f"the time of {self._budget.seconds:g} s was not enough")
        return True

    def _try_names(self, gap: Gap, part: Slice) -> None:
        """Without the solver, where the names of the suite are enough."""
        is_in_time = not self._budget.is_spent
        if is_in_time and gap in self._open and part.scope is not None and part.type is not None:
            found = self._bench.by_names(gap, part.scope, part.type)
            if found is not None:
                self._take(found)

    def _try_guesses(self, part: Slice) -> None:
        """Without the solver, on requests made of what each rule compares with."""
        by_rule: dict[str, list[Gap]] = {}
        for one in self._open.values():
            if part in one.parts and one.gap.type != CHAIN:
                by_rule.setdefault(one.gap.rule, []).append(one.gap)
        for rule in self._policy.resources[str(part.type)].rules if by_rule else ():
            if self._budget.is_spent:
                return
            tried = [*self._trials.ways_of_rule(rule, part)] if rule.name in by_rule else []
            for gap in by_rule.get(rule.name, ()):
                self._try(gap, tried)

    def _try(self, gap: Gap, tried: Sequence[tuple[Situation, Seen]]) -> None:
        check = GoalCheck(self._policy, gap)
        for situation in (one for one, seen in tried if gap in self._open and check(seen)):
            found = self._bench.test_for(gap, situation)
            if found is not None:
                self._take(found)
                return

    def _settle(self, one: _Open, goal: Truth, part: Slice, formulas: GoalFormulas, solver: Solver) -> None:
        try:
            closed = self._closed(one, goal, part, formulas, solver)
        except Unknown as unknown:
            one.why.append(unknown.why)
            return
        if not closed:
            one.is_alive = one.is_alive or solver.could(formulas.reached(one.gap))

    def _closed(self, one: _Open, goal: Truth, part: Slice, formulas: GoalFormulas, solver: Solver) -> bool:
        """Whether a test was found; else what keeps this slice from being settled is written down."""
        for tries in range(_TRIES):
            model = self._model(goal, formulas, solver)
            if model is None and tries == 0:
                one.why += self._not_looked_at(one.gap, part, formulas)
                return False
            if model is None:
                # INVARIANT: what the formulas allow is never called impossible, whatever became of it in the engine
                # (test_a_construct_without_a_formula_is_named).
                break
            if part.scope is None or part.type is None:
                one.why.append(_UNNAMED)
                return False
            situation = Concretizer(formulas.world, model, self._bench.names).situation()
            found = self._bench.test_for(one.gap, situation)
            if found is not None:
                self._take(found)
                return True
            goal = both(goal, otherwise(model))
        one.why += formulas.unsupported or (_ODD,)
        return False

    def _model(self, goal: Truth, formulas: GoalFormulas, solver: Solver) -> Any:
        """Values that reach a goal: with short lists if there are any such; None where there are none at all.

        Raises:
            Unknown: it cannot be told.
        """
        with contextlib.suppress(Unknown):
            model = solver.witness(both(goal, readable(formulas.world)), self._wishes(formulas))
            if model is not None:
                return model
        return solver.witness(goal, self._wishes(formulas))

    def _wishes(self, formulas: GoalFormulas) -> Iterator[Truth]:
        if self._bench.now is not None:
            yield formulas.world.now == self._bench.now
        yield from wishes(formulas.world)

    def _take(self, found: NewTest) -> None:
        """Keep a test; the gaps that it closes are closed, whatever it was made for."""
        made_for, *_ = found.closes
        closed = self._bench.accept(found.test)
        ordered = (made_for, *(gap for gap in closed if gap != made_for))
        self._tests.append(msgspec.structs.replace(found, closes=ordered))
        for gap in ordered:
            del self._open[gap]
        self._advance(len(ordered))

    def _not_looked_at(self, gap: Gap, part: Slice, formulas: GoalFormulas) -> list[str]:
        """What a proof has not looked at: lists longer than it goes."""
        bounds = formulas.world.bounds
        if not bounds:
            return []
        conditions = conditions_on(self._policy, part.scope, part.type)
        if gap.type != CHAIN and gap.goal != "deciding":
            # Other rules have no say in what this one comes to.
            rules = rules_on(self._policy, part.scope, part.type)
            foreign = [rule.condition for rule in rules if rule.name != gap.rule]
            conditions = [one for one in conditions if one not in foreign]
        paths = frozenset[str]().union(*(one.reads() for one in conditions))
        return [text for path, text in sorted(bounds.items()) if path in paths]


def _only(policy: Policy, type_: str, name: str) -> Policy:
    """The same policy with one rule on a type, and none on others."""
    resource = policy.resources[type_]
    rules = tuple(one for one in resource.rules if one.name == name)
    return msgspec.structs.replace(policy, resources={type_: msgspec.structs.replace(resource, rules=rules)})


def _slices(policy: Policy, gap: Gap) -> tuple[Slice, ...]:
    """Where the goal of a gap could be reached."""
    if gap.type == CHAIN:
        check = next(one for one in policy.chain if isinstance(one, ConditionCheck) and one.name == gap.rule)
        return tuple(one for one in reaching(policy, check.name) if check.resource_type in (None, one.type))
    rule = next(rule for rule in policy.resources[gap.type].rules if rule.name == gap.rule)
    parts = [one for one in reaching(policy, RESOURCE_POLICY) if one.type == gap.type]
    return tuple(one for one in parts if rule.scopes is None or one.scope in rule.scopes)


def _impossible(one: _Open) -> str:
    """Why nothing closes a gap, in a sentence."""
    gap = one.gap
    what = "the condition" if gap.type == CHAIN else "the rule"
    if not one.is_alive:
        return f"no request reaches {what}"
    if gap.text is not None:
        return _ATOM[gap.goal, gap.half]
    if gap.goal == "deciding":
        return "other rules decide the same wherever it is satisfied" if gap.type != CHAIN else "it never denies"
    return {
        "satisfied": f"no request satisfies {what}",
        "unsatisfied": f"every request that reaches {what} satisfies it, or makes it fault",
        "faulted": f"no request makes {what} fault",
    }[gap.goal]


_ATOM: Final = {
    ("satisfied", None): "no request satisfies it",
    ("unsatisfied", None): "every request satisfies it, or makes it fault",
    ("faulted", None): "no request makes it fault",
    ("deciding", True): "wherever it is satisfied, the whole comes to the same without it",
    ("deciding", False): "wherever it is not satisfied, the whole comes to the same if it were",
}
