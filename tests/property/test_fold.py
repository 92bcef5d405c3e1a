"""Theorems about the snapshot: it is the fold of its changes, whole or not at all."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import Change, Effect
from policy_service.model.errors import StoreError
from policy_service.model.facts import ENTITIES, ActiveBundle, Fact
from policy_service.model.request import MISSING, Request, ResourceRef
from tests.property.judging import verdict_of
from tests.property.policies import documents, render
from tests.property.strategies import Case, cases, workspace_facts
from tests.property.test_small_worlds import BUILT_IN, policy_files
from tests.worlds import Feed, Programs, activation, fold, program_of


def drawn_feed(data: st.DataObject, facts: list[Fact]) -> tuple[Feed, list[Fact]]:
    """A feed that ends with just these facts, after others came and went; and the others."""
    others = data.draw(workspace_facts("acme"))
    feed = Feed()
    for fact in data.draw(st.permutations(others)):
        feed.put(fact)
    wanted = {(fact.entity, fact.key()) for fact in facts}
    gone = [fact for fact in others if (fact.entity, fact.key()) not in wanted]
    for fact in data.draw(st.permutations([*facts, *gone])):
        if fact in gone:
            feed.remove(fact)
        else:
            feed.put(fact)
    return feed, gone


@given(cases(max_requests=4), documents(), st.data())
def test_an_incremental_fold_decides_as_a_fold_from_nothing(case: Case, other: Any, data: st.DataObject) -> None:
    """However the facts came to be, and whatever was decided on the way: equal facts decide alike."""
    program, former = program_of(case.world.files()), program_of(render(other))
    feed, _ = drawn_feed(data, case.world.facts)
    activating = data.draw(st.integers(0, len(feed.changes)))
    changes = interleaved(feed, activating, former, program)
    snapshot = Snapshot(Programs(former, program))
    for change in changes:
        snapshot.apply(change)
        if snapshot.program is not None:
            warm_up(snapshot, case)
    anew = fold([last_change(snapshot)], former, program)
    for request, now in case.asked:
        assert verdict_of(decide(request, snapshot, now)) == verdict_of(decide(request, anew, now))


def interleaved(feed: Feed, position: int, former: Any, program: Any) -> list[Change]:
    """The feed again, with one policy activated somewhere on the way and the other at the end."""
    again = Feed()
    for number, change in enumerate(feed.changes):
        if number == position:
            again.put(*activation(former))
        for effect in change.effects:
            replay_effect(again, effect)
    again.put(*activation(program))
    return again.changes


def replay_effect(feed: Feed, effect: Effect) -> None:
    fact = msgspec.convert(effect.after or effect.before, ENTITIES[effect.entity])
    if effect.after is None:
        feed.remove(fact)
    else:
        feed.put(fact)


def last_change(snapshot: Snapshot) -> Change:
    """All facts of a snapshot as one first change."""
    feed = Feed()
    return feed.put(*snapshot.facts())


def warm_up(snapshot: Snapshot, case: Case) -> None:
    """Fill whatever the snapshot keeps, so that forgetting too little would show."""
    for request, now in case.asked:
        decide(request, snapshot, now)


@given(cases(max_requests=1), st.data())
def test_the_facts_of_a_snapshot_are_what_its_changes_amount_to(case: Case, data: st.DataObject) -> None:
    """fold(changes) = tables; each fact is found under its name and key, and removed ones are not."""
    program = program_of(case.world.files())
    feed, gone = drawn_feed(data, case.world.facts)
    feed.put(*activation(program))
    snapshot = fold(feed.changes, program)
    assert sorted(map(repr, snapshot.facts())) == sorted(map(repr, feed.facts()))
    for fact in case.world.facts:
        assert snapshot.fact(fact.entity, fact.key()) == fact
    assert all(snapshot.fact(fact.entity, fact.key()) is None for fact in gone)
    assert (snapshot.revision, snapshot.chain_hash) == (len(feed.changes), feed.changes[-1].hash)


BREAKS: dict[str, dict[str, Any]] = {
    "a gap": {"revision": 99},
    "another predecessor": {"previous_hash": "f" * 64},
    "an altered actor": {"actor": "somebody-else"},
    "altered effects": {"effects": ()},
    "another sealed part": {"sealed": "{}"},
}


@given(cases(max_requests=2), st.sampled_from(sorted(BREAKS)))
def test_a_broken_chain_stops_with_store_diverged_and_changes_nothing(case: Case, how: str) -> None:
    """The snapshot stays what it was, to the last decision."""
    program = program_of(case.world.files())
    feed = Feed()
    feed.put(*case.world.facts, *activation(program))
    snapshot = fold(feed.changes, program)
    before = [decide(request, snapshot, now) for request, now in case.asked]
    broken = msgspec.structs.replace(feed.remove(*case.world.facts), **BREAKS[how])
    with pytest.raises(StoreError) as raised:
        snapshot.apply(broken)
    assert raised.value.code == "store_diverged"
    assert [decide(request, snapshot, now) for request, now in case.asked] == before


def test_without_an_active_bundle_nothing_is_decided() -> None:
    """Not an allow, not a deny: the infrastructure is not ready."""
    feed = Feed()
    program = program_of(policy_files(BUILT_IN, {}))
    feed.put(*activation(program))
    feed.remove(ActiveBundle(digest=program.digest))
    snapshot = fold(feed.changes, program)
    request = Request(MISSING, "a:b", ResourceRef("a", "b"))
    for state in (snapshot, fold([])):
        with pytest.raises(StoreError) as raised:
            decide(request, state, 0)
        assert raised.value.code == "no_policy"

