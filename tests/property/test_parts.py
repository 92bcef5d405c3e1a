"""Theorems about how a program is made and what it keeps: neither has a say in what is decided."""

from __future__ import annotations

import linecache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine import emit as emit_module
from policy_service.engine import index as index_module
from policy_service.engine.decide import decide
from policy_service.engine.link import Linking, compile_policy, compiled
from policy_service.language.load import load_policy
from tests.property.strategies import Case, cases
from tests.worlds import snapshot_of


@given(cases(max_requests=4), st.integers(1, 60))
def test_a_policy_in_parts_of_any_size_decides_the_same(case: Case, lines: int) -> None:
    """Run one by one; before the last there is no program, and of one that was given up no line is left."""
    policy = load_policy(case.world.files())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emit_module, "CHUNK_LINES", lines)
        emitted = emit_module.emit(policy)
    linking, other = Linking(emitted.label), Linking("sha256:given up")
    for number, part in enumerate(emitted.parts):
        assert linking.count == number
        with pytest.raises(ValueError, match="not those of"):
            linking.finished(policy)
        linking.add(part, compiled(emitted.label, part))
        other.add(part, compiled("sha256:given up", part))
    program, whole = linking.finished(policy), compile_policy(policy)
    other.abandon()
    assert [name for name in linecache.cache if "given up" in name] == []
    assert program.source == whole.source
    in_parts, at_once = snapshot_of(program, case.world.facts), snapshot_of(whole, case.world.facts)
    for request, now in case.asked:
        assert decide(request, in_parts, now) == decide(request, at_once, now)


@given(cases(max_requests=6), st.integers(0, 2))
def test_however_few_rule_sets_are_kept_decisions_are_the_same(case: Case, kept: int) -> None:
    """What applies to a scope and a resource is found again when there was no room for it."""
    program, other = (compile_policy(load_policy(case.world.files())) for _ in range(2))
    many, few = snapshot_of(program, case.world.facts), snapshot_of(other, case.world.facts)
    for request, now in (*case.asked, *case.asked):
        expected = decide(request, many, now)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(index_module, "KEPT", kept)
            assert decide(request, few, now) == expected
