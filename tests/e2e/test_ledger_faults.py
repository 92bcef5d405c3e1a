"""The ledger when the system fails under the server: full disks, read-only folders, kills, files that are gone.

Each is caused, none is pretended. What was answered is recorded, whatever happens.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from policy_service.ledger.checkpoint import Checkpoint, open_checkpoint
from policy_service.ledger.codec import decode_record
from policy_service.ledger.keys import load_verifiers
from policy_service.ledger.layout import contents, shards
from policy_service.ledger.record import DecisionRecord
from policy_service.ledger.sealing import packed_lines
from tests.e2e.processes import Server, answer, command, one_line
from tests.unit.api.desk import problem_code
from tests.unit.ledger.disks import fill, remount, small_disk
from tests.waiting import until

ETL = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}


class House:
    """A demonstration, and what its server answered."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.folder = data_dir / "ledger"
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir)
        self.answered: list[str] = []

    def ask(self, server: Server, **more: Any) -> httpx.Response:
        question = {"key": self.keys["service_key"], "scope": "pipelines:run", "resource": ETL, **more}
        response = server.call("POST", "/decide", self.keys["caller_key"], question)
        if response.status_code == 200:
            self.answered.append(response.json()["decision_id"])
        return response

    def lines(self) -> list[bytes]:
        """Every line of every shard, sealed or not."""
        found: list[bytes] = []
        for segments in contents(self.folder).values():
            for segment in segments:
                with segment.lines_path().open("rb") as file:
                    found += packed_lines(file) if segment.lines_path() == segment.packed else file
        return found

    def recorded(self) -> list[str]:
        """The ids of all records; every line is a whole one."""
        records = [decode_record(line.removesuffix(b"\n")) for line in self.lines() if line.endswith(b"\n")]
        assert len(records) == len(self.lines())
        return [record.id for record in records if isinstance(record, DecisionRecord)]

    def checkpoints(self, path: Path) -> list[Checkpoint]:
        """What a file sink was given."""
        verifiers = load_verifiers(self.data_dir / "signing.pub")
        return [open_checkpoint(note, verifiers) for note in _notes(path.read_text())]

    def shard_changes(self) -> list[tuple[str, str]]:
        """Action and note of every change of a shard, oldest first."""
        found = answer("changes", "list", "--data-dir", self.data_dir)
        changes = found["data"] if isinstance(found, dict) else found
        return [(one["action"], one["note"]) for one in changes if one["action"].startswith("ledger_shard.")]


def _notes(text: str) -> list[str]:
    """Notes, each followed by an empty line: signatures begin with a dash."""
    found, note = [], ""
    for line in text.splitlines(keepends=True):
        if line == "\n" and note.splitlines()[-1:] and note.splitlines()[-1].startswith("—"):
            found.append(note)
            note = ""
        else:
            note += line
    return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "data")


def test_a_full_disk_stops_the_deciding_and_space_starts_it_again(house: House) -> None:
    """Warned of before, 503 with its own code, red; every answer recorded, no half of a record."""
    with small_disk(house.folder, "3m"), Server(house.data_dir, POLICY_SERVICE_LEDGER_FREE_WARNING_MB="2") as server:
        assert house.ask(server).status_code == 200
        assert server.call("GET", "/readyz", None).json()["ledger"]["warnings"] == []
        ballast = fill(house.folder, leave=1_000_000)
        assert house.ask(server).status_code == 200
        assert server.call("GET", "/readyz", None).json()["ledger"]["warnings"] == ["ledger_space_low"]
        fill(house.folder)
        while (response := house.ask(server, context={"ticket": "x" * 3000})).status_code == 200:
            pass
        assert problem_code(response, 503) == "ledger_full"
        assert problem_code(server.call("GET", "/readyz", None), 503) == "ledger_full"
        assert house.recorded() == house.answered
        ballast.unlink()
        assert server.call("GET", "/readyz", None).status_code == 200
        assert house.ask(server).status_code == 200
        assert house.recorded() == house.answered
        server.stop()
        assert house.recorded() == house.answered


def test_a_read_only_folder_is_told_at_start(house: House) -> None:
    with small_disk(house.folder):
        remount(house.folder, "ro")
        done = command("serve", "--port", "0", "--data-dir", house.data_dir)
        line = one_line(done)
        assert "read-only file system" in line
        assert str(house.folder) in line
        remount(house.folder, "rw")
        with Server(house.data_dir) as server:
            assert house.ask(server).status_code == 200


def test_a_torn_line_after_a_kill_is_cut_kept_and_told(house: House) -> None:
    """The shard is closed at the next start with what it holds; nothing answered is lost."""
    server = Server(house.data_dir)
    house.ask(server)
    house.ask(server)
    server.stop(signal.SIGKILL)
    (shard,) = shards(house.folder)
    (segment,) = contents(house.folder)[shard]
    with segment.plain.open("ab") as file:
        file.write(b'{"at":"17')
    with Server(house.data_dir) as server:
        assert f"closing the shard {shard} of a process that is gone: 2 records" in server.text()
        assert "was torn: its 9 bytes" in server.text()
        assert house.ask(server).status_code == 200
        assert server.call("GET", "/readyz", None).json()["ledger"]["warnings"] == []
    assert segment.torn.read_bytes() == b'{"at":"17'
    assert house.recorded() == house.answered
    assert [action for action, _ in house.shard_changes()] == [
        "ledger_shard.open",
        "ledger_shard.close",
        "ledger_shard.open",
        "ledger_shard.close",
    ]


def test_a_live_file_that_is_deleted_ends_the_deciding(house: House) -> None:
    """What it held cannot be had any more: nobody is answered, the shard stays open, the next start says so."""
    with Server(house.data_dir, POLICY_SERVICE_CHECKPOINT_INTERVAL_S="0.1") as server:
        house.ask(server)
        (segment,) = contents(house.folder)[shards(house.folder)[0]]
        until(lambda: segment.hashes.exists() and segment.hashes.stat().st_size == 32)
        segment.plain.unlink()
        assert problem_code(house.ask(server), 503) == "ledger_unavailable"
        assert problem_code(server.call("GET", "/readyz", None), 503) == "ledger_unavailable"
    assert "the shard stays open" in server.text()
    with Server(house.data_dir) as server:
        assert server.call("GET", "/readyz", None).json()["ledger"]["warnings"] == ["ledger_shard_unclosed"]
        assert house.ask(server).status_code == 200


def test_checkpoints_leave_the_machine_and_segments_are_sealed(house: House, tmp_path: Path) -> None:
    settings = {
        "POLICY_SERVICE_CHECKPOINT_INTERVAL_S": "0.1",
        "POLICY_SERVICE_CHECKPOINT_SINK": f"file:{tmp_path / 'kept'}",
        "POLICY_SERVICE_LEDGER_SEGMENT_BYTES": "4096",
    }
    with Server(house.data_dir, **settings) as server:
        for _ in range(20):
            assert house.ask(server).status_code == 200
        (shard,) = shards(house.folder)
        until(lambda: sum(segment.packed.exists() for segment in contents(house.folder)[shard]) > 1)
    assert house.recorded() == house.answered
    kept = house.checkpoints(tmp_path / "kept")
    assert [one.size for one in kept] == sorted(one.size for one in kept)
    assert (kept[-1].size, kept[-1].shard, kept[-1].open_shards) == (20, shard, (shard,))


def test_two_servers_on_one_ledger_have_a_shard_each(house: House) -> None:
    """The second closes nothing of the first, and each closes its own."""
    with Server(house.data_dir) as one:
        house.ask(one)
        with Server(house.data_dir) as two:
            house.ask(two)
            house.ask(one)
        house.ask(one)
    assert sorted(house.recorded()) == sorted(house.answered)
    assert [action for action, _ in house.shard_changes()] == [
        "ledger_shard.open",
        "ledger_shard.open",
        "ledger_shard.close",
        "ledger_shard.close",
    ]
    assert not list(house.folder.glob("*.lock"))


def test_a_store_that_was_set_back_is_told(house: House) -> None:
    """A checkpoint names a change that this store does not have: somebody rewrote the facts, or restored old ones."""
    before = (house.data_dir / "policy.db").read_bytes()
    with Server(house.data_dir) as server:
        house.ask(server)
    for path in house.data_dir.glob("policy.db-*"):
        path.unlink()
    (house.data_dir / "policy.db").write_bytes(before)
    with Server(house.data_dir) as server:
        assert "set back or rewritten" in server.text()
        assert server.call("GET", "/readyz", None).json()["ledger"]["warnings"] == ["ledger_contradicted"]
        assert house.ask(server).status_code == 200


def test_a_data_directory_comes_with_a_signing_key_that_stays(house: House) -> None:
    """Made once, private, and published; a second `init` keeps it."""
    key = house.data_dir / "signing.key"
    before = key.read_bytes()
    assert (key.stat().st_mode & 0o777, house.folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert before.startswith(b"PRIVATE+KEY+policy-service/")
    answer("init", "--data-dir", house.data_dir)
    assert key.read_bytes() == before
    assert len(load_verifiers(house.data_dir / "signing.pub")) == 1


def test_a_lost_signing_key_is_never_made_anew(house: House) -> None:
    """Another key would be another log: whoever lost it is told, by `init` and by `serve`."""
    (house.data_dir / "signing.key").unlink()
    for arguments in (("init",), ("serve", "--port", "0")):
        line = one_line(command(*arguments, "--data-dir", house.data_dir))
        assert "[missing_signing_key]" in line
        assert "restore it from a backup" in line
    with Server(house.data_dir, POLICY_SERVICE_LEDGER_DURABILITY="off") as server:
        assert house.ask(server).status_code == 200


def test_a_sink_that_is_none_is_told_at_start(house: House) -> None:
    line = one_line(command("serve", "--port", "0", "--data-dir", house.data_dir, POLICY_SERVICE_CHECKPOINT_SINK="s3"))
    assert "[invalid_checkpoint_sink]" in line
