"""`POST /v1/explain`: a decision in sentences, and what would turn a denial into an allow."""

from __future__ import annotations

from typing import Any, Final

from policy_service.analysis.sentences import sentences
from policy_service.analysis.situation import Situation
from policy_service.analysis.why_not import Flip
from policy_service.api.decide import DecisionPoint, Question, check_document, decision_document
from policy_service.api.incoming import Incoming
from policy_service.api.replies import Reply, json_reply
from policy_service.engine.program import Program
from policy_service.model.errors import PolicyServiceError
from policy_service.service.deciding.change_search import ChangeSearch
from policy_service.service.deciding.decisions import Considered
from policy_service.service.deciding.situations import situation_of
from policy_service.service.following.follower import Follower

EXPLAIN: Final = "explain"


async def answer_explain(point: DecisionPoint, follower: Follower, search: ChangeSearch, incoming: Incoming) -> Reply:
    """The answer, errors included. It is a decision like any other, recorded before anything is told."""
    try:
        question = point.question_why(incoming)
        if not point.is_ready_for(question):
            await follower.reach(question.ask.min_revision)
            # INVARIANT: the caller is judged on facts no older than the decision's (test_explain_route).
            question = point.question_why(incoming)
        held = point.consider(question)
        # In the same turn of the loop: nothing has changed the snapshot since it decided.
        work = _work(held.held)
        flips = await search.changes(*work) if work is not None else []
    except PolicyServiceError as error:
        return point.refusal(incoming, error)
    reply = json_reply(_document(question, held.held, flips)).with_headers(point.entrance.notices(incoming))
    return await point.released(held.holding(reply), incoming)


def _work(considered: Considered) -> tuple[Situation, Program] | None:
    """What there is to be thought about: nothing for an allow, nor where no key was verified."""
    decision, snapshot = considered.explanation.decision, considered.snapshot
    if decision.allowed or snapshot.program is None:
        return None
    situation = situation_of(considered.request, snapshot, decision.now)
    return None if situation is None else (situation, snapshot.program)


def _document(question: Question, considered: Considered, flips: list[Flip] | None) -> dict[str, Any]:
    explanation = considered.explanation
    changes = None if flips is None else [{"who": one.who, "steps": list(one.steps)} for one in flips]
    data = {
        "decision": {
            **decision_document(considered.answered, question.ask.scope),
            "checks": [check_document(check) for check in explanation.checks],
        },
        "sentences": list(sentences(considered.request, explanation)),
        "changes": changes,
    }
    return {"data": data, "revision": explanation.decision.revision, "next_cursor": None}
