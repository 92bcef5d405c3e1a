"""What administration answers with, and the plan a write is made of."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from policy_service.model.changes import Change, ChangeDraft
from policy_service.model.facts import Fact

F = TypeVar("F", bound=Fact)
Item = TypeVar("Item")


class Planned(msgspec.Struct, Generic[F], frozen=True, kw_only=True):
    """What one write comes to, as found under the lock. `draft` None: nothing changes."""

    draft: ChangeDraft | None
    fact: F | None
    created: bool = False


class Written(msgspec.Struct, Generic[F], frozen=True, kw_only=True):
    """The result of a write.

    Args:
        change: None when the facts were already so; then `revision` is the store's head.
        fact: as it is now; None after a deletion.
        created: whether it is new (201) or not (200).
        revision: a snapshot at this revision has seen the result.
    """

    change: Change | None
    fact: F | None
    created: bool
    revision: int


class Found(msgspec.Struct, Generic[F], frozen=True, kw_only=True):
    """One fact. It is at least as new as `revision`."""

    fact: F
    revision: int


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """Some of a list. `next_cursor` continues it; None at the end. The items are at least as new as `revision`."""

    items: tuple[Item, ...]
    next_cursor: str | None
    revision: int
