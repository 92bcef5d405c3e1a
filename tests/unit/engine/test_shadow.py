"""A candidate decides on the same facts, and leaves no trace on them."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.shadow import ShadowProgram
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import ChangeDraft, Effect
from policy_service.model.facts import ActiveBundle
from tests.unit.engine.test_snapshot import EFFECTS, POLICIES, PROGRAMS, QUESTIONS
from tests.unit.engine.worlds import NOW, effect, next_change, told


def fold(batches: list[list[Effect]], active: str) -> Snapshot:
    """A snapshot of these changes, with one bundle active at their end."""
    snapshot = Snapshot(PROGRAMS)
    for batch in (*batches, [effect(ActiveBundle(digest=active))]):
        draft = ChangeDraft(action="any.put", workspace=None, subject="", effects=tuple(told(snapshot, batch)))
        snapshot.apply(next_change(snapshot, draft))
    return snapshot


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(EFFECTS, min_size=1, max_size=4), max_size=10))
def test_a_candidate_decides_as_if_it_were_active(batches: list[list[Effect]]) -> None:
    """The same decision, field by field; and the active policy answers as if nobody had asked."""
    first, second = (policy.digest for policy in POLICIES[:2])
    candidate = ShadowProgram(PROGRAMS.program(second))
    asked, unasked, other = fold(batches, first), fold(batches, first), fold(batches, second)
    for question in QUESTIONS:
        shadowed = candidate.decide(question, asked, NOW)
        assert shadowed == decide(question, other, NOW)
        assert decide(question, asked, NOW) == decide(question, unasked, NOW)
    assert asked.bundle == first


def test_nothing_is_kept_of_a_key_that_changed() -> None:
    """A candidate sees every change at once, like the active policy."""
    snapshot = fold([], POLICIES[0].digest)
    candidate = ShadowProgram(PROGRAMS.program(POLICIES[1].digest))
    unknown = candidate.decide(QUESTIONS[0], snapshot, NOW)
    assert (unknown.reason, unknown.bundle) == ("unknown_key", POLICIES[1].digest)
    assert msgspec.structs.replace(unknown, bundle=POLICIES[0].digest) == decide(QUESTIONS[0], snapshot, NOW)
