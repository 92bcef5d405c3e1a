"""Asking the solver: within a time, and never taking "don't know" for a yes or a no."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import z3

from policy_service.analysis.encode.terms import Truth, as_bool

DEFAULT_TIMEOUT_S: Final = 30.0
_LEAST_MS: Final = 1
_SHARES: Final = 4
_ONE_WISH_MS: Final = 300
_ALL_WISHES_S: Final = 1.0


class Budget:
    """Time for everything that is asked under it.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float = DEFAULT_TIMEOUT_S) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def left_ms(self) -> int:
        """What one question may take: no more than a quarter of what is left, so that others are asked as well.

        At least a millisecond: the solver takes 0 for "for ever".
        """
        return max(_LEAST_MS, int((self._ends - time.monotonic()) / _SHARES * 1000))

    @property
    def is_spent(self) -> bool:
        return time.monotonic() >= self._ends


class Unknown(Exception):  # noqa: N818 - an answer, no error
    """The solver gave up. `why` says so in a few words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Solver:
    """One question with the facts it stands on."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._solver = z3.Solver()
        self._solver.set("core.minimize", True)
        self._wishes: dict[int, _Wish] = {}

    def add(self, *truths: Truth) -> None:
        self._solver.add(*truths)

    def is_possible(self) -> bool:
        """Whether all that was added can hold together.

        Raises:
            Unknown: it cannot be told, or the time is over.
        """
        return self._check(self._budget.left_ms())

    def could(self, truth: Truth) -> bool:
        """Whether one thing more could hold; True where that cannot be told in a moment."""
        return self.tells(truth) is not False

    def tells(self, truth: Truth) -> bool | None:
        """Whether one thing more could hold; None where that cannot be told in a moment."""
        if isinstance(truth, bool):
            return truth
        try:
            return self._check(_ONE_WISH_MS, truth)
        except Unknown:
            return None

    def example(self, *truths: Truth) -> Any:
        """A model of the first of these that could hold; False where none can, None where that cannot be told.

        Each is asked for no longer than `tells` asks.
        """
        answer: bool | None = False
        for truth in truths:
            answer = self.tells(as_bool(truth))
            if answer:
                return self._solver.model()
        return answer

    def _check(self, limit_ms: int, *assumed: Any) -> bool:
        if self._budget.is_spent:
            raise Unknown(f"the time of {self._budget.seconds:g} s was not enough")
        self._solver.set("timeout", min(limit_ms, self._budget.left_ms()))
        # `self._solver.check` does the same, and looks at every assumption's sort: that took longer than the check.
        assumptions = (z3.Ast * len(assumed))(*(one.ast for one in assumed))
        context = self._solver.ctx.ref()
        answer = z3.Z3_solver_check_assumptions(context, self._solver.solver, len(assumed), assumptions)
        if answer == z3.Z3_L_UNDEF:
            raise Unknown(self._reason())
        return bool(answer == z3.Z3_L_TRUE)

    def _reason(self) -> str:
        reason = self._solver.reason_unknown()
        if self._budget.is_spent or "timeout" in reason or "canceled" in reason:
            return f"the time of {self._budget.seconds:g} s was not enough"
        return f"the solver gave up: {reason}"

    def model(self, wishes: Iterable[Truth] = ()) -> Any:
        """Values that satisfy all that was added, and as many wishes as can be had, the first ones first."""
        wanted = self._named(wishes)
        assert self.is_possible()
        return self._granting(wanted)

    def witness(self, truth: Truth, wishes: Iterable[Truth] = ()) -> Any:
        """A model, as `model` gives it, in which one thing more holds; None where there is none. Nothing is added.

        Raises:
            Unknown: it cannot be told, or the time is over.
        """
        if truth is False:
            return None
        wanted = self._named(wishes)
        self._solver.push()
        try:
            self.add(truth)
            return self._granting(wanted) if self.is_possible() else None
        finally:
            self._solver.pop()

    def _named(self, wishes: Iterable[Truth]) -> list[_Wish]:
        """Wishes with a name each, by which they can be assumed: made once, however often they are wished for."""
        found = []
        for truth in wishes:
            if isinstance(truth, bool):
                continue
            wish = self._wishes.get(truth.get_id())
            if wish is None:
                wish = self._wishes[truth.get_id()] = _Wish(truth, z3.Bool(f"wish {len(self._wishes)}"))
                self._solver.add(z3.Implies(wish.name, truth))
            found.append(wish)
        return found

    def _granting(self, wishes: list[_Wish]) -> Any:
        """The model at hand, or one after it that grants more.

        Of wishes that cannot be had together the last one is given up: z3 names them.
        """
        model, ends = self._solver.model(), time.monotonic() + _ALL_WISHES_S
        if all(z3.is_true(model.eval(wish.truth, model_completion=True)) for wish in wishes):
            return model
        while wishes and time.monotonic() < ends:
            try:
                if self._check(_ONE_WISH_MS, *(wish.name for wish in wishes)):
                    return self._solver.model()
            except Unknown:
                wishes = wishes[: len(wishes) // 2]
                continue
            quarrel = {name.get_id() for name in self._solver.unsat_core()}
            last = max((place for place, wish in enumerate(wishes) if wish.name.get_id() in quarrel), default=0)
            wishes = [*wishes[:last], *wishes[last + 1 :]]
        return model


class _Wish(NamedTuple):
    truth: Truth
    name: Any


def possible(truths: Sequence[Truth], budget: Budget) -> bool:
    """Whether these can hold together. Raises Unknown."""
    if any(truth is False for truth in truths):
        return False
    solver = Solver(budget)
    solver.add(*truths)
    return solver.is_possible()


def otherwise(model: Any) -> Truth:
    """Not this model again, as far as outcomes go that were left open (`FreshBool` names hold a `!`)."""
    left_open = [one() for one in model.decls() if "!" in one.name() and one.range() == z3.BoolSort()]
    return z3.Or([one != model[one.decl()] for one in left_open]) if left_open else False
