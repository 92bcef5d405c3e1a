"""What a key may do, judged on the facts of one transaction: as the guard judges on a snapshot."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine import guard
from policy_service.model.changes import Effect
from policy_service.model.facts import ENTITIES, ApiKey, Fact, User
from policy_service.service.access import After, effective_scopes
from policy_service.service.effects import json_form, put, remove
from tests.fakes import MemoryReader
from tests.property.strategies import Case, cases
from tests.worlds import program_of, snapshot_of


def _reader(facts: list[Fact]) -> MemoryReader:
    tables = {name: {fact.key(): fact for fact in facts if fact.entity == name} for name in ENTITIES}
    return MemoryReader(tables, {})


@given(cases(max_requests=4))
def test_as_the_guard_judges(case: Case) -> None:
    """Over random worlds, for every key in them: with roles, nested teams, bindings on resources, deleted users."""
    world = case.world
    program = program_of(world.files())
    snapshot = snapshot_of(program, world.facts)
    reader = _reader(world.facts)
    keys = [fact for fact in world.facts if isinstance(fact, ApiKey)]
    for key in keys:
        assert effective_scopes(reader, program.policy, key) == guard.effective_scopes(key, snapshot)


@given(cases(max_requests=4), st.data())
def test_the_facts_after_effects_are_those_that_a_store_would_hold(case: Case, data: st.DataObject) -> None:
    """Whatever is put and removed: reading through the effects is reading what comes of them."""
    facts = {(fact.entity, fact.key()): fact for fact in case.world.facts}
    gone = data.draw(st.lists(st.sampled_from(sorted(facts)), max_size=6, unique=True))
    users = [name for name in sorted(facts) if name[0] == "user"]
    changed = data.draw(st.lists(st.sampled_from(users), max_size=3, unique=True))
    effects: list[Effect] = [remove(facts[name]) for name in gone if name not in changed]
    for name in changed:
        user = facts[name]
        assert isinstance(user, User)
        effects.append(put(msgspec.structs.replace(user, suspended=not user.suspended), user))
    effects.append(put(User(workspace="acme", id="new")))
    after = {**facts}
    for effect in effects:
        after.pop((effect.entity, effect.key), None)
        if effect.after is not None:
            after[effect.entity, effect.key] = msgspec.convert(effect.after, ENTITIES[effect.entity])
    seen, expected = After(_reader(list(facts.values())), effects), _reader(list(after.values()))
    for entity in ENTITIES.values():
        assert list(map(json_form, seen.find(entity))) == list(map(json_form, expected.find(entity)))
    for kept in after.values():
        assert seen.get(type(kept), kept.key()) == kept
    for name in gone:
        entity = ENTITIES[name[0]]
        assert seen.get(entity, name[1]) == expected.get(entity, name[1])
    where = {"workspace": "acme", "principal_kind": "user"}
    assert seen.find(ApiKey, limit=2, **where) == expected.find(ApiKey, limit=2, **where)
