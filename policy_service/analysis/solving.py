"""Asking the solver: within a time, and never taking "don't know" for a yes or a no."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import z3

from policy_service.analysis.encode.terms import Truth

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
        if isinstance(truth, bool):
            return truth
        try:
            return self._check(_ONE_WISH_MS, truth)
        except Unknown:
            return True

    def _check(self, limit_ms: int, *assumed: Any) -> bool:
        if self._budget.is_spent:
            raise Unknown(f"the time of {self._budget.seconds:g} s was not enough")
        self._solver.set("timeout", min(limit_ms, self._budget.left_ms()))
        answer = self._solver.check(*assumed)
        if answer == z3.unknown:
            raise Unknown(self._reason())
        return bool(answer == z3.sat)

    def _reason(self) -> str:
        reason = self._solver.reason_unknown()
        if self._budget.is_spent or "timeout" in reason or "canceled" in reason:
            return f"the time of {self._budget.seconds:g} s was not enough"
        return f"the solver gave up: {reason}"

    def model(self, wishes: Iterable[Truth] = ()) -> Any:
        """Values that satisfy all that was added, and as many wishes as can be had, the first ones first."""
        assert self.is_possible()
        granting = _Granting(self, self._solver.model())
        granting.grant([wish for wish in wishes if not isinstance(wish, bool)])
        return granting.model

    def try_all(self, wishes: Sequence[Truth]) -> Any:
        """A model in which all of these hold as well; None where there is none, or none is found in a moment."""
        try:
            return self._solver.model() if self._check(_ONE_WISH_MS, *wishes) else None
        except Unknown:
            return None


class _Granting:
    """Grants wishes, many at once where they can be had together: most are, and each question takes its time."""

    def __init__(self, solver: Solver, model: Any) -> None:
        self._solver = solver
        self._granted: list[Truth] = []
        self._ends = time.monotonic() + _ALL_WISHES_S
        self.model = model

    def grant(self, wishes: Sequence[Truth]) -> None:
        """As many of these as can be had, the first ones first."""
        if not wishes or time.monotonic() > self._ends:
            return
        model = self.model if all(map(self._holds, wishes)) else self._solver.try_all([*self._granted, *wishes])
        if model is not None:
            self.model = model
            self._granted += wishes
        elif len(wishes) > 1:
            half = len(wishes) // 2
            self.grant(wishes[:half])
            self.grant(wishes[half:])

    def _holds(self, wish: Truth) -> bool:
        return bool(z3.is_true(self.model.eval(wish, model_completion=True)))


def possible(truths: Sequence[Truth], budget: Budget) -> bool:
    """Whether these can hold together. Raises Unknown."""
    if any(truth is False for truth in truths):
        return False
    solver = Solver(budget)
    solver.add(*truths)
    return solver.is_possible()
