"""A request with all the facts it meets: what a counterexample, a witness of a difference or a test case is."""

from __future__ import annotations

import msgspec

from policy_service.model.decision import Decision
from policy_service.model.facts import ApiKey, Fact
from policy_service.model.request import Request


class Situation(msgspec.Struct, frozen=True):
    """One request at one instant, with all the facts it meets."""

    request: Request
    facts: tuple[Fact, ...]
    now: int

    @property
    def key(self) -> ApiKey:
        """The key that is presented, or would be."""
        return next(fact for fact in self.facts if isinstance(fact, ApiKey))


class Witness(msgspec.Struct, frozen=True):
    """A situation, and what the engine says to it."""

    situation: Situation
    decision: Decision
