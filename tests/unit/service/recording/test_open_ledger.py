"""A process's ledger from its opening to its closing: shard, checkpoints, segments sealed, crashes before it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policy_service.ledger import keys
from policy_service.ledger.checkpoint import Checkpoint, open_checkpoint
from policy_service.ledger.layout import Segment, checkpoint_path, contents, first_segment, lock_path
from policy_service.ledger.lock import ShardLock
from policy_service.ledger.merkle import EMPTY_ROOT, leaf_hashes, subtree_root
from policy_service.ledger.shard import Limits, ShardWriter
from policy_service.model.changes import ChangeDraft
from policy_service.model.errors import PolicyServiceError, StoreError, UsageError
from policy_service.model.facts import LedgerShard
from policy_service.service.clock import elapsed_s
from policy_service.service.following.replica import Replica
from policy_service.service.recording.checkpoint_health import CheckpointHealth
from policy_service.service.recording.keeping import Keeping
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


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


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


def test_a_shard_is_known_before_anything_is_written_and_signed_for_at_once(home: Home) -> None:
    with home.open() as shard:
        fact = home.shards()[0]
        assert (fact.id, fact.closed_at) == (shard, None)
        first = home.last(shard)
        assert (first.size, first.root, first.origin) == (0, EMPTY_ROOT, f"log.example/{shard}")
        assert (first.shard_count, first.open_shards) == (1, (shard,))
        assert (first.revision, first.chain) == home.house.store.version_token()
        eventually(lambda: home.sink.notes == [checkpoint_path(home.folder, shard).read_text()])


def test_a_closed_shard_says_what_it_holds(home: Home) -> None:
    with home.open() as shard:
        home.write()
        home.write(b"last")
    fact = home.shards()[0]
    assert fact.closed_at is not None
    assert (fact.size, fact.root) == (7, root_of([*LINES, b"last"]).hex())
    last = home.last(shard)
    assert (last.size, last.root) == (7, root_of([*LINES, b"last"]))
    assert not lock_path(home.folder, shard).exists()
    assert home.sink.notes[-1] == checkpoint_path(home.folder, shard).read_text()
    assert refusal(home.write).code == "ledger_unavailable"


def test_each_segment_ends_with_a_checkpoint_of_its_own_and_is_sealed(home: Home) -> None:
    with home.open() as shard:
        for _ in range(5):
            home.write()
    one, two, three = contents(home.folder)[shard]
    sizes = [home.checkpoint(segment.checkpoint).size for segment in (one, two, three)]
    assert sizes == [12, 24, 30]
    assert home.checkpoint(two.checkpoint).root == root_of(LINES * 4)
    with home.open():
        eventually(lambda: not any(segment.plain.exists() for segment in (one, two, three)))
    assert [segment.packed.exists() for segment in (one, two, three)] == [True] * 3


def test_a_full_segment_wakes_the_checkpointer(home: Home) -> None:
    """It need not wait for the interval, which is an hour here."""
    with home.open() as shard:
        for _ in range(3):
            home.write()
        segment = first_segment(home.folder, shard)
        eventually(lambda: segment.packed.exists() and not segment.plain.exists())
        assert home.checkpoint(segment.checkpoint).size == 12
        assert segment.packed.exists()


def test_checkpoints_follow_at_the_interval_where_there_is_news(home: Home) -> None:
    with home.open(interval_s=0.02) as shard:
        home.write(b"one")
        await_size(home, shard, 1)
        eventually(lambda: home.health.report().signed == 2)
        threading.Event().wait(0.2)
        assert home.health.report().signed == 2
        home.house.admin.create_workspace(OPERATOR, "news")
        home.house.replica.catch_up()
        revision = home.house.replica.revision
        eventually(lambda: home.last(shard).revision == revision)
        age = home.health.age_s()
        assert age is not None
        assert age < 60


def await_size(home: Home, shard: str, size: int) -> None:
    eventually(lambda: home.last(shard).size == size)


def test_a_sink_that_fails_is_a_warning_and_gets_the_latest_later(home: Home) -> None:
    home.sink.broken = True
    with home.open(interval_s=0.02) as shard:
        home.write(b"one")
        await_size(home, shard, 1)
        eventually(lambda: home.health.warning() == "checkpoint_undelivered")
        assert home.health.trouble() is None
        home.sink.broken = False
    assert home.sink.notes[-1] == checkpoint_path(home.folder, shard).read_text()
    assert home.health.warning() is None
    assert home.health.report().delivery_failures > 0


def test_what_the_disk_does_not_keep_is_not_signed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint would vouch for records that a loss of power takes away."""

    def refuse(_: ShardWriter) -> None:
        raise StoreError("ledger_unavailable", "the disk failed")

    with home.open(interval_s=0.02) as shard:
        with monkeypatch.context() as patch:
            patch.setattr(ShardWriter, "sync", refuse)
            home.write()
            eventually(lambda: home.health.warning() == "checkpoint_failed")
            assert home.last(shard).size == 0
        await_size(home, shard, 6)
        eventually(lambda: home.health.warning() is None)


def test_a_key_that_was_rotated_signs_without_a_restart(home: Home) -> None:
    with home.open() as shard:
        keys.rotate(home.key_path)
    signatures = [line for line in checkpoint_path(home.folder, shard).read_text().splitlines() if line[:1] == "—"]
    assert len(signatures) == 2


def test_without_a_signing_key_no_ledger_is_opened(home: Home) -> None:
    home.key_path.unlink()
    with pytest.raises(UsageError) as refused, home.open():
        pass
    assert refused.value.code == "missing_signing_key"
    assert home.shards() == []


def test_a_key_that_vanishes_leaves_the_shard_open_and_the_next_start_closes_it(home: Home) -> None:
    with home.open() as shard:
        home.write()
        home.key_path.rename(home.key_path.with_suffix(".away"))
    assert home.shards()[0].closed_at is None
    home.key_path.with_suffix(".away").rename(home.key_path)
    with home.open():
        assert home.shards()[0].size == 6
    assert home.last(shard).size == 6


@pytest.mark.parametrize("torn", [b"", b'{"n":'])
def test_a_shard_whose_process_was_killed_is_closed_at_the_next_start(home: Home, torn: bytes) -> None:
    shard = home.crash(*LINES, torn=torn)
    assert home.shards()[0].closed_at is None
    with home.open():
        fact = home.shards()[0]
        assert fact.id == shard
        assert fact.closed_at is not None
        assert (fact.size, fact.root) == (6, root_of(LINES).hex())
        assert home.house.replica.standing.shards[shard] == fact
        assert (home.last(shard).size, home.last(shard).root) == (6, root_of(LINES))
    assert not lock_path(home.folder, shard).exists()
    segment = first_segment(home.folder, shard)
    assert segment.torn.exists() == bool(torn)
    assert home.health.warning() is None


def test_segments_that_a_kill_left_unsigned_are_signed_and_sealed(home: Home) -> None:
    shard = home.crash(*LINES, *LINES, *LINES)
    segment = first_segment(home.folder, shard)
    segment.next().plain.write_bytes(b"next\n")
    with home.open():
        eventually(lambda: segment.packed.exists() and segment.next().packed.exists())
    assert [home.checkpoint(part.checkpoint).size for part in (segment, segment.next())] == [18, 19]
    assert home.shards()[0].size == 19


def test_a_shard_that_a_living_process_holds_is_left_to_it(home: Home) -> None:
    shard = home.crash(*LINES)
    held = ShardLock.take(home.folder, shard)
    assert held is not None
    with home.open():
        assert [fact.closed_at for fact in home.shards()] == [None, None]
    held.release(is_done=False)


def just_before(act: Callable[[], object], patch: pytest.MonkeyPatch) -> None:
    """Before the next lock is taken, another process does this."""
    real, acts = ShardLock.take, [act]

    def take(folder: Path, shard: str) -> ShardLock | None:
        if acts:
            acts.pop()()
        return real(folder, shard)

    patch.setattr(ShardLock, "take", take)


def test_a_shard_that_another_worker_closed_meanwhile_is_closed_once(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several workers start at once, and each looks after the shards of the dead."""
    shard = home.crash(*LINES)
    mine = home.ledger()
    home.start_anew()
    others = home.ledger()

    def meanwhile() -> None:
        others.close_abandoned()
        home.house.clock.advance(5)

    just_before(meanwhile, monkeypatch)
    signed: list[bytes] = []
    real = ShardLock.release
    monkeypatch.setattr(
        ShardLock,
        "release",
        lambda lock, **how: (signed.append(checkpoint_path(home.folder, shard).read_bytes()), real(lock, **how)),
    )
    mine.close_abandoned()
    assert len(signed) == 2
    assert signed[0] == signed[1]
    closed = [change for change in home.house.store.changes if change.action == "ledger_shard.close"]
    assert [change.subject for change in closed] == [shard]
    assert home.health.warning() is None


def test_what_another_worker_tidied_meanwhile_is_let_be(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Sealed once, removed once, told of once; and no trouble is logged."""
    with home.open() as shard:
        for _ in range(5):
            home.write()
    house = home.house
    shards = Shards(house.store, house.clock, house.ids, OPERATOR)
    mine, others = (
        Keeping(home.folder, shards, home.key_path, house.clock, home.health, retention_days=30) for _ in range(2)
    )
    live = Segment(home.folder, "20990101T000000-AAAAAAAA", 1)
    parts = [Segment(home.folder, shard, number) for number in (1, 2, 3)]
    for days in (0, 31):
        house.clock.advance(days * 86_400)
        with monkeypatch.context() as patch:
            just_before(lambda: others.tidy(live), patch)
            mine.tidy(live)
        assert [(part.plain.exists(), part.packed.exists()) for part in parts] == [(False, days == 0)] * 3
    told = [change for change in house.store.changes if change.action == "ledger_shard.expire"]
    assert len(told) == 1
    assert caplog.messages == []


@pytest.mark.parametrize("harm", ["alter", "drop", "empty", "remove"])
def test_a_shard_that_was_tampered_with_after_a_crash_stays_open_and_is_told(home: Home, harm: str) -> None:
    """Its last checkpoint is the evidence: closing it would make the harm good."""
    shard = home.crash(*LINES)
    sign_crashed(home, shard)
    plain = first_segment(home.folder, shard).plain
    if harm == "remove":
        plain.unlink()
    elif harm == "empty":
        os.truncate(plain, 0)
    else:
        content = plain.read_bytes()
        plain.write_bytes(content.replace(b"3", b"4") if harm == "alter" else content[: -len(LINES[-1]) - 1])
    with home.open():
        assert home.shards()[0].closed_at is None
        assert home.health.warning() == "ledger_shard_unclosed"
        home.write()
    assert home.shards()[1].closed_at is not None


def sign_crashed(home: Home, shard: str) -> None:
    """Have a checkpoint of all records of a crashed shard, as if it had been signed just before."""
    ledger = home.ledger()
    close = Shards.close
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shards, "close", lambda *_, **__: None)
        ledger.close_abandoned()
    assert Shards.close is close
    assert home.last(shard).size == 6


def test_records_of_a_shard_that_the_facts_do_not_know_are_left_alone_and_told(home: Home) -> None:
    stray = Segment(home.folder, "20200101T000000-AAAAAAAA", 1)
    stray.plain.write_bytes(b"somebody's\n")
    with home.open():
        assert home.health.warning() == "ledger_shard_unclosed"
    assert stray.plain.read_bytes() == b"somebody's\n"


def test_a_shard_that_was_never_opened_is_forgotten(home: Home) -> None:
    """A process was killed between making the files and telling of them: nothing was ever written."""
    stray = Segment(home.folder, "20200101T000000-AAAAAAAA", 1)
    stray.plain.touch()
    with home.open():
        assert home.health.warning() is None
    assert not stray.plain.exists()


def test_facts_that_were_set_back_behind_a_checkpoint_are_told(home: Home) -> None:
    """They decide: a backup that was restored is all there is. The contradiction is told all the same."""
    with home.open():
        home.write()
    home.set_back(2)
    with home.open(interval_s=0.02):
        home.write()
        assert (home.health.warning(), home.health.trouble()) == ("ledger_contradicted", None)


def test_a_checkpoint_of_another_log_is_told(home: Home, tmp_path: Path) -> None:
    with home.open():
        pass
    for name in ("signing.key", "signing.pub"):
        (tmp_path / name).unlink()
    keys.create(home.key_path, "other.example")
    with home.open():
        assert home.health.warning() == "ledger_contradicted"


def test_a_checkpoint_that_would_contradict_the_last_is_refused(home: Home) -> None:
    """The facts go back under a running process: nothing is signed, and readiness turns red."""
    with home.open(interval_s=0.02) as shard:
        home.write()
        await_size(home, shard, 6)
        told = home.house.replica._standing
        home.house.replica._standing = msgspec.structs.replace(told, revision=told.revision - 1)
        eventually(lambda: home.health.trouble() is not None)
        trouble = home.health.trouble()
        assert trouble is not None
        assert trouble.code == "checkpoint_refused"
        home.write(b"more")
    assert home.last(shard).size == 6
    assert home.shards()[0].closed_at is None


def test_a_live_file_that_was_cut_is_not_signed(home: Home) -> None:
    with home.open(interval_s=0.02) as shard:
        home.write()
        await_size(home, shard, 6)
        os.truncate(first_segment(home.folder, shard).plain, 3)
        assert refusal(home.write).code == "ledger_unavailable"
    assert home.last(shard).size == 6


def test_old_records_are_removed_and_their_removal_is_a_change(home: Home) -> None:
    with home.open() as shard:
        for _ in range(5):
            home.write()
    parts = [Segment(home.folder, shard, number) for number in (1, 2, 3)]
    with home.open(retention_days=30):
        eventually(lambda: not any(part.plain.exists() for part in parts))
    home.house.clock.advance(31 * 86_400)
    with home.open(retention_days=30):
        eventually(lambda: not any(part.packed.exists() for part in parts))
    assert [(part.plain.exists(), part.packed.exists(), part.hashes.exists()) for part in parts] == [
        (False, False, True)
    ] * 3
    told = [change for change in home.house.store.changes if change.action == "ledger_shard.expire"]
    assert [change.note for change in told if change.subject == shard] == [
        "records of segments 000001, 000002, 000003 removed: older than 30 days"
    ]
    assert home.shards()[0].size == 30


def test_records_that_were_altered_are_neither_sealed_nor_removed(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    with home.open() as shard:
        home.write()
    segment = first_segment(home.folder, shard)
    content = segment.plain.read_bytes().replace(b"3", b"4")
    segment.plain.write_bytes(content)
    home.house.clock.advance(31 * 86_400)
    with home.open(retention_days=30):
        eventually(lambda: bool(caplog.messages))
    assert "holds other records than those that were signed" in caplog.text
    assert segment.plain.read_bytes() == content
    assert not segment.packed.exists()
