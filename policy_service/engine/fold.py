"""One change, verified and decoded: everything about it that can fail, before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from policy_service.model.changes import Change, Effect
from policy_service.model.errors import StoreError
from policy_service.model.facts import ENTITIES, Fact, Key

Verifiers = Mapping[int, bytes]
"""Secret verifiers of one key by slot number; opaque here."""

_SEALED: Final = msgspec.json.Decoder(dict[str, dict[str, dict[int, str]]])


class Step(msgspec.Struct, frozen=True):
    """One effect, decoded. `before` None: the fact was not there; `after` None: it is removed."""

    entity: str
    key: Key
    before: Fact | None
    after: Fact | None


class DecodedChange(msgspec.Struct, frozen=True):
    """The steps of a change in order, and the secret verifiers it brought, by key id."""

    steps: tuple[Step, ...]
    verifiers: Mapping[str, Verifiers]


def diverged(revision: int, what: str) -> StoreError:
    """The error that stops a follower: what it reads is not the continuation of what it has."""
    return StoreError(
        "store_diverged",
        f"the change feed is broken at revision {revision}: {what}; verify the store and restore it from a backup",
        {"revision": revision},
    )


def verify(change: Change, *, after_revision: int, after_hash: str) -> None:
    """Check that a change is intact and the next one.

    Raises:
        StoreError: `store_diverged`, naming the revision.
    """
    expected = after_revision + 1
    if change.revision != expected:
        raise diverged(expected, f"revision {change.revision} came instead")
    if change.previous_hash != after_hash:
        raise diverged(expected, "it does not follow the change before it")
    if not change.is_intact():
        raise diverged(expected, "its content does not match its hash")


def decode(change: Change) -> DecodedChange:
    """The facts and verifiers in a change.

    Raises:
        StoreError: `store_diverged` where a fact or the sealed part cannot be read.
    """
    try:
        steps = tuple(_step(effect) for effect in change.effects)
        return DecodedChange(steps, _verifiers(change.sealed))
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError, KeyError) as error:
        raise diverged(change.revision, f"an effect cannot be read ({_one_line(error)})") from error


def _step(effect: Effect) -> Step:
    return Step(effect.entity, effect.key, _fact(effect, effect.before), _fact(effect, effect.after))


def _fact(effect: Effect, form: dict[str, Any] | None) -> Fact | None:
    entity = ENTITIES[effect.entity]
    if form is None:
        return None
    fact = msgspec.convert(form, entity)
    if fact.key() != effect.key:
        raise ValueError("its key is not that of its fact")
    return fact


def _verifiers(sealed: str | None) -> dict[str, Verifiers]:
    if sealed is None:
        return {}
    by_key = _SEALED.decode(sealed).get("verifiers", {})
    return {key_id: {slot: bytes.fromhex(text) for slot, text in slots.items()} for key_id, slots in by_key.items()}


def _one_line(error: Exception) -> str:
    return json.dumps(str(error))[1:-1]
