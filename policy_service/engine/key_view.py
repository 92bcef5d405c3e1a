"""API keys in the form that decisions want them: a row as a base has it, with what it refers to.

What many keys have alike stands in one object for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from policy_service.engine.base_rows import NO_MORE, CommonRow, KeyRow, MoreRow, SlotRow, read_key
from policy_service.engine.fold import Verifiers
from policy_service.engine.grants import NOBODY, UNKNOWN, Grants, Standing
from policy_service.engine.intervals import Intervals
from policy_service.engine.views import WorkspaceView
from policy_service.model.facts import ApiKey
from policy_service.model.values import ABSENT

FOREVER: Final = 1 << 100
"""Later than every instant, in nanoseconds."""
_NO_VERIFIERS: Final[Verifiers] = {}


class Common:
    """What many keys have alike, resolved. What a key has for itself besides is in a Common of its own.

    Attributes:
        starts: valid from here on; -FOREVER where the key names no limit.
        ends: slot number → the instant at which that secret has ended, by itself, with its key, or (-FOREVER) by
            revocation. None stands for a key that was named without showing a secret.
        networks: the key's own CIDRs; None when it has none.
        closure: its scopes and all they imply; None until first needed under the active policy.
    """

    __slots__ = (
        "closure",
        "ends",
        "expires_at",
        "is_user",
        "kind",
        "labels",
        "networks",
        "row",
        "scopes",
        "starts",
        "workspace",
        "workspace_id",
    )

    def __init__(
        self, row: CommonRow, workspace: WorkspaceView, slots: Iterable[SlotRow], more: MoreRow = NO_MORE
    ) -> None:
        self.row = row
        self.workspace = workspace
        self.workspace_id = row.workspace
        self.is_user = row.is_user
        self.kind = "user" if row.is_user else "service"
        self.scopes = row.scopes
        self.labels = row.labels if more.labels is None else more.labels
        self.expires_at: object = ABSENT if more.expires_at is None else more.expires_at
        self.starts = -FOREVER if more.not_before is None else more.not_before
        self.ends = _ends(slots, more)
        self.networks = Intervals.of_cidrs(row.cidrs) if row.cidrs else None
        self.closure: frozenset[str] | None = None

    def name(self) -> object:
        """All that it says, to be compared."""
        row, ends, labels = self.row, tuple(self.ends.items()), tuple(self.labels.items())
        return (row.workspace, row.is_user, row.scopes, row.cidrs, labels, self.expires_at, self.starts, ends)


class _NoCommon(Common):
    """Stands in a row that was read and is not resolved yet."""

    __slots__ = ()

    def __init__(self) -> None:
        """Without anything."""


class KeyView(KeyRow, array_like=True, gc=False):
    """An API key, resolved: a row as a base has it, with what it refers to.

    The collector does not look at it: nothing that it refers to refers to it.

    Args:
        common: what it has alike with others; for the generated code.
        standing: what its user stands on, unless the workspace knows better (`WorkspaceView.moved`); as above.
        known: the key and its verifiers, where they are at hand.

    INVARIANT: one of a row is equal to that of the fact in the row (test_base: a view of a row).
    """

    common: Common = _NoCommon()
    standing: Standing = UNKNOWN
    known: tuple[ApiKey, Verifiers] | None = None

    @classmethod
    def of_fact(cls, fact: ApiKey, workspace: WorkspaceView, verifiers: Verifiers = _NO_VERIFIERS) -> KeyView:
        """The view of a key that stands in no base."""
        is_user = fact.principal_kind == "user"
        row = CommonRow(fact.workspace, is_user, fact.scopes, fact.cidrs, fact.labels, 0, "")
        slots = tuple(SlotRow(slot.number, slot.pepper_id, None, None, slot.expires_at) for slot in fact.slots)
        more = MoreRow(slots, None, fact.not_before, fact.expires_at, fact.revoked_at, fact.revoke_reason)
        common = Common(row, workspace, slots, more)
        return cls(fact.id, row, fact.principal_id, None, fact.created_at, None, common=common, known=(fact, verifiers))

    def secrets(self) -> Iterable[tuple[int, str, bytes | None]]:
        """Of each secret the slot, the pepper and the verifier; None where the change feed came without it."""
        if self.known is not None:
            fact, verifiers = self.known
            return [(slot.number, slot.pepper_id, verifiers.get(slot.number)) for slot in fact.slots]
        row = self.common.row
        if self.more is None or self.more.slots is None:
            return ((row.slot, row.pepper_id, self.verifier),)
        return [(slot.number, slot.pepper_id, slot.verifier) for slot in self.more.slots]

    def unpacked(self) -> tuple[ApiKey, Verifiers]:
        """`fact` and `verifiers`, for the price of one of them."""
        return self.known or read_key(self, self.common.row)

    @property
    def fact(self) -> ApiKey:
        """The key itself. Cost: 2 µs over a base."""
        return self.unpacked()[0]

    @property
    def verifiers(self) -> Verifiers:
        """Of its secrets by slot number; empty where the change feed came without them. Cost: 2 µs over a base."""
        return self.unpacked()[1]

    @property
    def workspace(self) -> WorkspaceView:
        """Its workspace."""
        return self.common.workspace

    @property
    def workspace_id(self) -> str:
        """The id of its workspace."""
        return self.common.workspace_id

    @property
    def kind(self) -> str:
        """`user` or `service`."""
        return self.common.kind

    @property
    def is_user(self) -> bool:
        """Whether it acts as a user."""
        return self.common.is_user

    @property
    def scopes(self) -> tuple[str, ...]:
        """As issued."""
        return self.common.scopes

    @property
    def labels(self) -> dict[str, str]:
        """As issued."""
        return self.common.labels

    @property
    def expires_at(self) -> object:
        """When it ends; ABSENT where nothing is said of it."""
        return self.common.expires_at

    @property
    def starts(self) -> int:
        """As in `Common`."""
        return self.common.starts

    @property
    def slots(self) -> dict[int | None, int]:
        """`Common.ends`."""
        return self.common.ends

    @property
    def networks(self) -> Intervals | None:
        """As in `Common`."""
        return self.common.networks

    @property
    def closure(self) -> frozenset[str] | None:
        """As in `Common`."""
        return self.common.closure

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """The last four fields of a Decision: key id, principal kind and id, workspace."""
        return self.id, self.common.kind, self.principal_id, self.common.workspace_id

    def grants(self) -> Grants:
        """What the key's user has now; NOBODY for a service key."""
        common = self.common
        return common.workspace.grants_of(self.principal_id, self.standing) if common.is_user else NOBODY


read_key_view: Final = msgspec.msgpack.Decoder(KeyView).decode


def _ends(slots: Iterable[SlotRow], more: MoreRow) -> dict[int | None, int]:
    """When each secret of a key has ended."""
    end = FOREVER if more.expires_at is None else more.expires_at
    if more.revoked_at is not None:
        end = -FOREVER
    ends: dict[int | None, int] = {None: end}
    for slot in slots:
        ends[slot.number] = end if slot.expires_at is None else min(end, slot.expires_at)
    return ends
