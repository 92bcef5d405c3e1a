"""A policy that has become a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from policy_service.language.policy import Policy
from policy_service.model.decision import Decision
from policy_service.model.request import Request

if TYPE_CHECKING:
    from policy_service.engine.snapshot import Snapshot


class Program(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """A linked policy.

    Args:
        digest: the policy's.
        source: the whole generated module, for people; what runs is exactly this text.
        decide: the generated function. Its snapshot must be one in which this program is the active one.
    """

    policy: Policy
    digest: str
    source: str
    decide: Callable[[Request, Snapshot, int], Decision]
