"""Drafts of changes for tests: by hand, and at random but such that every reference leads somewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st

from policy_service.model.changes import Change, ChangeDraft, Effect
from policy_service.model.facts import (
    ENTITIES,
    ActiveBundle,
    AllowlistEntry,
    ApiKey,
    Bundle,
    Fact,
    IpAllowlist,
    Key,
    LedgerShard,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    ShadowBundle,
    Team,
    User,
    Workspace,
)
from tests.fakes import REFERENCES

Facts = dict[tuple[str, Key], Fact]
NOW = 1_800_000_000_000_000_000
DEMO = Workspace(id="demo", name="Demo", created_at=NOW)


def json_form(fact: Fact | None) -> dict[str, Any] | None:
    return None if fact is None else msgspec.json.decode(msgspec.json.encode(fact))


def put(after: Fact, before: Fact | None = None) -> Effect:
    return Effect(after.entity, after.key(), json_form(before), json_form(after))


def remove(fact: Fact) -> Effect:
    return Effect(fact.entity, fact.key(), json_form(fact), None)


def draft(*effects: Effect, action: str = "user.put", **parts: Any) -> ChangeDraft:
    return ChangeDraft(action=action, workspace="demo", subject="/".join(effects[0].key), effects=effects, **parts)


def fold(changes: Iterable[Change]) -> Facts:
    """The facts that changes come to, the obvious way."""
    facts: Facts = {}
    for change in changes:
        for effect in change.effects:
            if effect.after is None:
                del facts[effect.entity, effect.key]
            else:
                facts[effect.entity, effect.key] = msgspec.convert(effect.after, ENTITIES[effect.entity])
    return facts


def by_key(facts: Iterable[Fact]) -> Facts:
    return {(fact.entity, fact.key()): fact for fact in facts}


ids = st.sampled_from(["a", "B", "é", "z-1"])
workspaces = st.sampled_from(["demo", "other"])
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
numbers = st.integers(0, 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3),
    max_leaves=6,
)


def _tuples(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=3).map(tuple)


def _optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


_bindings = st.builds(RoleBinding, workspace=workspaces, id=ids, role=ids)
facts = st.one_of(
    st.builds(Workspace, id=workspaces, name=texts, created_at=numbers),
    st.builds(User, workspace=workspaces, id=ids, name=texts, suspended=st.booleans()),
    st.builds(ServicePrincipal, workspace=workspaces, id=ids, name=texts),
    st.builds(Team, workspace=workspaces, id=ids, name=texts, parent=_optional(ids)),
    st.builds(Membership, workspace=workspaces, team=ids, user=ids),
    st.builds(msgspec.structs.replace, _bindings, team=ids),
    st.builds(msgspec.structs.replace, _bindings, user=ids, resource_type=ids, resource_id=ids),
    st.builds(
        ApiKey,
        id=ids,
        workspace=workspaces,
        principal_kind=st.sampled_from(["user", "service"]),
        principal_id=ids,
        scopes=_tuples(ids),
        slots=_tuples(
            st.builds(SecretSlot, number=numbers, pepper_id=ids, created_at=numbers, expires_at=_optional(numbers))
        ),
        created_at=numbers,
        not_before=_optional(numbers),
        expires_at=_optional(numbers),
        revoked_at=_optional(numbers),
        revoke_reason=_optional(texts),
        cidrs=_tuples(ids),
        labels=st.dictionaries(texts, texts, max_size=3),
    ),
    st.builds(
        IpAllowlist,
        workspace=workspaces,
        enabled=st.booleans(),
        entries=_tuples(st.builds(AllowlistEntry, cidr=ids, label=texts)),
    ),
    st.builds(
        Resource,
        workspace=workspaces,
        type=ids,
        id=ids,
        owner=_optional(ids),
        attributes=st.dictionaries(texts, json_values, max_size=3),
    ),
    st.builds(Bundle, digest=ids, content_sha256=ids, published_at=numbers),
    st.builds(ActiveBundle, digest=ids),
    st.builds(ShadowBundle, digest=ids),
    st.builds(
        LedgerShard,
        id=ids,
        opened_at=numbers,
        closed_at=_optional(numbers),
        size=_optional(numbers),
        root=_optional(texts),
    ),
)
wishes = st.tuples(st.booleans(), facts)
"""Put this fact (True), or remove the one with its key."""

_MADE_UP: Mapping[str, Any] = {
    "workspace": lambda key: Workspace(id=key[0]),
    "team": lambda key: Team(workspace=key[0], id=key[1]),
    "user": lambda key: User(workspace=key[0], id=key[1]),
    "resource": lambda key: Resource(workspace=key[0], type=key[1], id=key[2]),
    "bundle": lambda key: Bundle(digest=key[0], content_sha256=""),
}


def effects_of(wish: tuple[bool, Fact], there: Facts) -> list[Effect]:
    """The wish, with everything that it needs or that cannot stand without it. `there` is brought up to date."""
    wanted, fact = wish
    before = there.get((fact.entity, fact.key()))
    if wanted:
        there[fact.entity, fact.key()] = fact
        return [put(fact, before), *_needed(fact, there)]
    if before is None:
        return []
    del there[fact.entity, fact.key()]
    return [remove(before), *_orphans(before, there)]


def _references(fact: Fact) -> Iterable[tuple[str, Key]]:
    for entity, fields, target in REFERENCES:
        key = tuple(getattr(fact, field) for field in fields) if entity == fact.entity else (None,)
        if None not in key:
            yield target, key


def _needed(fact: Fact, there: Facts) -> Iterable[Effect]:
    for target, key in _references(fact):
        if (target, key) not in there:
            yield from effects_of((True, _MADE_UP[target](key)), there)


def _orphans(gone: Fact, there: Facts) -> Iterable[Effect]:
    for fact in list(there.values()):
        if (gone.entity, gone.key()) in _references(fact) and (fact.entity, fact.key()) in there:
            yield from effects_of((False, fact), there)
