"""Worlds that never were: facts as one change, folded into a snapshot under a policy. Pure; no store, no clock."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import GENESIS_HASH, ChangeDraft, Effect, chain
from policy_service.model.facts import ActiveBundle, Bundle, Fact


class _One(msgspec.Struct, frozen=True):
    """A ProgramSource that has one program."""

    only: Program

    def program(self, digest: str) -> Program:
        assert digest == self.only.digest
        return self.only


def snapshot_of(program: Program, facts: Iterable[Fact]) -> Snapshot:
    """A snapshot in which these facts hold and this program decides, as if one change had put them there.

    Facts of one entity and key must not come twice.

    Cost: about 20 µs a fact.
    """
    active = (Bundle(digest=program.digest, content_sha256="0" * 64), ActiveBundle(digest=program.digest))
    effects = tuple(Effect(fact.entity, fact.key(), None, msgspec.to_builtins(fact)) for fact in (*facts, *active))
    draft = ChangeDraft(action="world.make", workspace=None, subject="world", effects=effects)
    snapshot = Snapshot(_One(program))
    snapshot.apply(chain(draft, revision=1, at=0, actor="local:0", previous_hash=GENESIS_HASH))
    # Roles and closures are those of a policy: until it is at hand there are none, whoever looks first.
    snapshot.settle()
    return snapshot
