"""A decision as callers see it, written at once: `decide.decision_document` says what stands in it.

INVARIANT: the bytes are those of the document (test_decision_text: every kind of decision).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from policy_service.api.challenges import decision_challenge
from policy_service.api.problems import problem_of
from policy_service.model.errors import PolicyServiceError
from policy_service.model.instants import format_rfc3339
from policy_service.service.deciding.decisions import Answered, Ask


class _Principal(msgspec.Struct, gc=False):
    kind: str | None
    id: str


class _Decision(msgspec.Struct, gc=False):
    decision: str
    reason: str
    http_status: int
    www_authenticate: str | None
    message: str
    check: str | None
    rule: str | None
    decision_id: str
    decided_at: str
    revision: int
    bundle: str
    key_id: str | None
    principal: _Principal | None
    workspace: str | None


_ENCODER: Final = msgspec.json.Encoder()

_told_at: Final = lru_cache(maxsize=4)(format_rfc3339)
"""All decisions of a turn or a batch see one instant, which is written once."""


def decision_text(answered: Answered, scope: str) -> bytes:
    """The body that tells one decision. Cost: 2 µs."""
    return _ENCODER.encode(_shape(answered, scope))


def batch_text(asks: Sequence[Ask], answers: Sequence[Answered | PolicyServiceError]) -> bytes:
    """The body that tells the decisions of a batch, and in place of one that was not made what is wrong with it."""
    parts = [_result(ask, answer) for ask, answer in zip(asks, answers, strict=True)]
    return b'{"results":[' + b",".join(parts) + b"]}"


def _result(ask: Ask, answer: Answered | PolicyServiceError) -> bytes:
    # An id that cannot be shown is not told: as `decide` does it.
    name = ask.id if ask.id is not None and ask.id.isprintable() else None
    if not isinstance(answer, Answered):
        return _ENCODER.encode({"id": name, "error": problem_of(answer)})
    text = _ENCODER.encode(_shape(answer, ask.scope))
    return text if name is None else b'{"id":' + _ENCODER.encode(name) + b"," + text[1:]


def _shape(answered: Answered, scope: str) -> _Decision:
    decision = answered.decision
    named = decision.principal_id
    return _Decision(
        "allow" if decision.allowed else "deny",
        decision.reason,
        decision.http_status,
        # No allow has one.
        None if decision.allowed else decision_challenge(decision, scope),
        decision.message,
        decision.check,
        decision.rule,
        answered.decision_id,
        _told_at(decision.now),
        decision.revision,
        decision.bundle,
        decision.key_id,
        None if named is None else _Principal(decision.principal_kind, named),
        decision.workspace,
    )
