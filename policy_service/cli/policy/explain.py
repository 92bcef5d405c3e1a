"""`policy explain` and `policy why-not`: a decision in sentences, and what would turn a denial into an allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import typer

from policy_service.analysis.sentences import sentences
from policy_service.analysis.why_not import Flip, why_not
from policy_service.cli.deciding.asked import Asked, Decided
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.grouped import spread
from policy_service.cli.shared.options import AsJson
from policy_service.service.deciding.situations import situation_of

_WHO: Final = {
    "caller": "The caller could",
    "administrator": "An administrator could",
    "author": "A policy author could",
}


@spread
def explain_decision(context: typer.Context, *, asked: Asked, as_json: AsJson = False) -> int:
    """Tell a decision in sentences.

    Nothing is changed or recorded.

    Exit code 0: allow, 1: deny.
    """
    session: Session = context.obj
    decided = asked.decide(session)
    lines = list(sentences(decided.request, decided.explanation))
    if as_json:
        document = session.environment.decision_document(decided.explanation, asked.scope)
        session.screen.json({**document, "sentences": lines})
    else:
        for line in lines:
            session.screen.line(line)
    return 0 if decided.explanation.decision.allowed else 1


@spread
def why_not_allowed(context: typer.Context, *, asked: Asked, as_json: AsJson = False) -> int:
    """Show the smallest changes that would flip a denial.

    After each the request would be allowed; told by who can make them.

    Each was decided again. Nothing is changed or recorded. Exit code 0: it is allowed already, 1: it is not.
    """
    session: Session = context.obj
    decided = asked.decide(session)
    decision = decided.explanation.decision
    flips = _flips(decided)
    if as_json:
        document = {"decision": "allow" if decision.allowed else "deny", "reason": decision.reason}
        session.screen.json({**document, "changes": [{"who": one.who, "steps": list(one.steps)} for one in flips]})
    else:
        for line in remedies(decided, flips):
            session.screen.line(line)
    return 0 if decision.allowed else 1


def _flips(decided: Decided) -> list[Flip]:
    if decided.explanation.decision.allowed:
        return []
    situation = situation_of(decided.request, decided.snapshot, decided.explanation.decision.now)
    return [] if situation is None else why_not(situation, decided.policy)


def remedies(decided: Decided, flips: list[Flip]) -> Iterator[str]:
    """What could be done, by who can do it."""
    decision = decided.explanation.decision
    if decision.allowed:
        yield "It is allowed already."
        return
    yield f"Denied, with {decision.reason}: {decision.message}"
    if not flips:
        yield "No small change by one of them alone would allow it."
    for who, could in _WHO.items():
        mine = [flip for flip in flips if flip.who == who]
        if mine:
            yield f"{could}{' either' if len(mine) > 1 else ''}"
        yield from (f"  - {', and '.join(flip.steps)}" for flip in mine)
