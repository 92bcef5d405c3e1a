"""The one way a use case writes: plan under the lock, commit, say what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from policy_service.model.changes import ChangeDraft
from policy_service.model.facts import Fact
from policy_service.service.caller import Caller
from policy_service.service.ports import FactReader, FactStore
from policy_service.service.results import Planned, Written

F = TypeVar("F", bound=Fact)


def commit(store: FactStore, caller: Caller, now: int, plan: Callable[[FactReader], Planned[F]]) -> Written[F]:
    """Commit what `plan` finds to do under the store's write lock; whatever it raises changes nothing."""
    outcomes: list[Planned[F]] = []

    def run(reader: FactReader) -> ChangeDraft | None:
        planned = plan(reader)
        outcomes.append(planned)
        return planned.draft

    change = store.commit(run, actor=caller.actor, now=now)
    planned = outcomes[-1]
    # Read after the look at the facts: the head covers whatever was found to be so already.
    revision = store.head() if change is None else change.revision
    return Written(change=change, fact=planned.fact, created=planned.created, revision=revision)
