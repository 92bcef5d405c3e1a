"""Theorems about policies beside the active one: a candidate's decisions, and what two policies say differently."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.shadow import ShadowProgram
from policy_service.language.difference import differences
from policy_service.language.load import load_policy
from tests.property.policies import ATTRIBUTES, Documents, documents, draw_documents, render
from tests.property.strategies import Case, cases
from tests.worlds import program_of, snapshot_of


@given(cases(), documents())
def test_a_candidate_decides_as_if_it_were_active(case: Case, other: Documents) -> None:
    """To the last field, and whatever the active policy made of the facts before and after."""
    active, candidate = program_of(case.world.files()), program_of(render(other))
    snapshot, as_if = snapshot_of(active, case.world.facts), snapshot_of(candidate, case.world.facts)
    shadow = ShadowProgram(candidate)
    for request, now in case.asked:
        before = decide(request, snapshot, now)
        assert shadow.decide(request, snapshot, now) == decide(request, as_if, now)
        assert decide(request, snapshot, now) == before


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Documents, Documents]:
    """Two drawn policies that share some files, or all."""
    one, other = draw_documents(draw), draw_documents(draw)
    shared = draw(st.sets(st.sampled_from(sorted(one))))
    return one, {name: one[name] if name in shared else other[name] for name in one}


@given(neighbours())
def test_two_policies_differ_in_nothing_exactly_when_they_have_one_digest(pair: tuple[Documents, Documents]) -> None:
    """And each difference names a part that one of them has; the other way round, added is removed."""
    before, after = (load_policy(render(documents)) for documents in pair)
    forth, back = differences(before, after), differences(after, before)
    assert (forth == ()) == (before.digest == after.digest)
    mirrored = {"added": "removed", "removed": "added", "changed": "changed"}
    assert [(mirrored[one.kind], one.part, one.name) for one in forth] == [(o.kind, o.part, o.name) for o in back]
    assert all(one.fields for one in forth if one.kind == "changed")
    assert set(ATTRIBUTES) == set(before.resources) == set(after.resources)
