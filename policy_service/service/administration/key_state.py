"""A key as it is now: what the facts say of it at this instant, and when it was last used."""

from __future__ import annotations

from typing import Literal

import msgspec

from policy_service.model.facts import ApiKey, SecretSlot

KeyStatus = Literal["active", "not_yet_valid", "expired", "revoked"]
SecretStatus = Literal["current", "in_grace", "ended"]


class SeenKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, seen at one instant.

    Args:
        status: of the key alone; whether its user is suspended, or has the roles, is not in it.
        secrets: number, status and slot of each secret that is kept, oldest first.
        last_used_at: nanoseconds UTC; None: never, as far as it is known. See `KeyUses`.
    """

    key: ApiKey
    status: KeyStatus
    secrets: tuple[tuple[SecretStatus, SecretSlot], ...]
    last_used_at: int | None


def seen_key(key: ApiKey, now: int, last_used_at: int | None) -> SeenKey:
    """The key at `now`."""
    status = key_status(key, now)
    secrets = tuple((_secret_status(slot, status, now), slot) for slot in key.slots)
    return SeenKey(key=key, status=status, secrets=secrets, last_used_at=last_used_at)


def key_status(key: ApiKey, now: int) -> KeyStatus:
    """What the `revocation` check would find of the key, in its order, for its current secret."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "not_yet_valid" if key.not_before is not None and now < key.not_before else "active"


def _secret_status(slot: SecretSlot, status: KeyStatus, now: int) -> SecretStatus:
    if status in ("revoked", "expired") or (slot.expires_at is not None and slot.expires_at <= now):
        return "ended"
    return "current" if slot.expires_at is None else "in_grace"
