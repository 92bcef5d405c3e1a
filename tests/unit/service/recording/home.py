"""A data directory whose ledger is opened, written, closed and killed by tests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policy_service.ledger import keys
from policy_service.ledger.checkpoint import Checkpoint, open_checkpoint
from policy_service.ledger.layout import checkpoint_path, contents
from policy_service.ledger.merkle import leaf_hashes, subtree_root
from policy_service.ledger.shard import Limits
from policy_service.model.changes import ChangeDraft
from policy_service.model.errors import PolicyServiceError, StoreError
from policy_service.model.facts import LedgerShard
from policy_service.service.clock import elapsed_s
from policy_service.service.following.replica import Replica
from policy_service.service.recording.checkpoint_health import CheckpointHealth
from policy_service.service.recording.open_ledger import Ledger, LedgerPlan
from policy_service.service.recording.recorder import Recorder
from policy_service.service.recording.shards import Shards
from tests.fakes import MemoryStore
from tests.unit.service.house import OPERATOR, House

LINES = [b'{"n":%d}' % number for number in range(6)]
GROUP_BYTES = sum(len(line) + 1 for line in LINES)
Act = Callable[[], object]


class Sink:
    """Keeps notes; `broken` makes it refuse."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.broken = False

    def deliver(self, note: str) -> None:
        if self.broken:
            raise StoreError("checkpoint_undelivered", "broken")
        self.notes.append(note)


class Home:
    """A house with a data directory, whose ledger may be opened as often as one likes."""

    def __init__(self, path: Path) -> None:
        self.house = House().furnish()
        self.folder, self.key_path = path / "ledger", path / "signing.key"
        path.chmod(0o700)
        self.folder.mkdir(mode=0o700)
        keys.create(self.key_path, "log.example")
        self.sink = Sink()
        self.recorder = Recorder("os")
        self.health = CheckpointHealth(elapsed_s)
        self.plan = LedgerPlan(
            folder=self.folder,
            key_path=self.key_path,
            limits=Limits(segment_bytes=2 * GROUP_BYTES),
            interval_s=3600,
            sink=self.sink,
        )

    def ledger(self, **changed: Any) -> Ledger:
        house = self.house
        house.clock.advance(2)
        plan = msgspec.structs.replace(self.plan, **changed)
        shards = Shards(house.store, house.clock, house.ids, OPERATOR)
        return Ledger(plan, house.store, house.replica, shards, house.clock, self.health, elapsed=elapsed_s)

    @contextlib.contextmanager
    def open(self, **changed: Any) -> Iterator[str]:
        """The id of a shard that is open."""
        with self.ledger(**changed).open(self.recorder):
            yield self.shards()[-1].id

    def write(self, *lines: bytes) -> None:
        self.recorder.record_lines(lines or LINES).check()

    def shards(self) -> list[LedgerShard]:
        return list(self.house.store.read(lambda reader: reader.find(LedgerShard)))

    def checkpoint(self, path: Path) -> Checkpoint:
        return open_checkpoint(path.read_bytes(), keys.load_verifiers(keys.verifiers_path(self.key_path)))

    def last(self, shard: str) -> Checkpoint:
        return self.checkpoint(checkpoint_path(self.folder, shard))

    def crash(self, *lines: bytes, torn: bytes = b"") -> str:
        """A shard that a process opened and wrote to, and then that process was killed."""
        with self.open() as shard:
            self.write(*lines)
            path = contents(self.folder)[shard][-1].plain
            copies = {file.name: file.read_bytes() for file in self.folder.iterdir() if file.name.startswith(shard)}
            changes, tables = list(self.house.store.changes), self.house.store.tables
        # What closing did is undone: a process that is killed closes nothing.
        for file in list(self.folder.iterdir()):
            if file.name.startswith(shard):
                file.unlink()
        for name, content in copies.items():
            (self.folder / name).write_bytes(content)
        self.house.store.changes, self.house.store.tables = changes, tables
        with path.open("ab") as live:
            live.write(torn)
        self.start_anew()
        return shard

    def set_back(self, changes: int) -> None:
        """The store is an older one: without its last changes."""
        kept = MemoryStore()
        for change in self.house.store.changes[:-changes]:
            draft = ChangeDraft(**{name: getattr(change, name) for name in ChangeDraft.__struct_fields__})
            kept.commit(lambda _, draft=draft: draft, actor=change.actor, now=change.at)  # type: ignore[misc]  # a default
        kept.texts = self.house.store.texts
        self.house.store = kept
        self.start_anew()

    def start_anew(self) -> None:
        """Another process, which reads the facts from the start."""
        self.house.replica = Replica(self.house.store, self.house.bundles)
        self.house.replica.catch_up()


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds, for a minute at most."""
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it does not come to that")


def root_of(lines: list[bytes]) -> bytes:
    return subtree_root(b"".join(leaf_hashes(lines)))


def refusal(act: Act) -> PolicyServiceError:
    with pytest.raises(PolicyServiceError) as caught:
        act()
    return caught.value


def await_size(home: Home, shard: str, size: int) -> None:
    eventually(lambda: home.last(shard).size == size)
