"""Data directories with a real ledger, for tests: shards, segments, hashes, checkpoints and the store that knows them.

Written by the code that serves: what is verified here is what a server leaves behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from policy_service.bootstrap import initialize
from policy_service.ledger.checkpoint import Checkpoint, sign_checkpoint
from policy_service.ledger.codec import encode_record
from policy_service.ledger.hashing import ShardTree
from policy_service.ledger.keys import create
from policy_service.ledger.layout import FOLDER, Segment, checkpoint_path
from policy_service.ledger.notes import Signer
from policy_service.ledger.record import DecisionRecord, RecordedCredential, RecordedPrincipal
from policy_service.ledger.sealing import seal
from policy_service.ledger.shard_facts import shards_then
from policy_service.ledger.verify import Scanners
from policy_service.model.facts import LedgerShard
from policy_service.service.caller import local_caller
from policy_service.service.identifiers import RandomIds
from policy_service.service.recording.shards import Shards
from policy_service.settings import Settings
from policy_service.store import Store
from tests.fakes import START, FakeClock
from tests.unit.ledger.records import a_record, a_request

SECOND = 1_000_000_000


class LedgerHouse:
    """A data directory whose ledger tests fill by hand.

    Attributes:
        data_dir, folder: of the directory, and of its ledger.
        written: the records of each shard, in order.
        helpers: to read its segments with.
    """

    helpers: Scanners | None = None

    def __init__(self, data_dir: Path, name: str = "example.com/tests") -> None:
        self.data_dir = data_dir
        self.made = initialize(Settings(data_dir=data_dir), demo=not data_dir.exists(), policies=None)
        self.folder = data_dir / FOLDER
        self.folder.mkdir(mode=0o700, exist_ok=True)
        key = data_dir / "signing.key"
        self.signer: Signer = create(key, name) if not key.exists() else _signer(key)
        self.clock = FakeClock(start=START)
        self.store = Store.open(Settings(data_dir=data_dir).store_url())
        self.shards = Shards(self.store, self.clock, RandomIds(), local_caller(0))
        self.written: dict[str, list[DecisionRecord]] = {}
        self._count = 0

    def close(self) -> None:
        """Let the store go."""
        self.store.close()

    def open_shard(self) -> str:
        """A new shard, known to the store; nothing is in it yet."""
        self.clock.advance(1)
        shard = self.shards.name()
        self.shards.open(shard)
        self.written[shard.id] = []
        return shard.id

    def write(self, shard: str, number: int, records: int, **changes: Any) -> Segment:
        """Append records to a segment of a shard."""
        segment = Segment(self.folder, shard, number)
        made = [self.record(**changes) for _ in range(records)]
        self.written[shard] += made
        with segment.plain.open("ab") as file:
            file.writelines(encode_record(record) + b"\n" for record in made)
        return segment

    def record(self, **changes: Any) -> DecisionRecord:
        """The next record: others than all before, on the store's last change."""
        self._count += 1
        self.clock.advance(0.001)
        revision, chain = self.store.version_token()
        values: dict[str, Any] = {
            "id": f"D{self._count:021d}",
            "at": str(self.clock.time),
            "revision": revision,
            "chain": chain,
            "decision": "allow" if self._count % 3 else "deny",
            "reason": "allowed" if self._count % 3 else "role_not_granted",
        }
        return a_record(**values | changes)

    def checkpoint(self, shard: str, *segments: Segment) -> None:
        """Hash all segments of a shard so far and sign; the last one's own checkpoint too where it is at its end."""
        tree = ShardTree(self.folder, shard)
        for segment in segments:
            tree.take()
            self._sign(shard, tree, segment)
            if segment is not segments[-1]:
                tree.next_segment()

    def _sign(self, shard: str, tree: ShardTree, segment: Segment) -> None:
        revision, chain = self.store.version_token()
        facts: Sequence[LedgerShard] = self.store.read(lambda reader: reader.find(LedgerShard))
        then = shards_then(facts)
        checkpoint = Checkpoint(
            name=self.signer.verifier.name,
            shard=shard,
            size=tree.tree.size,
            root=tree.tree.root(),
            time=self.clock.now(),
            revision=revision,
            chain=chain,
            shard_count=then.count,
            shards_digest=then.digest,
            open_shards=then.open,
        )
        note = sign_checkpoint(checkpoint, [self.signer])
        segment.checkpoint.write_text(note)
        checkpoint_path(self.folder, shard).write_text(note)

    def close_shard(self, shard: str, *segments: Segment) -> None:
        """Sign at the end, and tell the store."""
        self.checkpoint(shard, *segments)
        tree = ShardTree(self.folder, shard)
        for segment in segments:
            tree.take()
            if segment is not segments[-1]:
                tree.next_segment()
        self.shards.close(shard, tree.tree.size, tree.tree.root())

    def seal(self, segment: Segment) -> None:
        """Compress it."""
        seal(segment)


def _signer(path: Path) -> Signer:
    from policy_service.ledger.keys import load_signers

    return load_signers(path)[-1]


def key_of(key_id: str) -> dict[str, Any]:
    """The parts of a record about another key."""
    credential = RecordedCredential(outcome="verified", key_id=key_id, slot=1)
    return {"request": a_request(credential=credential), "principal": RecordedPrincipal(kind="user", id="mira")}


def filled(data_dir: Path, *, sizes: Sequence[int] = (7, 5, 4)) -> LedgerHouse:
    """A closed shard of three segments, the first one sealed, and an open one with a tail."""
    house = LedgerHouse(data_dir)
    first = house.open_shard()
    segments = [house.write(first, number, size) for number, size in enumerate(sizes, 1)]
    second = house.open_shard()
    others = [house.write(second, number, size) for number, size in enumerate(sizes, 1)]
    house.close_shard(first, *segments)
    house.checkpoint(second, *others)
    others[-1].checkpoint.unlink()
    house.seal(segments[0])
    house.write(second, len(sizes), 3)
    return house


def replaced(record: DecisionRecord, **changes: Any) -> bytes:
    """The line of a record with other values."""
    return encode_record(msgspec.structs.replace(record, **changes))
