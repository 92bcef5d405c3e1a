"""The decision: a pure function of a request, a snapshot and an instant."""

from __future__ import annotations

from policy_service.engine.program import Sight
from policy_service.engine.snapshot import Snapshot
from policy_service.model.decision import Decision
from policy_service.model.errors import StoreError
from policy_service.model.request import Request


def decide(request: Request, snapshot: Snapshot, now: int, sight: Sight | None = None) -> Decision:
    """Allow or deny, with one reason, under the snapshot's active policy.

    Args:
        now: nanoseconds UTC.
        sight: a new one; the decision leaves there what it had in its hands. It changes nothing in the decision.

    Raises:
        StoreError: `no_policy` where no bundle is active.

    Cost: about 2 µs; it does not grow with the number of rules.
    """
    program = snapshot.program
    if program is None:
        raise no_policy()
    return program.decide(request, snapshot, now, sight)


def no_policy() -> StoreError:
    """What is raised where no bundle is active: never a decision."""
    return StoreError("no_policy", "no policy is active yet; publish and activate one")
