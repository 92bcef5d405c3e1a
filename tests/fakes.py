"""Hand-written stand-ins for the ports of the service, shared by all tests: store, clock, ids, sink, programs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from policy_service.model.canonical import canonical_text, sha256_hex
from policy_service.model.change_query import ChangeQuery, ChangesFound
from policy_service.model.changes import GENESIS_HASH, Change, ChangeDraft, Effect, chain
from policy_service.model.errors import StoreError
from policy_service.model.facts import ENTITIES, Fact, Key
from policy_service.service.recording.groups import Group

F = TypeVar("F", bound=Fact)
T = TypeVar("T")

START = 1_800_000_000_000_000_000
"""Where a fake clock starts: 2027-01-15T08:00:00Z, in nanoseconds."""

Tables = dict[str, dict[Key, Fact]]

REFERENCES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("user", ("workspace",), "workspace"),
    ("service_principal", ("workspace",), "workspace"),
    ("team", ("workspace",), "workspace"),
    ("team", ("workspace", "parent"), "team"),
    ("membership", ("workspace", "team"), "team"),
    ("membership", ("workspace", "user"), "user"),
    ("role_binding", ("workspace", "team"), "team"),
    ("role_binding", ("workspace", "user"), "user"),
    ("role_binding", ("workspace", "resource_type", "resource_id"), "resource"),
    ("api_key", ("workspace",), "workspace"),
    ("ip_allowlist", ("workspace",), "workspace"),
    ("resource", ("workspace",), "workspace"),
    ("active_bundle", ("digest",), "bundle"),
    ("shadow_bundle", ("digest",), "bundle"),
)
"""Which fields of which entity name which other fact. A field that is None names nothing."""


class MemoryReader:
    """The Reader of a MemoryStore."""

    def __init__(self, tables: Tables, texts: Mapping[str, dict[str, str]]) -> None:
        self._tables = tables
        self._texts = texts

    def get(self, entity: type[F], key: Key) -> F | None:
        found = self._tables[entity.entity].get(tuple(key))
        assert found is None or isinstance(found, entity)
        return found

    def find(self, entity: type[F], *, after: Key | None = None, limit: int | None = None, **where: object) -> list[F]:
        unknown = set(where) - set(entity.__struct_fields__)
        assert not unknown, f"{entity.__name__} has no columns {sorted(unknown)}"
        rows = [
            fact
            for key, fact in sorted(self._tables[entity.entity].items())
            if (after is None or key > tuple(after)) and all(getattr(fact, n) == v for n, v in where.items())
        ]
        return rows[:limit]  # type: ignore[return-value]  # a table holds one entity

    def present(self, entity: type[Fact], keys: Collection[Key]) -> set[Key]:
        return {key for key in keys if key in self._tables[entity.entity]}

    def bundle_files(self, digest: str) -> dict[str, str] | None:
        files = self._texts.get(digest)
        return None if files is None else dict(files)


class MemoryStore:
    """A store in memory with the interface of the real one, and its promises: one transaction, one change.

    `broken` makes every call fail with that error, as an unreachable database would. `version_token` moves with each
    change. Effects that lie about what was there, or that leave a reference to nothing, fail an assertion.
    """

    def __init__(self) -> None:
        self.tables: Tables = {name: {} for name in ENTITIES}
        self.texts: dict[str, dict[str, str]] = {}
        self.changes: list[Change] = []
        self.uses: dict[str, int] = {}
        self.broken: StoreError | None = None
        self._lock = threading.RLock()

    def commit(self, plan: Callable[[MemoryReader], ChangeDraft | None], *, actor: str, now: int) -> Change | None:
        with self._open():
            draft = plan(MemoryReader(self.tables, self.texts))
            if draft is None:
                return None
            tables = {name: dict(rows) for name, rows in self.tables.items()}
            for effect in draft.effects:
                _apply(tables, effect)
            _check_references(tables)
            previous = self.changes[-1].hash if self.changes else GENESIS_HASH
            change = chain(draft, revision=len(self.changes) + 1, at=now, actor=actor, previous_hash=previous)
            self.tables = tables
            self.changes.append(change)
            return change

    def read(self, query: Callable[[MemoryReader], T]) -> T:
        with self._open():
            return query(MemoryReader(self.tables, self.texts))

    def put_bundle(self, digest: str, files: Mapping[str, str]) -> str:
        with self._open():
            return sha256_hex(canonical_text(self.texts.setdefault(digest, dict(files))))

    def head(self) -> int:
        with self._open():
            return len(self.changes)

    def changes_after(self, revision: int, limit: int) -> list[Change]:
        with self._open():
            if revision > len(self.changes):
                raise StoreError("store_diverged", f"the changes in the database lack revision {revision}")
            return self.changes[revision : revision + limit]

    def find_changes(
        self, query: ChangeQuery, *, newest_first: bool = False, after: int = 0, before: int | None = None, limit: int
    ) -> ChangesFound:
        with self._open():
            between = [c for c in self.changes if c.revision > after and (before is None or c.revision < before)]
            found = [c for c in (reversed(between) if newest_first else between) if query.fits(c)]
            shown = tuple(found[:limit])
            return ChangesFound(changes=shown, position=shown[-1].revision if len(found) > limit else None)

    def version_token(self) -> tuple[int, str]:
        with self._open():
            return (len(self.changes), self.changes[-1].hash if self.changes else GENESIS_HASH)

    def facts(self) -> Iterator[Fact]:
        with self._open():
            return iter([fact for rows in self.tables.values() for fact in rows.values()])

    def record_uses(self, uses: Mapping[str, int]) -> None:
        with self._open():
            for key_id, at in uses.items():
                self.uses[key_id] = max(at, self.uses.get(key_id, at))

    def last_uses(self, key_ids: Iterable[str]) -> dict[str, int]:
        with self._open():
            return {key_id: self.uses[key_id] for key_id in key_ids if key_id in self.uses}

    def close(self) -> None:
        """Nothing is held open."""

    def _open(self) -> threading.RLock:
        if self.broken is not None:
            raise self.broken
        return self._lock


def _apply(tables: Tables, effect: Effect) -> None:
    rows = tables[effect.entity]
    there = rows.get(effect.key)
    before = None if there is None else msgspec.json.decode(msgspec.json.encode(there))
    assert before == effect.before, f"{effect.entity} {effect.key}: the effect tells another past than the store"
    if effect.after is None:
        del rows[effect.key]
        return
    fact = msgspec.convert(effect.after, ENTITIES[effect.entity])
    assert fact.key() == effect.key
    rows[effect.key] = fact


def _check_references(tables: Tables) -> None:
    for entity, fields, target in REFERENCES:
        for fact in tables[entity].values():
            key = tuple(getattr(fact, field) for field in fields)
            assert None in key or key in tables[target], f"{entity} {fact.key()} refers to no {target} {key}"


class FakeClock:
    """Time that moves when told, and by `step_ns` whenever it is looked at."""

    def __init__(self, start: int = START, step_ns: int = 0) -> None:
        self.time = start
        self.step_ns = step_ns

    def now(self) -> int:
        self.time += self.step_ns
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += int(seconds * 1_000_000_000)


class CountingIds:
    """Ids and secrets that count up, of the right form, so that tests can foretell them."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def _next(self, kind: str, length: int) -> str:
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        return f"{kind}{count:0{length - len(kind)}d}"

    def decision_id(self) -> str:
        return self._next("D", 22)

    def key_id(self) -> str:
        return self._next("K", 12)

    def secret(self) -> str:
        return self._next("Secret", 22)

    def binding_id(self) -> str:
        return self._next("B", 12)

    def shard_tail(self) -> str:
        return self._next("S", 8)


class RecordingSink:
    """Keeps what it is given; `broken` makes it refuse, as a ledger does whose disk is full."""

    def __init__(self) -> None:
        self.decided: list[Any] = []
        self.calls = 0
        self.broken: StoreError | None = None

    def record(self, decided: Sequence[Any]) -> Group:
        group = Group()
        group.settle(self.broken)
        if self.broken is None:
            self.calls += 1
            self.decided.extend(decided)
        return group


class MemoryLog:
    """A RecordLog in memory. `broken` makes it refuse; `is_slow` makes `sync` wait for `go`.

    `fails_after_sync` is what it is broken by once the next sync is over.
    """

    def __init__(self) -> None:
        self.writes: list[list[bytes]] = []
        self.synced = 0
        self.broken: Exception | None = None
        self.fails_after_sync: Exception | None = None
        self.soon: str | None = None
        self.is_slow = False
        self.go = threading.Event()

    def append(self, lines: Sequence[bytes]) -> None:
        self.probe()
        self.writes.append(list(lines))

    def sync(self) -> None:
        count = len(self.writes)
        if self.is_slow:
            assert self.go.wait(60), "nobody let the disk go on"
        self.probe()
        self.synced = count
        self.broken = self.fails_after_sync

    def probe(self) -> None:
        if self.broken is not None:
            raise self.broken

    def warning(self) -> str | None:
        return self.soon

    def lines(self) -> list[bytes]:
        """Everything written so far."""
        return [line for write in self.writes for line in write]
