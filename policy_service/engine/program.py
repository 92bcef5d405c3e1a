"""A policy that has become a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from policy_service.engine.grants import NOBODY, Grants
from policy_service.language.policy import Policy
from policy_service.model.decision import Decision
from policy_service.model.request import Request
from policy_service.model.values import ABSENT

if TYPE_CHECKING:
    from policy_service.engine.key_view import KeyView
    from policy_service.engine.snapshot import Snapshot
    from policy_service.engine.views import ResourceView


class Decide(Protocol):
    """A policy as a function."""

    def __call__(self, request: Request, snapshot: Snapshot, now: int, sight: Sight | None = None, /) -> Decision:
        """As `decide` says."""
        ...


class Sight:
    """What an allowed decision had in its hands when it was made, for whoever records it: nothing is looked up again.

    Attributes:
        key: None where the decision is a denial; then the others say nothing.
        view: of the resource; None for one that is not registered.
        roles: the user's on this resource.
        point: of the source address; ABSENT without one.
    """

    __slots__ = ("grants", "key", "point", "roles", "view")

    def __init__(self) -> None:
        self.key: KeyView | None = None
        self.grants: Grants = NOBODY
        self.point: Any = ABSENT
        self.roles = NOBODY.wide
        self.view: ResourceView | None = None


class Program(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """A linked policy.

    Args:
        digest: the policy's.
        parts: the text of the generated module; what runs is exactly this.
        decide: the generated function. Its snapshot must be one in which this program is the active one. A fourth
            argument is a new Sight, to be filled.
    """

    policy: Policy
    digest: str
    parts: tuple[str, ...]
    decide: Decide

    @property
    def source(self) -> str:
        """The whole generated module, for people."""
        return "".join(self.parts)
