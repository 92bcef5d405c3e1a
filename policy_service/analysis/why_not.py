"""Why not? The smallest changes after which a denied request is allowed, by who can make them.

INVARIANT: every one of them was decided again by the engine (test_why_not).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from policy_service.analysis.judged import Judge
from policy_service.analysis.remedies import Case, Step, Who, of_administrator, of_author, of_caller
from policy_service.analysis.situation import Situation
from policy_service.language.policy import Policy
from policy_service.model.decision import Decision

MAX_STEPS: Final = 3
MAX_TRIED: Final = 300
"""Decisions made for one of the three."""
MAX_SHOWN: Final = 4

_OPTIONS: Final[dict[Who, Callable[[Case, Decision], Iterator[Step]]]] = {
    "caller": of_caller,
    "administrator": of_administrator,
    "author": of_author,
}


class Flip(msgspec.Struct, frozen=True):
    """Changes that together turn a denial into an allow; without any one of them it stays denied.

    Args:
        steps: imperatives, in the order in which they were found.
    """

    who: Who
    steps: tuple[str, ...]


class Search(msgspec.Struct, frozen=True):
    """How to look for changes.

    Args:
        judge: who decides under a policy.
        max_tried: decisions made for each of the three who can change something.
        is_over: asked before each decision; True ends the search, and what was found by then is all there is.
    """

    judge: Callable[[Policy], Judge] = Judge
    max_tried: int = MAX_TRIED
    is_over: Callable[[], bool] = lambda: False


def why_not(situation: Situation, policy: Policy, search: Search | None = None) -> list[Flip]:
    """The smallest changes for each of caller, administrator and author; none for one who cannot help alone.

    Cost: up to 300 decisions for each of the three, on a snapshot of the given facts.
    """
    start = Case(situation, policy)
    return [flip for who in _OPTIONS for flip in _of(who, start, search or Search())]


def _of(who: Who, start: Case, search: Search) -> list[Flip]:
    """Breadth first, so that the first that is found is among the smallest."""
    level: list[tuple[tuple[str, ...], Case]] = [((), start)]
    judges: dict[int, Judge] = {}
    tried = 0
    for _ in range(MAX_STEPS):
        following: list[tuple[tuple[str, ...], Case]] = []
        found: list[Flip] = []
        for taken, case in level:
            if search.is_over():
                return _smallest(found)
            for step in _OPTIONS[who](case, _decision(case, judges, search)):
                tried += 1
                if step.text in taken or tried > search.max_tried or search.is_over():
                    continue
                if _decision(step.case, judges, search).allowed:
                    found.append(Flip(who, (*taken, step.text)))
                following.append(((*taken, step.text), step.case))
        if found:
            return _smallest(found)
        level = following
    return []


def _smallest(found: list[Flip]) -> list[Flip]:
    """Each set of changes once, whatever the order they were thought of in."""
    return list({frozenset(flip.steps): flip for flip in found}.values())[:MAX_SHOWN]


def _decision(case: Case, judges: dict[int, Judge], search: Search) -> Decision:
    judge = judges.get(id(case.policy))
    if judge is None:
        # It holds its policy, so that no other one comes by the same id.
        judge = judges[id(case.policy)] = search.judge(case.policy)
    return judge.decide(case.situation)
