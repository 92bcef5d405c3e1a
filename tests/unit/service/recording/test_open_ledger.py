"""A process's ledger from its opening to its closing: shard, checkpoints, segments sealed, crashes before it."""

from __future__ import annotations

import threading

import pytest

from policy_service.ledger import keys
from policy_service.ledger.layout import Segment, checkpoint_path, contents, first_segment, lock_path
from policy_service.ledger.merkle import EMPTY_ROOT
from policy_service.ledger.shard import ShardWriter
from policy_service.model.errors import StoreError, UsageError
from tests.unit.service.house import OPERATOR
from tests.unit.service.recording.home import (
    LINES,
    Home,
    await_size,
    eventually,
    refusal,
    root_of,
)


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
