"""Invariants proved of every request there can be, or refuted by one that the real engine has decided.

The requests fall apart by scope and resource type, so that only a few rules can apply in each slice. First the built-in
checks alone are asked: what they forbid needs no rule, and a proof costs nothing. There are three outcomes, and the
third is never taken for the first.

INVARIANT: what is proved here no request breaks (tests/property/test_proofs.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from policy_service.analysis.concrete import Concretizer, wishes
from policy_service.analysis.encode.chain import BEFORE_RULES, Chain, ChainEncoder, conditions_on, world_of
from policy_service.analysis.encode.conditions import Gap
from policy_service.analysis.encode.terms import Truth, both, no
from policy_service.analysis.judged import Judge
from policy_service.analysis.situation import Witness
from policy_service.analysis.slices import Slice, allowable, others
from policy_service.analysis.solving import Budget, Solver, Unknown, otherwise, possible
from policy_service.analysis.statements import (
    Breach,
    StatementReader,
    breach,
    is_only_about_allowing,
    needs_allowed,
    of_chain,
    settled,
)
from policy_service.engine.conditions.evaluate import Fault
from policy_service.language.invariants import Invariant
from policy_service.language.policy import Policy

Outcome = Literal["proved", "refuted", "undecided"]
Advance = Callable[[int], None]

_TRIES = 8
"""Counterexamples that may turn out to be none, where constructs have no formula."""

_ODD = "the engine decides the counterexample otherwise than its formula; please report this"


class Step(msgspec.Struct, frozen=True):
    """One slice, and what is asked of it.

    The built-in invariants come first, by themselves: no author's statement takes the time from them.
    """

    part: Slice
    about: tuple[Invariant, ...]


class Finding(msgspec.Struct, frozen=True):
    """What became of one invariant.

    Args:
        why: for `undecided`, one line each.
        witness: for `refuted`.
    """

    invariant: Invariant
    outcome: Outcome
    why: tuple[str, ...] = ()
    witness: Witness | None = None


def steps(policy: Policy, invariants: Iterable[Invariant]) -> list[Step]:
    """What a proof of these looks at, in this order: each slice with what is asked of it."""
    several = tuple(invariants)
    return [
        Step(part, about)
        for same in (True, False)
        if (about := tuple(one for one in several if one.is_builtin is same))
        for part in _parts(policy, about)
    ]


def _parts(policy: Policy, invariants: tuple[Invariant, ...]) -> list[Slice]:
    parts = allowable(policy)
    return parts if all(map(needs_allowed, invariants)) else parts + others(policy)


def prove(
    policy: Policy, invariants: Iterable[Invariant], budget: Budget, advance: Advance = lambda _steps: None
) -> list[Finding]:
    """What becomes of each invariant, in the given order.

    Args:
        advance: told of every step that is done; there are as many as `steps` gives.

    Cost: milliseconds a slice for what the built-in checks forbid; else it grows with the rules that can apply there.
    """
    several = tuple(invariants)
    prover = _Prover(policy, several, budget)
    for step in steps(policy, several):
        prover.look_at(step)
        advance(1)
    return prover.findings()


class _Prover:
    """All invariants of one policy, step by step."""

    def __init__(self, policy: Policy, invariants: tuple[Invariant, ...], budget: Budget) -> None:
        self._policy = policy
        self._invariants = invariants
        self._budget = budget
        self._judge = Judge(policy)
        self._allowable = frozenset(allowable(policy))
        self._refuted: dict[Invariant, Witness] = {}
        self._why: dict[Invariant, list[str]] = {}
        self._given_up: set[Invariant] = set()

    def findings(self) -> list[Finding]:
        return [self._finding(one) for one in self._invariants]

    def _finding(self, invariant: Invariant) -> Finding:
        if invariant in self._refuted:
            return Finding(invariant, "refuted", witness=self._refuted[invariant])
        why = tuple(dict.fromkeys(self._why.get(invariant, ())))
        return Finding(invariant, "undecided" if why else "proved", why)

    def look_at(self, step: Step) -> None:
        """Every invariant that is still open, on one slice."""
        about = [one for one in step.about if self._concerns(one, step.part)]
        if not about:
            return
        question = Question(self._policy, step.part, about, self._budget, self._judge)
        for invariant in about:
            try:
                answer = question.ask(invariant)
            except Unknown as unknown:
                # It will not be proved any more: the time is for the others.
                self._given_up.add(invariant)
                answer = [unknown.why]
            if isinstance(answer, Witness):
                self._refuted[invariant] = answer
            else:
                self._why.setdefault(invariant, []).extend(answer)

    def _concerns(self, invariant: Invariant, part: Slice) -> bool:
        if invariant in self._refuted or invariant in self._given_up or invariant.resource not in (None, part.type):
            return False
        return part in self._allowable or not needs_allowed(invariant)


class Question:
    """One slice: its unknowns, and its chain once it is needed."""

    def __init__(self, policy: Policy, part: Slice, about: Iterable[Invariant], budget: Budget, judge: Judge) -> None:
        self._policy = policy
        self._part = part
        self._budget = budget
        self._judge = judge
        self._world = world_of([policy], part.scope, part.type, [one.statement for one in about])
        self._encoder = ChainEncoder(policy, self._world, part.scope, part.type)
        self._checks = self._encoder.chain(only=BEFORE_RULES)
        self._whole: Chain | None = None

    def ask(self, invariant: Invariant) -> Witness | list[str]:
        """A counterexample, or what keeps this slice from being proved; nothing where it is.

        Raises:
            Unknown: the solver gave up.
        """
        if not is_only_about_allowing(invariant.statement):
            breaks = self._breach(invariant, of_chain(self._chain()))
            return [self._gap(invariant, breaks)] if isinstance(breaks, Gap) else self._refute(invariant, breaks, True)
        found: list[str] = []
        for allowed in (True, False):
            answer = self._ask(invariant, allowed=allowed)
            if isinstance(answer, Witness):
                return answer
            found += answer
        return found

    def _ask(self, invariant: Invariant, *, allowed: bool) -> Witness | list[str]:
        """Among the requests that are allowed, or those that are denied."""
        breaks = self._breach(invariant, settled(allowed=allowed))
        if isinstance(breaks, Gap):
            return [self._gap(invariant, breaks)]
        if breaks.either is False:
            return []
        if allowed and not self._possible(both(breaks.either, self._checks.allowed)):
            return self._bounds(invariant, with_rules=False)
        return self._refute(invariant, breaks, self._chain().allowed if allowed else no(self._chain().allowed))

    def _chain(self) -> Chain:
        if self._whole is None:
            self._whole = self._encoder.chain()
        return self._whole

    def _possible(self, truth: Truth) -> bool:
        return possible([truth, *self._world.well_formed()], self._budget)

    def _breach(self, invariant: Invariant, decision: Any) -> Breach | Gap:
        return breach(invariant, StatementReader(self._encoder, decision))

    def _refute(self, invariant: Invariant, breaks: Breach, where: Truth) -> Witness | list[str]:
        """A counterexample that the engine confirms; constructs without a formula may make it none."""
        broken = both(breaks.either, where)
        if not self._possible(broken):
            return self._bounds(invariant, with_rules=True)
        solver = Solver(self._budget)
        solver.add(broken, *self._world.well_formed())
        for _ in range(_TRIES):
            model = solver.model([breaks.by_word, *wishes(self._world)])
            witness = self._confirmed(invariant, model)
            if witness is not None:
                return witness
            solver.add(otherwise(model))
            if not solver.is_possible():
                break
        return self._unsupported() or [_ODD]

    def _confirmed(self, invariant: Invariant, model: Any) -> Witness | None:
        situation = Concretizer(self._world, model).situation()
        decision = self._judge.decide(situation)
        holds = self._judge.statement(invariant.statement, situation, decision)
        if isinstance(holds, Fault) or holds == (invariant.quantity == "never"):
            return Witness(situation, decision)
        return None

    def _unsupported(self) -> list[str]:
        return [
            f"{one.construct} has no formula ({one.span.file}:{one.span.line}, `{one.name}`)"
            for one in self._chain().unsupported
        ]

    def _gap(self, invariant: Invariant, gap: Gap) -> str:
        span = invariant.span
        return f"{gap.construct} has no formula ({span.file}:{span.line}, `{invariant.name}`)"

    def _bounds(self, invariant: Invariant, *, with_rules: bool) -> list[str]:
        """What a proof has not looked at."""
        conditions = [invariant.statement]
        if with_rules:
            conditions += conditions_on(self._policy, self._part.scope, self._part.type)
        paths = frozenset[str]().union(*(one.reads() for one in conditions))
        return [text for path, text in sorted(self._world.bounds.items()) if path in paths]
