"""Whether a verified key stands: the `revocation` check, shared by the compiled chain, explain and the guard."""

from __future__ import annotations

from typing import Final

from policy_service.engine.key_view import KeyView

REFUSALS: Final = ("revoked_key", "expired_key", "key_not_yet_valid", "principal_suspended")
"""What `standing` may answer, in the order in which it looks."""


def standing(key: KeyView, slot: int | None, now: int, *, suspended: bool) -> str | None:
    """The reason why a key is not good at `now`, or None.

    Args:
        slot: the secret that was presented, one of the key's; its grace may have ended before the key does.
        suspended: whether the key's user is.
    """
    if key.fact.revoked_at is not None:
        return "revoked_key"
    if now >= key.slots[slot]:
        return "expired_key"
    if now < key.starts:
        return "key_not_yet_valid"
    return "principal_suspended" if suspended else None
