"""The secrets of a key: the first, and those that follow. A superseded one works until its grace ends."""

from __future__ import annotations

from typing import Final

import msgspec

from policy_service.model.errors import RequestError
from policy_service.model.facts import ApiKey, SecretSlot

MAX_GRACE_S: Final = 90 * 24 * 3600
MAX_SECRETS: Final = 8
"""How many secrets a key keeps: each of them is compared whenever the key is presented."""


def grace_ns(grace_s: int) -> int:
    """The grace in nanoseconds. Raises RequestError 400 `invalid_grace`."""
    if not 0 <= grace_s <= MAX_GRACE_S:
        raise RequestError("invalid_grace", f"`grace_s` must be from 0 to {MAX_GRACE_S} seconds")
    return grace_s * 1_000_000_000


def rotated(key: ApiKey, pepper_id: str, now: int, grace: int) -> ApiKey:
    """The key with a new current secret. All others end within `grace` nanoseconds, and never after the key.

    Secrets that have ended are kept, so that whoever presents one is told `expired_key`, as long as there is room.

    Raises:
        RequestError: 409 `key_ended`, it is revoked or expired; 409 `too_many_secrets`, those in grace fill the room.
    """
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise RequestError("key_ended", f"key `{key.id}` is revoked or expired; issue another one", status=409)
    until = now + grace if key.expires_at is None else min(now + grace, key.expires_at)
    slots = [_ending(slot, until) for slot in key.slots]
    made = SecretSlot(number=key.slots[-1].number + 1, pepper_id=pepper_id, created_at=now)
    return msgspec.structs.replace(key, slots=(*_with_room(slots, now), made))


def _ending(slot: SecretSlot, until: int) -> SecretSlot:
    end = until if slot.expires_at is None else min(slot.expires_at, until)
    return msgspec.structs.replace(slot, expires_at=end)


def _with_room(slots: list[SecretSlot], now: int) -> list[SecretSlot]:
    """The slots without the oldest of those that have ended, so that one more has room."""
    excess = len(slots) - (MAX_SECRETS - 1)
    ended = [slot.number for slot in slots if slot.expires_at is not None and slot.expires_at <= now]
    if excess > len(ended):
        raise RequestError(
            "too_many_secrets",
            f"{len(slots) - len(ended)} secrets of this key still work; wait until one has ended, or rotate with "
            "`grace_s` 0",
            status=409,
        )
    gone = set(ended[: max(excess, 0)])
    return [slot for slot in slots if slot.number not in gone]
