"""Snapshot files: what is written is read again, and whatever is wrong with a file, nothing is ever started from it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from policy_service.engine.base import FactBase
from policy_service.engine.snapshot import Snapshot
from policy_service.model.errors import StoreError
from policy_service.service.following.replica import Replica
from policy_service.service.following.snapshot_file import TAIL_BYTES, SnapshotFiles, random_prime
from policy_service.service.following.snapshot_making import hash_at, make_snapshot
from tests.fakes import MemoryStore
from tests.unit.service.house import TENANT, House


@pytest.fixture
def files(tmp_path: Path) -> SnapshotFiles:
    return SnapshotFiles(tmp_path / "snapshot")


def made(house: House, files: SnapshotFiles, folder: Path) -> Path:
    """The snapshot file of a house."""
    assert make_snapshot(house.store, files).revision == house.store.head()
    return folder / "snapshot" / f"{house.store.head():012d}.facts"


def all_of(base: FactBase, house: House) -> list[str]:
    return sorted(map(repr, Snapshot(house.bundles, base).facts()))


def test_a_file_holds_the_facts_at_its_revision(house: House, files: SnapshotFiles, tmp_path: Path) -> None:
    """And the verifiers; a replica that begins with it stands where one does that read everything."""
    key = house.key()
    path = made(house, files, tmp_path)
    base = files.newest(hash_at(house.store))
    assert base is not None
    assert all_of(base, house) == sorted(map(repr, house.store.facts()))
    house.replica.catch_up()
    other = Replica(house.store, house.bundles)
    other.begin(base)
    assert (other.place, other.standing) == (house.replica.place, house.replica.standing)
    assert other.catch_up() == house.store.head()
    key_id = key.api_key.id
    assert other.view().verifiers(key_id) == house.replica.view().verifiers(key_id) != {}
    assert key.text[-28:].encode() not in path.read_bytes()


def test_only_its_owner_may_read_a_file(house: House, files: SnapshotFiles, tmp_path: Path) -> None:
    """It holds verifiers: 0600, in a folder of 0700."""
    path = made(house, files, tmp_path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(path.parent) == [path.name]


def test_the_newest_two_files_are_kept(house: House, files: SnapshotFiles, tmp_path: Path) -> None:
    """The older of them is started from where the newer has gone bad."""
    heads = []
    for number in range(3):
        house.admin.put_user(TENANT, "acme", f"u{number}")
        newest = made(house, files, tmp_path)
        heads.append(house.store.head())
    assert sorted(os.listdir(newest.parent)) == [f"{head:012d}.facts" for head in heads[1:]]
    newest.write_bytes(b"nothing of value")
    base = files.newest(hash_at(house.store))
    assert base is not None
    assert base.revision == heads[1]
    assert files.newest(hash_at(house.store), after=heads[1]) is None


def test_files_that_are_ahead_and_not_fit_make_room(house: House, files: SnapshotFiles, tmp_path: Path) -> None:
    """Those of another version, or of a database that was set back: the numbers of the new ones are lower."""
    folder = tmp_path / "snapshot"
    folder.mkdir(mode=0o700)
    for revision in (800, 900):
        (folder / f"{revision:012d}.facts").write_bytes(b"of another version")
    assert make_snapshot(house.store, files, spill=2).revision == house.store.head()
    base = files.newest(hash_at(house.store))
    assert base is not None
    assert base.revision == house.store.head()
    assert not {"000000000800.facts", "000000000900.facts"} & set(os.listdir(folder))


def test_a_flipped_byte_anywhere_is_noticed(
    house: House, files: SnapshotFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the rows, the hash table, the contents or the last line; what is left is the same file, or none."""
    path = made(house, files, tmp_path)
    sound = path.read_bytes()
    facts = sorted(map(repr, house.store.facts()))
    draw = random.Random(7)
    places = [*range(len(sound) - TAIL_BYTES, len(sound)), *(draw.randrange(len(sound)) for _ in range(300))]
    for place in places:
        broken = bytearray(sound)
        broken[place] ^= 1 << draw.randrange(8)
        path.write_bytes(broken)
        base = files.newest(hash_at(house.store))
        # White space after the last line may be other white space.
        assert base is None or (place >= len(sound) - TAIL_BYTES and all_of(base, house) == facts)
    assert all("passed over" in record.message for record in caplog.records)
    assert len(caplog.records) > 400


def test_a_file_that_was_cut_is_noticed(house: House, files: SnapshotFiles, tmp_path: Path) -> None:
    """At any length; a file that grew as well."""
    path = made(house, files, tmp_path)
    sound = path.read_bytes()
    for length in (0, 1, TAIL_BYTES, TAIL_BYTES + 1, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:length])
        assert files.newest(hash_at(house.store)) is None
    path.write_bytes(sound + b"\n")
    assert files.newest(hash_at(house.store)) is None
    path.write_bytes(sound)
    assert files.newest(hash_at(house.store)) is not None


@pytest.mark.parametrize(
    ("old", "new"), [(b'"format":1', b'"format":2'), (b'"revision":', b'"revisiom":'), (b'"chain":"', b'"chain":"f')]
)
def test_a_last_line_of_another_version_is_passed_over(
    house: House, files: SnapshotFiles, tmp_path: Path, old: bytes, new: bytes
) -> None:
    """And one that is not about the base before it."""
    path = made(house, files, tmp_path)
    content, tail = path.read_bytes()[:-TAIL_BYTES], path.read_bytes()[-TAIL_BYTES:]
    assert old in tail
    path.write_bytes(content + tail.replace(old, new)[:TAIL_BYTES])
    assert files.newest(hash_at(house.store)) is None


def test_a_file_of_another_database_is_passed_over(
    house: House, bare: House, files: SnapshotFiles, tmp_path: Path
) -> None:
    """One that is shorter, one that holds another change there, and one that cannot be asked."""
    made(house, files, tmp_path)
    assert files.newest(hash_at(bare.store)) is None
    assert files.newest(lambda _: "f" * 64) is None

    def broken(*_: object) -> None:
        raise StoreError("store_unreachable", "no database")

    class Broken(MemoryStore):
        changes_after = broken  # type: ignore[assignment]

    assert files.newest(hash_at(Broken())) is None


def test_a_file_that_others_may_write_is_passed_over(house: House, files: SnapshotFiles, tmp_path: Path) -> None:
    """Who can write it decides."""
    path = made(house, files, tmp_path)
    path.chmod(0o620)
    assert files.newest(hash_at(house.store)) is None
    path.chmod(0o600)
    assert files.newest(hash_at(house.store)) is not None


def test_what_is_no_snapshot_file_is_left_alone(house: House, files: SnapshotFiles, tmp_path: Path) -> None:
    """A folder in its place, other names, and a file that another process is just making; an abandoned one goes."""
    folder = tmp_path / "snapshot"
    (folder / "000000000999.facts").mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    (folder / "000000000007.ab.making").write_text("at work")
    (folder / "000000000006.ab.making").write_text("dead")
    os.utime(folder / "000000000006.ab.making", (0, 0))
    path = made(house, files, tmp_path)
    base = files.newest(hash_at(house.store))
    assert base is not None
    assert base.revision == house.store.head()
    assert sorted(os.listdir(folder)) == [path.name, "000000000007.ab.making", "000000000999.facts", "notes.txt"]


def test_a_disk_that_is_full_leaves_nothing_behind(
    house: House, files: SnapshotFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last good file stays the newest."""
    path = made(house, files, tmp_path)
    house.admin.put_user(TENANT, "acme", "late")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("policy_service.service.following.snapshot_file.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        make_snapshot(house.store, files)
    assert os.listdir(path.parent) == [path.name]


def test_no_folder_is_no_trouble(files: SnapshotFiles) -> None:
    """A first start has none."""
    assert files.newest(lambda _: None) is None


def test_the_modulus_is_a_prime() -> None:
    """Of 62 bits, and another one each time."""
    primes = {random_prime() for _ in range(20)}
    assert len(primes) == 20
    for prime in primes:
        assert 1 << 61 < prime < 1 << 62
        assert all(pow(base, prime - 1, prime) == 1 for base in (2, 3, 5, 7, 11))


@pytest.mark.parametrize("spill", [1, 7, 1000])
def test_where_a_fold_is_spilled_makes_no_difference(house: House, files: SnapshotFiles, spill: int) -> None:
    """Bounded memory, the same file."""
    house.key()
    assert make_snapshot(house.store, files, spill=spill).facts > 0
    base = files.newest(hash_at(house.store))
    assert base is not None
    assert all_of(base, house) == sorted(map(repr, house.store.facts()))
    assert make_snapshot(house.store, files, spill=spill).facts == 0, "it is as of the last change already"
