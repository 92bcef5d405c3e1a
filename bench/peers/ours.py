"""Our own engine, in process: `decide` alone, and with the shown key's secret checked before it.

Set-up: the compiled policy and the folded snapshot, kept from the garbage collector as the server does.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import ClassVar, Final, Self

from bench.peers.peer import limits
from bench.questions import Question
from bench.workloads import NOW, World, snapshot_of
from policy_service.engine.decide import decide
from policy_service.engine.snapshot import Snapshot
from policy_service.model.request import Request
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.peppers import Peppers
from tests.worlds import program_of

PEPPERS: Final = Peppers("p1", {"p1": bytes(range(32))})


def folded(world: World) -> Snapshot:
    """The world with its policy at work, secrets' verifiers included. No garbage is looked for while it is read."""
    gc.disable()
    try:
        snapshot = snapshot_of(world, program_of(world.files()), PEPPERS)
        snapshot.settle()
    finally:
        gc.freeze()
        gc.enable()
    return snapshot


class Ours:
    """The whole chain on a verified credential."""

    name: ClassVar[str] = "policy-service"
    requires: ClassVar[str] = "policy-service"
    beyond: ClassVar[Mapping[str, str]] = limits()

    def __init__(self, world: World) -> None:
        self.snapshot = folded(world)

    @classmethod
    def on(cls, snapshot: Snapshot) -> Self:
        """On a snapshot that is there already."""
        made = cls.__new__(cls)
        made.snapshot = snapshot
        return made

    def prepare(self, question: Question) -> Request:
        return question.request

    def allows(self, prepared: Request) -> bool:
        return decide(prepared, self.snapshot, NOW).allowed


class OursWithSecret:
    """The same from the key's text: parsed, its checksum and HMAC checked, then decided."""

    name: ClassVar[str] = "policy-service, secret checked"
    requires: ClassVar[str] = "policy-service"
    beyond: ClassVar[Mapping[str, str]] = limits()

    def __init__(self, world: World) -> None:
        self._credentials = Credentials(PEPPERS)
        self.snapshot = folded(world)

    def prepare(self, question: Question) -> tuple[str | None, Request]:
        return question.text, question.request

    def allows(self, prepared: tuple[str | None, Request]) -> bool:
        text, asked = prepared
        credential = self._credentials.check(text, self.snapshot)
        request = Request(credential, asked.scope, asked.resource, asked.source_ip, asked.context)
        return decide(request, self.snapshot, NOW).allowed
