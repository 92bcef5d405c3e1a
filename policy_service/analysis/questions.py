"""What questions about a policy have alike, whatever they are about: asked slice by slice, and each answer kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from policy_service.analysis.goal_formulas import GoalFormulas
from policy_service.analysis.slices import Slice
from policy_service.analysis.solving import Budget

G = TypeVar("G", bound=str)


class Questions(ABC, Generic[G]):
    """Which goals some request brings about.

    Args:
        parts: the slices in which it may.

    Attributes:
        unknown: the goals of which nobody can tell; they count as possible.
        bounds: what proofs about it have not looked at.
    """

    def __init__(self, parts: Sequence[Slice]) -> None:
        self._parts = parts
        self._known: dict[G, bool] = {}
        self.unknown: set[G] = set()
        self.bounds: set[str] = set()

    def can(self, goal: G, budget: Budget) -> bool:
        """Whether some request brings it about; True where that is not known."""
        if goal not in self._known:
            answers = []
            for part in self._parts:
                answers.append(self._ask(goal, part, budget))
                if answers[-1]:
                    break
            if None in answers and True not in answers:
                self.unknown.add(goal)
            self._known[goal] = any(answer is not False for answer in answers)
        return self._known[goal]

    @abstractmethod
    def _ask(self, goal: G, part: Slice, budget: Budget) -> bool | None:
        """The same of one slice; None where it is not known."""

    def _settled(self, formulas: GoalFormulas, answer: bool | None) -> bool | None:
        """INVARIANT: a list that a proof looked at only in part proves nothing (test_rule_proofs)."""
        if answer is False and formulas.world.bounds:
            self.bounds |= set(formulas.world.bounds.values())
            return None
        return answer
