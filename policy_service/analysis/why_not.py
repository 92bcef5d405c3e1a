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


def why_not(situation: Situation, policy: Policy) -> list[Flip]:
    """The smallest changes for each of caller, administrator and author; none for one who cannot help alone.

    Cost: up to 300 decisions for each of the three, on a snapshot of the given facts.
    """
    start = Case(situation, policy)
    return [flip for who in _OPTIONS for flip in _of(who, start)]


def _of(who: Who, start: Case) -> list[Flip]:
    """Breadth first, so that the first that is found is among the smallest."""
    level: list[tuple[tuple[str, ...], Case]] = [((), start)]
    judges: dict[int, Judge] = {}
    tried = 0
    for _ in range(MAX_STEPS):
        following: list[tuple[tuple[str, ...], Case]] = []
        found: list[Flip] = []
        for taken, case in level:
            for step in _OPTIONS[who](case, _decision(case, judges)):
                tried += 1
                if step.text in taken or tried > MAX_TRIED:
                    continue
                if _decision(step.case, judges).allowed:
                    found.append(Flip(who, (*taken, step.text)))
                following.append(((*taken, step.text), step.case))
        if found:
            return list({frozenset(flip.steps): flip for flip in found}.values())[:MAX_SHOWN]
        level = following
    return []


def _decision(case: Case, judges: dict[int, Judge]) -> Decision:
    judge = judges.setdefault(id(case.policy), Judge(case.policy))
    return judge.decide(case.situation)
