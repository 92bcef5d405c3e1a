"""What a start finds of processes that were killed: shards closed once, harm told, nothing signed that was altered."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from policy_service.ledger import keys
from policy_service.ledger.layout import Segment, checkpoint_path, first_segment, lock_path
from policy_service.ledger.lock import ShardLock
from policy_service.service.recording.keeping import Keeping
from policy_service.service.recording.shards import Shards
from tests.unit.service.house import OPERATOR
from tests.unit.service.recording.home import (
    LINES,
    Home,
    await_size,
    eventually,
    refusal,
    root_of,
)


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
