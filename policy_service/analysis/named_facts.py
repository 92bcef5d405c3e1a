"""Ways to say a situation with the names that a suite has already, the shortest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, product
from typing import Final

import msgspec

from policy_service.analysis.as_suite import Named
from policy_service.analysis.goal_checks import GoalCheck, Seen, see
from policy_service.analysis.situation import Situation
from policy_service.analysis.worlds import snapshot_of
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.suite.cases import Scope
from policy_service.language.suite.facts import key_of
from policy_service.model.facts import Fact, Resource
from policy_service.model.request import Credential, Request, ResourceRef

MAX_TRIED: Final = 2_000
"""Combinations of names, for one gap."""

Who = tuple[tuple[str, str] | None, Credential]
"""Who asks: field and name, such as `keys` and `ci-key`; None: whoever was found."""
What = tuple[str | None, ResourceRef]
"""What is asked for, by name; None: what was found."""


class Draft(msgspec.Struct, frozen=True):
    """One way to say a situation."""

    situation: Situation
    named: Named


class NamedFacts:
    """The facts that a new test of one file sees.

    Args:
        outer: those, and the instant.
    """

    def __init__(self, program: Program, outer: Scope) -> None:
        self._program = program
        self.now = outer.now
        layer = self._layer = outer.layer
        any_keys = {
            name: key_of(f"any key of {name}", principal, outer.policy.scopes, created_at=0)
            for name, principal in layer.principals().items()
        }
        self._facts: tuple[Fact, ...] = (*layer.facts(), *any_keys.values())
        self._world = self._snapshot(())
        self._seen: dict[tuple[str, str], list[tuple[Draft, Seen | None]]] = {}
        keys = [(("keys", name), key) for name, key in layer.keys.items()]
        keys += [(("principals", name), key) for name, key in any_keys.items()]
        self._whos: list[Who] = [(who, Credential("verified", key.id, 1)) for who, key in keys]
        self.names = frozenset(
            {*layer.users, *layer.services, *layer.keys, *(name.partition(":")[2] for name in layer.resources)}
        )

    def alone(self, check: GoalCheck, scope: str, type_: str, now: int) -> Iterator[Draft]:
        """Names alone, and nothing more said."""
        if (scope, type_) not in self._seen:
            request = Request(Credential("verified"), scope, ResourceRef(type_, ""), None, {})
            found = Situation(request, (), now if self.now is None else self.now)
            combined = self._combined(found, self._whos, self._whats(type_))
            self._seen[scope, type_] = [(draft, self._see(draft, self._world)) for draft in combined]
        yield from (draft for draft, seen in self._seen[scope, type_] if seen is not None and check(seen))

    def drafts(self, check: GoalCheck, found: Situation) -> Iterator[Draft]:
        """As many names as can be; the last one is the situation as it was found."""
        asked, credential = found.request.resource, found.request.credential
        short = self._short(check, found)
        whos = self._whos if credential.outcome == "verified" else []
        if short.request.source_ip is not None or short.request.context:
            # Otherwise these have been tried before the solver was asked.
            yield from self._tried(check, short, self._world, whos, self._whats(asked.type))
        registered = [fact for fact in found.facts if isinstance(fact, Resource)]
        yield from self._tried(check, short, self._snapshot(registered), whos, [(None, asked)])
        others = [fact for fact in found.facts if not isinstance(fact, Resource)]
        yield from self._tried(check, short, self._snapshot(others), [(None, credential)], self._whats(asked.type))
        for one in (short, found):
            yield from (Draft(one, Named(is_any_key=is_any, now=self.now)) for is_any in (True, False))

    def _short(self, check: GoalCheck, found: Situation) -> Situation:
        """The same with no more said than the goal needs: of address and context."""
        world = self._snapshot(found.facts)
        for one in _shorter(found):
            seen = see(self._program.policy, one.request, world, one.now)
            if seen is not None and check(seen):
                return one
        return found

    def _snapshot(self, own: Iterable[Fact]) -> Snapshot:
        """A world of the suite's facts, with others that come in their place."""
        facts = {(fact.entity, fact.key()): fact for fact in (*self._facts, *own)}
        return snapshot_of(self._program, facts.values())

    def _whats(self, type_: str) -> list[What]:
        """Resources of a type, then claims."""
        stored = [
            (name, ResourceRef(one.type, one.id)) for name, one in self._layer.resources.items() if one.type == type_
        ]
        claimed = [(name, one) for name, one in self._layer.claims.items() if one.type == type_]
        return [*stored, *claimed]

    def _tried(
        self, check: GoalCheck, found: Situation, world: Snapshot, whos: list[Who], whats: list[What]
    ) -> Iterator[Draft]:
        """The combinations that reach the goal."""
        for draft in self._combined(found, whos, whats):
            seen = self._see(draft, world)
            if seen is not None and check(seen):
                yield draft

    def _see(self, draft: Draft, world: Snapshot) -> Seen | None:
        return see(self._program.policy, draft.situation.request, world, draft.situation.now)

    def _combined(self, found: Situation, whos: list[Who], whats: list[What]) -> Iterator[Draft]:
        """Everybody who could ask, for everything that could be asked for."""
        now = found.now if self.now is None else self.now
        for (who, credential), (what, asked) in islice(product(whos, whats), MAX_TRIED):
            request = msgspec.structs.replace(found.request, credential=credential, resource=asked)
            combined = msgspec.structs.replace(found, request=request, now=now)
            yield Draft(combined, Named(who, resource=what, now=self.now))


def _shorter(situation: Situation) -> Iterator[Situation]:
    """The same with less said: no address, nothing in the context."""
    request = situation.request
    without_address = msgspec.structs.replace(request, source_ip=None)
    for shorter in (
        msgspec.structs.replace(without_address, context={}),
        without_address,
        msgspec.structs.replace(request, context={}),
    ):
        if shorter != request:
            yield msgspec.structs.replace(situation, request=shorter)
