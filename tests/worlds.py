"""Worlds for tests: facts as changes, folded into a snapshot with a policy at work. Pure; no store, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from policy_service.engine.link import compile_policy
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.load import load_policy
from policy_service.model.changes import GENESIS_HASH, Change, ChangeDraft, Effect, chain
from policy_service.model.facts import ActiveBundle, Bundle, Fact

NS_PER_S = 1_000_000_000


class Programs:
    """A ProgramSource that holds what it is given."""

    def __init__(self, *programs: Program) -> None:
        self._programs = {program.digest: program for program in programs}

    def program(self, digest: str) -> Program:
        return self._programs[digest]


class Feed:
    """A hash-chained feed of changes, made from facts put and removed."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._facts: dict[tuple[str, tuple[str, ...]], Fact] = {}

    def put(self, *facts: Fact) -> Change:
        """One change that sets these facts."""
        return self._append(facts, removed=())

    def remove(self, *facts: Fact) -> Change:
        """One change that removes these facts."""
        return self._append((), removed=facts)

    def facts(self) -> list[Fact]:
        """What the changes so far amount to."""
        return list(self._facts.values())

    def _append(self, put: Iterable[Fact], removed: Iterable[Fact]) -> Change:
        effects = [self._effect(fact, fact) for fact in put] + [self._effect(fact, None) for fact in removed]
        previous = self.changes[-1].hash if self.changes else GENESIS_HASH
        draft = ChangeDraft(action="test.put", workspace=None, subject="test", effects=tuple(effects))
        number = len(self.changes) + 1
        self.changes.append(chain(draft, revision=number, at=number, actor="local:0", previous_hash=previous))
        return self.changes[-1]

    def _effect(self, fact: Fact, after: Fact | None) -> Effect:
        name = (fact.entity, fact.key())
        before = self._facts.pop(name, None)
        if after is not None:
            self._facts[name] = after
        return Effect(fact.entity, fact.key(), as_json(before), as_json(after))


def as_json(fact: Fact | None) -> dict[str, object] | None:
    """A fact as changes carry it."""
    return None if fact is None else msgspec.to_builtins(fact)


def activation(program: Program) -> tuple[Fact, Fact]:
    """The facts that make a program the deciding one."""
    return Bundle(digest=program.digest, content_sha256="0" * 64), ActiveBundle(digest=program.digest)


def snapshot_of(program: Program, facts: Iterable[Fact]) -> Snapshot:
    """A snapshot with these facts, decided by this program."""
    feed = Feed()
    feed.put(*facts, *activation(program))
    return fold(feed.changes, program)


def fold(changes: Iterable[Change], *programs: Program) -> Snapshot:
    """The fold of changes from nothing."""
    snapshot = Snapshot(Programs(*programs))
    for change in changes:
        snapshot.apply(change)
    return snapshot


def program_of(files: Mapping[str, str]) -> Program:
    """The program of valid rule files."""
    return compile_policy(load_policy(files))
