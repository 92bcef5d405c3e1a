"""Theorems about the snapshot: it is the fold of its changes, whole or not at all."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.explain import explain
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.model.canonical import canonical_text
from policy_service.model.changes import GENESIS_HASH, Change, ChangeDraft, Effect, chain
from policy_service.model.errors import StoreError
from policy_service.model.facts import ENTITIES, ActiveBundle, ApiKey, Fact, SecretSlot
from policy_service.model.request import MISSING, Request, ResourceRef
from tests.property.judging import verdict_of
from tests.property.policies import documents, render
from tests.property.strategies import Case, cases, healthy_keys, workspace_facts
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


UNREADABLE: dict[str, Effect] = {
    "an entity that is none": Effect("spaceship", ("x",), None, {"id": "x"}),
    "a field that is none": Effect("workspace", ("x",), None, {"id": "x", "colour": "blue"}),
    "a field of another type": Effect("workspace", ("x",), None, {"id": 7}),
    "another key than its fact's": Effect("workspace", ("y",), None, {"id": "x"}),
}


@pytest.mark.parametrize("what", sorted(UNREADABLE))
def test_a_change_that_cannot_be_read_stops_with_store_diverged(what: str) -> None:
    """Intact by its hash, and nothing that this code could have written: nothing of it is taken."""
    good = Effect("workspace", ("good",), None, {"id": "good"})
    draft = ChangeDraft(action="test.put", workspace=None, subject="test", effects=(good, UNREADABLE[what]))
    snapshot = fold([])
    with pytest.raises(StoreError) as raised:
        snapshot.apply(chain(draft, revision=1, at=0, actor="local:0", previous_hash=GENESIS_HASH))
    assert raised.value.code == "store_diverged"
    assert (snapshot.revision, list(snapshot.facts())) == (0, [])


@given(cases(max_requests=1), st.data())
def test_a_change_that_tells_another_past_stops_with_store_diverged(case: Case, data: st.DataObject) -> None:
    """Its chain is whole and its effects are not of these facts: nothing of it is taken."""
    feed = Feed()
    feed.put(*case.world.facts)
    snapshot = fold(feed.changes)
    there = data.draw(st.sampled_from(case.world.facts))
    again = Effect(there.entity, there.key(), None, msgspec.to_builtins(there))
    draft = ChangeDraft(action="test.put", workspace=None, subject="test", effects=(again,))
    with pytest.raises(StoreError) as raised:
        snapshot.apply(chain(draft, revision=2, at=0, actor="local:0", previous_hash=snapshot.chain_hash))
    assert raised.value.code == "store_diverged"
    assert snapshot.revision == 1


def test_a_source_that_gives_another_program_is_not_believed() -> None:
    """Else a policy would decide that nobody activated."""
    kinds = ({"thing": {"resource": "thing", "default": default}} for default in ("allow", "deny"))
    wanted, other = (program_of(policy_files(BUILT_IN, kind)) for kind in kinds)

    class Liar:
        def program(self, digest: str) -> Program:
            assert digest == wanted.digest
            return other

    snapshot = Snapshot(Liar())
    feed = Feed()
    snapshot.apply(feed.put(*activation(wanted)))
    with pytest.raises(StoreError) as raised:
        snapshot.settle()
    assert (raised.value.code, snapshot.is_settled) == ("bundle_damaged", False)


@given(st.dictionaries(st.integers(1, 3), st.binary(max_size=4)), st.sets(st.integers(1, 3), min_size=1))
def test_verifiers_are_kept_for_the_secrets_that_a_key_still_has(sealed: dict[int, bytes], left: set[int]) -> None:
    """Those that a change brought, and of them those whose slots are left; none for a key that is gone."""
    key = healthy_keys("acme")[0]
    full = with_slots(key, (1, 2, 3))
    feed = Feed()
    text = canonical_text({"verifiers": {key.id: {str(slot): value.hex() for slot, value in sealed.items()}}})
    # As the feed has it, with the secrets that it does not know of.
    draft = ChangeDraft(action="test.put", workspace=None, subject="test", effects=feed.put(full).effects, sealed=text)
    first = chain(draft, revision=1, at=0, actor="local:0", previous_hash=GENESIS_HASH)
    feed.changes[:] = [first]
    snapshot = fold([first])
    assert dict(snapshot.verifiers(key.id)) == sealed
    assert snapshot.api_key(key.id) == full
    after = with_slots(key, tuple(sorted(left)))
    snapshot.apply(feed.put(after))
    assert dict(snapshot.verifiers(key.id)) == {slot: value for slot, value in sealed.items() if slot in left}
    snapshot.apply(feed.remove(after))
    assert (snapshot.api_key(key.id), dict(snapshot.verifiers(key.id))) == (None, {})


def with_slots(key: ApiKey, numbers: tuple[int, ...]) -> ApiKey:
    slots = tuple(SecretSlot(number=number, pepper_id="p", created_at=0) for number in numbers)
    return msgspec.structs.replace(key, slots=slots)


def test_without_an_active_bundle_nothing_is_decided() -> None:
    """Not an allow, not a deny: the infrastructure is not ready."""
    feed = Feed()
    program = program_of(policy_files(BUILT_IN, {}))
    feed.put(*activation(program))
    feed.remove(ActiveBundle(digest=program.digest))
    snapshot = fold(feed.changes, program)
    request = Request(MISSING, "a:b", ResourceRef("a", "b"))
    for state in (snapshot, fold([])):
        for judge in (decide, explain):
            with pytest.raises(StoreError) as raised:
                judge(request, state, 0)
            assert raised.value.code == "no_policy"
