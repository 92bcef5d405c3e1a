"""What some request can bring about in a rule: tried first, and asked of the solver where no trial shows it.

A rule is asked about with none of its fellows at first. Those that stand in the way of the request that is found are
added, and it is asked again: mostly two or three are enough to prove that a rule changes nothing, however many there
are. Fewer fellows never make less possible, so what is impossible then is impossible.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from policy_service.analysis.concrete import Concretizer, readable
from policy_service.analysis.encode.terms import Truth, both, either
from policy_service.analysis.goal_checks import Seen, is_about
from policy_service.analysis.goal_formulas import GoalFormulas
from policy_service.analysis.questions import Questions
from policy_service.analysis.slices import Slice
from policy_service.analysis.solving import Budget, Solver
from policy_service.analysis.trials import Trials, outcome, speaks, speaks_for
from policy_service.engine.conditions.evaluate import Fault
from policy_service.language.policy import Policy, Rule

RuleGoal = Literal["applies", "satisfied", "unsatisfied", "faulted", "reached", "deciding"]
RULE_GOALS: Final[tuple[RuleGoal, ...]] = ("applies", "satisfied", "unsatisfied", "faulted", "reached", "deciding")
"""`reached`: satisfied (of a deny rule: or faulting) where no check before denies. `deciding`: so that without it the
request would be decided otherwise, or for another reason."""


class RuleQuestions(Questions[RuleGoal]):
    """Questions about one rule.

    Args:
        parts: the slices that it can apply in.
    """

    def __init__(self, policy: Policy, type_: str, rule: Rule, parts: Sequence[Slice], trials: Trials) -> None:
        super().__init__(parts)
        self._policy = policy
        self._resource = policy.resources[type_]
        self._rule = rule
        self._trials = trials
        self._alone: dict[Slice, tuple[GoalFormulas, Solver]] = {}

    def look(self) -> None:
        """Try a few requests of the first slice; what they show is known then.

        Cost: mostly two or three.
        """
        for part in self._parts[:1]:
            self._look_at(part)

    def _look_at(self, part: Slice) -> None:
        for seen in self._trials.of_rule(self._rule, part):
            self._note(part, seen)
            if self._is_seen_deciding and (self._rule.condition is None or self._is_seen_otherwise):
                return

    @property
    def _is_seen_deciding(self) -> bool:
        return bool(self._known.get("satisfied") and self._known.get("deciding"))

    @property
    def _is_seen_otherwise(self) -> bool:
        return bool(self._known.get("unsatisfied") or self._known.get("faulted"))

    def _note(self, part: Slice, seen: Seen) -> None:
        """What one request shows."""
        if not is_about(self._rule, seen.facts.request):
            return
        value = outcome(self._rule, seen)
        goals: list[RuleGoal] = ["applies"]
        goals.append("faulted" if isinstance(value, Fault) else "satisfied" if value else "unsatisfied")
        if speaks(self._rule, value) and self._trials.is_reached(seen):
            goals.append("reached")
            if self._decides(part, seen):
                goals.append("deciding")
        self._known |= dict.fromkeys(goals, True)

    def _decides(self, part: Slice, seen: Seen) -> bool:
        if not speaks_for(self._rule, seen):
            return False
        return self._rule.effect == "deny" or not self._fellows(part, seen)

    def _fellows(self, part: Slice, seen: Seen) -> list[Rule]:
        """Other rules that have a say in a request."""
        return [rule for rule in self._trials.speaking(part, seen) if rule is not self._rule]

    def _ask(self, goal: RuleGoal, part: Slice, budget: Budget) -> bool | None:
        if budget.is_spent:
            return None
        if goal == "deciding":
            return self._ask_deciding(part, budget)
        formulas, solver = self._formulas(part, budget, [])
        return self._settled(formulas, solver.tells(self._truths(formulas)[goal]))

    def _truths(self, formulas: GoalFormulas) -> dict[RuleGoal, Truth]:
        subject = formulas.rule(self._rule.name)
        applies, found = subject.applies, subject.outcome
        speaking = either(found.satisfied, found.fault) if self._rule.effect == "deny" else found.satisfied
        return {
            "applies": applies,
            "satisfied": both(applies, found.satisfied),
            "unsatisfied": both(applies, found.unsatisfied),
            "faulted": both(applies, found.fault),
            "reached": both(subject.reached, speaking),
            "deciding": both(subject.reached, subject.decides),
        }

    def _formulas(self, part: Slice, budget: Budget, fellows: list[Rule]) -> tuple[GoalFormulas, Solver]:
        """The rule with some of its fellows, and none else."""
        if not fellows and part in self._alone:
            return self._alone[part]
        few = msgspec.structs.replace(self._resource, rules=(self._rule, *fellows))
        formulas = GoalFormulas(msgspec.structs.replace(self._policy, resources={self._resource.type: few}), part)
        formulas.rule(self._rule.name)  # what it reads belongs to what is well formed
        solver = Solver(budget)
        solver.add(*formulas.world.well_formed())
        if not fellows:
            self._alone[part] = formulas, solver
        return formulas, solver

    def _ask_deciding(self, part: Slice, budget: Budget) -> bool | None:
        if part != self._parts[0]:
            self._look_at(part)
            if self._known.get("deciding"):
                return True
        fellows = [rule for rule in self._trials.in_the_way(part) if rule is not self._rule]
        more = 1
        while True:
            formulas, solver = self._formulas(part, budget, fellows)
            truth = self._truths(formulas)["deciding"]
            # A short list is one that the engine can be asked about at once.
            model = solver.example(both(truth, readable(formulas.world)), truth)
            if not model:
                return self._settled(formulas, model)
            seen = self._trials.see(Concretizer(formulas.world, model).situation())
            if seen is None or self._decides(part, seen):
                if seen is not None:
                    self._trials.learn(part, seen, fellows)
                return True
            known = {rule.name for rule in fellows}
            standing = [rule for rule in self._fellows(part, seen) if rule.name not in known]
            if not standing:
                # Only constructs without a formula are in the way: nothing is proved.
                return True
            fellows = [*fellows, *standing[:more]]
            more *= 2
