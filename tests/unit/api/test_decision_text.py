"""The bytes of decisions, against the document that says what stands in them."""

from __future__ import annotations

import itertools

from policy_service.api.decide import _failure, decision_document
from policy_service.api.decision_text import batch_text, decision_text
from policy_service.api.replies import json_bytes
from policy_service.model.decision import Decision
from policy_service.model.errors import RequestError
from policy_service.model.reasons import REASONS
from policy_service.model.request import ResourceRef
from policy_service.service.deciding.decisions import Answered, Ask

NOW = 1_800_000_000_000_000_000


def answers() -> list[Answered]:
    """A decision for every reason, of keys that are known and not, at instants of every precision."""
    precisions = itertools.cycle((0, 1_000_000, 1_000, 1))
    return [
        Answered(
            decision_id=f"D{number}",
            decision=Decision(
                reason == "allowed",
                reason,
                told.http_status,
                told.message,
                check,
                rule,
                NOW + next(precisions),
                7,
                "sha256:é",
                *known,
            ),
        )
        for number, (reason, told) in enumerate(REASONS.items())
        for check, rule in ((None, None), ("scope", 'r"\\\u2028'))
        for known in ((), ("K1", "service", "ci", "acme"))
    ]


def asks(count: int) -> list[Ask]:
    """Questions with ids that can be shown, that cannot, and without."""
    names = itertools.cycle((None, "row", "é", "\xad", "", '"'))
    place = ResourceRef("pipeline", "x")
    return [Ask(key=None, scope='a:"b', resource=place, id=next(names)) for _ in range(count)]


def test_every_kind_of_decision_is_written_as_its_document() -> None:
    """The same members in the same order, and not a byte more."""
    for answered in answers():
        for scope in ("a:b", 'a:"b', "é"):
            assert decision_text(answered, scope) == json_bytes(decision_document(answered, scope))


def test_a_batch_is_written_as_its_document() -> None:
    """Errors among the decisions; an id that cannot be shown is not told."""
    made: list[Answered | RequestError] = [*answers(), RequestError("request_too_large", "too `large`", {"bytes": 1})]
    made = made * 7
    asked = asks(len(made))
    results = []
    for ask, answer in zip(asked, made, strict=True):
        name = ask.id if ask.id is not None and ask.id.isprintable() else None
        if isinstance(answer, RequestError):
            results.append(_failure(answer, name))
        else:
            document = decision_document(answer, ask.scope)
            results.append(document if name is None else {"id": name, **document})
    assert batch_text(asked, made) == json_bytes({"results": results})
