"""The tables of the facts are the fold of their changes: nobody rewrote a row without a change that says so.

Decisions follow the changes alone. But what administrators are shown, and what the next change finds before it, are the
tables: a key that was revoked must not be made to look alive there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final, Protocol, TypeVar

import msgspec

from policy_service.ledger.findings import Finding, finding
from policy_service.model.changes import Change
from policy_service.model.errors import StoreError
from policy_service.model.facts import ENTITIES, Fact, Key

MAX_TOLD: Final = 20
"""Rows of one table that are named; there may be a million."""

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
F = TypeVar("F", bound=Fact)


class Tables(Protocol):
    """The facts as the store has them now."""

    def head_now(self) -> int:
        """The last revision as of now."""
        ...

    def facts(self, entity: type[F]) -> Iterator[F]:
        """All facts of one kind, in the order of their keys."""
        ...


class Folded:
    """What the changes come to: of each fact a fingerprint. Memory: some 150 bytes a fact."""

    def __init__(self) -> None:
        self.revision = 0
        self._facts: dict[int, int] = {}
        self._unsealed: list[int] = []

    def through(self, changes: Iterator[Change]) -> Iterator[Change]:
        """The same changes, folded as they pass. What is wrong with one is for whoever takes them to find."""
        for change in changes:
            yield change
            # Taken first: one that is refused ends this, and is not folded.
            for effect in change.effects:
                name = _name(effect.entity, effect.key)
                if effect.after is None:
                    self._facts.pop(name, None)
                else:
                    self._facts[name] = _fingerprint(msgspec.convert(effect.after, ENTITIES[effect.entity]))
            if change.sealed is None and change.sealed_sha256 is not None:
                self._unsealed.append(change.revision)
            self.revision = change.revision

    def differences(self, tables: Tables) -> list[Finding]:
        """The rows that no change made, and how many are missing. Not to be asked after changes that broke off."""
        found = [one for entity in ENTITIES.values() for one in self._rewritten(tables, entity)]
        found += [_unsealed(revision) for revision in self._unsealed[:MAX_TOLD]]
        if self._facts:
            told = f"{len(self._facts)} facts that the changes made are not in their tables"
            found.append(finding("facts_rewritten", told, file="tables"))
        if tables.head_now() != self.revision:
            told = "the store was written to meanwhile, so its tables were not held against the changes; verify again"
            return [finding("facts_unchecked", told)]
        return found

    def _rewritten(self, tables: Tables, entity: type[Fact]) -> list[Finding]:
        """Of one table. Facts that are as they should be are forgotten: what is left in the end is missing."""
        try:
            wrong = ["/".join(map(str, fact.key())) for fact in tables.facts(entity) if not self._is_as_made(fact)]
        except (StoreError, msgspec.MsgspecError, ValueError) as error:
            why = error.message if isinstance(error, StoreError) else "it is no fact"
            return [finding("facts_rewritten", f"a row of {entity.entity} cannot be read: {why}", file="tables")]
        told = [f"{entity.entity} `{name}` is not what the changes made it" for name in wrong[:MAX_TOLD]]
        if len(wrong) > MAX_TOLD:
            told.append(f"{len(wrong) - MAX_TOLD} more of {entity.entity} are not what the changes made them")
        return [finding("facts_rewritten", one, file="tables") for one in told]

    def _is_as_made(self, fact: Fact) -> bool:
        return self._facts.pop(_name(fact.entity, fact.key()), None) == _fingerprint(fact)


def _unsealed(revision: int) -> Finding:
    """Its hash commits to the part and not to its being there, so that a pack can go without."""
    told = f"the sealed part of change {revision} is gone: the secrets that it tells of no longer work"
    return finding("change_altered", told, file="changes", line=revision)


def _name(entity: str, key: Key) -> int:
    return _hashed(_ENCODER.encode([entity, *key]))


def _fingerprint(fact: Fact) -> int:
    return _hashed(_ENCODER.encode(fact))


def _hashed(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=16).digest())
