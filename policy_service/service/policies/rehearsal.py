"""What if another policy were active? The snapshot after a change that nobody committed."""

from __future__ import annotations

from policy_service.engine.link import compile_policy
from policy_service.engine.ports import ProgramSource
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.policy import Policy
from policy_service.model.changes import chain
from policy_service.model.facts import ActiveBundle
from policy_service.service.effects import draft, put
from policy_service.service.following.replica import Replica
from policy_service.service.ports import FactStore


class _WithOneMore:
    """Published programs, and one that is not."""

    def __init__(self, published: ProgramSource, program: Program) -> None:
        self._published = published
        self._program = program

    def program(self, digest: str) -> Program:
        return self._program if digest == self._program.digest else self._published.program(digest)


def rehearse_policy(store: FactStore, published: ProgramSource, policy: Policy, now: int) -> Snapshot:
    """A snapshot of all facts in which `policy` is active. Its last change exists in this snapshot alone.

    Cost: one fold of all changes, and linking.
    """
    program = compile_policy(policy)
    replica = Replica(store, _WithOneMore(published, program))
    replica.catch_up()
    snapshot = replica.view()
    after = ActiveBundle(digest=program.digest)
    effect = put(after, snapshot.fact(after.entity, after.key()))
    change = chain(
        draft("activate", after, [effect], workspace=None, note="rehearsal"),
        revision=snapshot.revision + 1,
        at=now,
        actor="rehearsal",
        previous_hash=snapshot.chain_hash,
    )
    snapshot.apply(change)
    return snapshot
