"""What `verify` says of the store, of checkpoints, and of what is missing on purpose."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from policy_service.ledger.evidence import Vouched
from policy_service.ledger.keys import load_verifiers
from policy_service.ledger.layout import Segment, contents
from policy_service.ledger.sealing import remove
from policy_service.ledger.verify import Verified
from policy_service.service.auditing.archive import StoreArchive
from policy_service.service.auditing.audit import audit
from policy_service.service.auditing.proving import kept_checkpoints, latest_checkpoints
from policy_service.settings import Settings
from policy_service.store import Store
from tests.ledger_houses import LedgerHouse, filled


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerHouse]:
    made = filled(tmp_path_factory.mktemp("house") / "data")
    yield made
    made.close()


class Copied:
    """A copy of a data directory."""

    def __init__(self, house: LedgerHouse, data_dir: Path) -> None:
        shutil.copytree(house.data_dir, data_dir)
        self.data_dir = data_dir
        self.folder = data_dir / "ledger"
        self.first, self.second = list(house.written)
        self.keys = load_verifiers(data_dir / "signing.pub")

    def sql(self, statement: str, *values: object) -> None:
        """Tamper with the database, as somebody with its file would."""
        with sqlite3.connect(self.data_dir / "policy.db") as connection:
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute(statement, values)

    def verify(self, kept: Sequence[Vouched] = (), *, with_store: bool = True) -> Verified:
        if not with_store:
            return audit(self.folder, self.keys, None, kept=kept)
        store = Store.open(Settings(data_dir=self.data_dir).store_url())
        try:
            return audit(self.folder, self.keys, StoreArchive(store), kept=kept)
        finally:
            store.close()


@pytest.fixture
def copied(original: LedgerHouse, tmp_path: Path) -> Copied:
    return Copied(original, tmp_path / "data")


def errors(verified: Verified) -> list[str]:
    return [one.code for one in verified.findings if one.severity == "error"]


def test_an_altered_change_is_named(copied: Copied) -> None:
    """And what stands behind it is not believed."""
    copied.sql("UPDATE changes SET note = 'nothing to see' WHERE revision = 5")
    verified = copied.verify()
    found = verified.findings[0]
    assert (found.code, found.place()) == ("change_altered", "changes:5")
    assert verified.changes == 4


def test_a_dropped_change_is_named(copied: Copied) -> None:
    """In the middle by the gap, at the end by the checkpoints."""
    copied.sql("DELETE FROM changes WHERE revision = 7")
    assert copied.verify().findings[0].code == "change_altered"


def test_a_bundle_that_is_gone_or_altered_is_named(copied: Copied) -> None:
    """Its decisions could not be replayed."""
    copied.sql("UPDATE bundle_files SET files = replace(files, 'pipelines:run', 'pipelines:ruin')")
    assert errors(copied.verify()) == ["bundle_altered"]
    copied.sql("UPDATE bundle_files SET files = 'no JSON'")
    assert errors(copied.verify()) == ["bundle_altered"]
    copied.sql("PRAGMA foreign_keys = OFF")
    copied.sql("DELETE FROM bundle_files")
    assert errors(copied.verify()) == ["bundle_missing"]


def test_without_a_store_the_files_are_still_verified(copied: Copied) -> None:
    """And it is said what was not."""
    verified = copied.verify(with_store=False)
    assert verified.is_good
    assert "facts_unchecked" in {one.code for one in verified.findings}
    assert verified.changes is None


def test_a_ledger_rewritten_with_its_key_is_refuted_by_a_kept_checkpoint(
    copied: Copied, original: LedgerHouse, tmp_path: Path
) -> None:
    """The files agree with each other; only what left the machine knows better."""
    kept_file = tmp_path / "kept"
    kept_file.write_text("\n".join(one.file.read_text() for one in latest_checkpoints(copied.folder, copied.keys)))
    kept = kept_checkpoints(kept_file, copied.keys)
    assert copied.verify(kept).is_good
    house = LedgerHouse.__new__(LedgerHouse)
    house.__dict__.update(original.__dict__, folder=copied.folder)
    segments = [Segment(copied.folder, copied.second, number) for number in (1, 2, 3)]
    lines = segments[2].plain.read_bytes().splitlines(keepends=True)
    segments[2].plain.write_bytes(
        b"".join([lines[0].replace(b'"scope":"pipelines:run"', b'"scope":"pipelines:read"'), *lines[1:4]])
    )
    house.checkpoint(copied.second, *segments)
    segments[2].checkpoint.unlink()
    assert copied.verify().is_good
    found = copied.verify(kept)
    assert set(errors(found)) & {"root_differs", "checkpoint_contradicted"}


def test_a_kept_checkpoint_of_a_shard_that_is_gone_is_missed(copied: Copied, tmp_path: Path) -> None:
    """Even without the store."""
    kept_file = tmp_path / "kept"
    kept_file.write_text(latest_checkpoints(copied.folder, copied.keys)[-1].file.read_text())
    kept = kept_checkpoints(kept_file, copied.keys)
    for path in copied.folder.glob(f"{copied.second}.*"):
        path.unlink()
    assert "shard_missing" in errors(copied.verify(kept, with_store=False))


def test_records_removed_on_purpose_are_no_failure(tmp_path: Path) -> None:
    """A change says so, and hashes and checkpoints still lead to the signed root."""
    house = filled(tmp_path / "data")
    first = next(iter(house.written))
    segment = Segment(house.folder, first, 1)
    remove(segment)
    keys = load_verifiers(house.data_dir / "signing.pub")
    assert errors(audit(house.folder, keys, StoreArchive(house.store))) == ["segment_missing"]
    house.shards.note_expiry(first, [1], 90)
    verified = audit(house.folder, keys, StoreArchive(house.store))
    assert verified.is_good
    assert "records_expired" in {one.code for one in verified.findings}
    house.close()


def test_a_torn_last_line_is_no_failure(copied: Copied) -> None:
    """A crash left it, or it is being written."""
    with Segment(copied.folder, copied.second, 3).plain.open("ab") as file:
        file.write(b'{"at":"18000')
    verified = copied.verify()
    assert verified.is_good
    assert "torn_line" in {one.code for one in verified.findings}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{}", "record_malformed"),
        (b'{"v":2}', "unknown_schema"),
        (b"", "record_malformed"),
    ],
)
def test_a_line_past_the_last_checkpoint_must_be_a_record(copied: Copied, line: bytes, code: str) -> None:
    """Nobody vouches for it: so it is looked at itself."""
    with Segment(copied.folder, copied.second, 3).plain.open("ab") as file:
        file.write(line + b"\n")
    found = copied.verify().findings[0]
    assert (found.code, found.line, found.number) == (code, 8, 20)


def test_a_record_in_another_spelling_or_of_another_store_was_not_written_here(
    copied: Copied, original: LedgerHouse
) -> None:
    """Past the last checkpoint too."""
    segment = Segment(copied.folder, copied.second, 3)
    lines = segment.plain.read_bytes().splitlines()
    spelled = lines[-1].replace(b'"v":1', b'"v": 1').replace(lines[-1][7:26], b"1800000009000000000")
    foreign = lines[-1].replace(original.written[copied.second][-1].chain.encode(), b"ab" * 32)
    for line, code in ((spelled, "record_not_canonical"), (foreign, "record_of_other_facts")):
        segment.plain.write_bytes(b"\n".join([*lines[:-1], line, b""]))
        assert copied.verify().findings[0].code == code


def test_one_decision_in_two_shards_is_a_duplicate(copied: Copied) -> None:
    """Where nobody vouches for the copy, its id tells."""
    first = Segment(copied.folder, copied.first, 2).plain.read_bytes().splitlines(keepends=True)[0]
    with Segment(copied.folder, copied.second, 3).plain.open("ab") as file:
        file.write(first)
    found = next(one for one in copied.verify().findings if one.code == "record_duplicate")
    assert (found.shard, found.line) == (copied.second, 8)


def test_missing_hashes_are_no_failure(copied: Copied) -> None:
    """The signed roots are computed from the records themselves."""
    for shard in contents(copied.folder):
        for path in copied.folder.glob(f"{shard}.*.hashes"):
            path.unlink()
    verified = copied.verify()
    assert verified.is_good
    assert "hashes_missing" in {one.code for one in verified.findings}


def test_a_closed_shard_without_checkpoints_is_told(copied: Copied) -> None:
    """The change that closed it still vouches for its records."""
    for path in copied.folder.glob(f"{copied.first}*.checkpoint"):
        path.unlink()
    assert errors(copied.verify()) == ["checkpoint_missing"]
