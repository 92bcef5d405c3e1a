"""Changes are verified and decoded before anything is touched."""

from __future__ import annotations

import msgspec
import pytest

from policy_service.engine.fold import decode, verify
from policy_service.model.changes import GENESIS_HASH, Change, ChangeDraft, Effect, chain
from policy_service.model.errors import StoreError
from policy_service.model.facts import User

ANN = {"workspace": "acme", "id": "ann", "name": "Ann", "suspended": False}


def change(*effects: Effect, revision: int = 1, previous: str = GENESIS_HASH, sealed: str | None = None) -> Change:
    draft = ChangeDraft(action="user.put", workspace="acme", subject="", effects=effects, sealed=sealed)
    return chain(draft, revision=revision, at=5, actor="local:0", previous_hash=previous)


def test_the_next_intact_change_is_accepted() -> None:
    """The successor of what was applied last passes, secrets removed or not."""
    intact = change(sealed='{"verifiers":{}}')
    verify(intact, after_revision=0, after_hash=GENESIS_HASH)
    verify(msgspec.structs.replace(intact, sealed=None), after_revision=0, after_hash=GENESIS_HASH)


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (change(revision=2), "revision 2 came instead"),
        (change(previous="f" * 64), "does not follow the change before it"),
        (msgspec.structs.replace(change(), note="edited"), "does not match its hash"),
        (msgspec.structs.replace(change(sealed="{}"), sealed="{ }"), "does not match its hash"),
    ],
)
def test_a_broken_chain_is_refused(broken: Change, what: str) -> None:
    """A gap, a stranger and an edited change are `store_diverged`, and the message names the revision."""
    with pytest.raises(StoreError, match=f"at revision 1: .*{what}") as caught:
        verify(broken, after_revision=0, after_hash=GENESIS_HASH)
    assert caught.value.code == "store_diverged"
    assert caught.value.details == {"revision": 1}


BOB = {**ANN, "id": "bob"}


def test_facts_and_verifiers_are_decoded() -> None:
    """Effects become typed facts; sealed verifiers become bytes by key and slot."""
    sealed = '{"verifiers":{"k":{"1":"00ff","2":"aa"}}}'
    decoded = decode(
        change(Effect("user", ("acme", "ann"), None, ANN), Effect("user", ("acme", "bob"), BOB, None), sealed=sealed)
    )
    assert [step.before for step in decoded.steps] == [None, User(workspace="acme", id="bob", name="Ann")]
    assert [step.after for step in decoded.steps] == [User(workspace="acme", id="ann", name="Ann"), None]
    assert decoded.verifiers == {"k": {1: b"\x00\xff", 2: b"\xaa"}}


@pytest.mark.parametrize(
    ("effect", "sealed"),
    [
        (Effect("planet", ("mars",), None, {}), None),
        (Effect("user", ("acme", "ann"), None, {**ANN, "age": 3}), None),
        (Effect("user", ("acme", "ann"), None, {**ANN, "suspended": "no"}), None),
        (Effect("user", ("acme", "bob"), None, ANN), None),
        (Effect("user", ("acme", "ann"), None, ANN), "{not json"),
        (Effect("user", ("acme", "ann"), None, ANN), '{"verifiers":{"k":{"1":"xyz"}}}'),
        (Effect("user", ("acme", "ann"), None, ANN), '{"verifiers":{"k":{"one":"00"}}}'),
    ],
)
def test_unreadable_effects_are_refused(effect: Effect, sealed: str | None) -> None:
    """An unknown entity, a fact of another shape or under another key, unreadable secrets: `store_diverged`."""
    with pytest.raises(StoreError, match="at revision 1: an effect cannot be read") as caught:
        decode(change(effect, sealed=sealed))
    assert caught.value.code == "store_diverged"
    assert "\n" not in caught.value.message
