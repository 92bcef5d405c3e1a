"""The commands that read a ledger, on a data directory that a server left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_service.ledger.codec import encode_record
from policy_service.ledger.layout import Segment
from tests.e2e.processes import answer, command, one_line
from tests.ledger_houses import LedgerHouse, filled, key_of


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerHouse]:
    made = filled(tmp_path_factory.mktemp("house") / "data")
    yield made
    made.close()


def newest_first(house: LedgerHouse) -> list[str]:
    records = [record for records in house.written.values() for record in records]
    return [record.id for record in sorted(records, key=lambda record: -int(record.at))]


def test_verify_is_green_and_names_the_first_bad_record(house: LedgerHouse, tmp_path: Path) -> None:
    """Exit 0 and one line; then exit 1 and the place of the altered line."""
    done = command("ledger", "verify", "--data-dir", house.data_dir)
    assert done.returncode == 0, done.stderr
    assert "35 records in 2 shards, 32 under 7 checkpoints" in done.stdout
    copy = tmp_path / "data"
    shutil.copytree(house.data_dir, copy)
    shard = list(house.written)[1]
    plain = Segment(copy / "ledger", shard, 2).plain
    plain.write_bytes(plain.read_bytes().replace(b'"deny"', b'"allow"', 1))
    report = answer("ledger", "verify", "--data-dir", copy, expect=1)
    found = report["findings"][0]
    assert not report["ok"]
    assert (found["code"], found["file"]) == ("record_altered", plain.name)
    bad = house.written[shard][found["number"] - 1]
    assert (bad.decision, found["record"]) == ("deny", bad.id)


def test_what_a_checkpoint_prints_verify_takes_back(house: LedgerHouse, tmp_path: Path) -> None:
    """And one that another key signed it refuses."""
    kept = tmp_path / "kept"
    kept.write_text(command("ledger", "checkpoint", "--all", "--data-dir", house.data_dir).stdout)
    assert command("ledger", "verify", "--data-dir", house.data_dir, "--against", kept).returncode == 0
    kept.write_text(kept.read_text().replace("\n16\n", "\n15\n"))
    assert "[unfit_checkpoint]" in one_line(
        command("ledger", "verify", "--data-dir", house.data_dir, "--against", kept)
    )
    assert len(answer("ledger", "checkpoint", "--data-dir", house.data_dir)["data"]) == 1


def test_a_proof_holds_with_the_public_key_alone(house: LedgerHouse, tmp_path: Path) -> None:
    """Away from the data directory; altered, it does not; what no checkpoint reaches has none."""
    proof, key = tmp_path / "record.tlog-proof", tmp_path / "log.pub"
    shutil.copy(house.data_dir / "signing.pub", key)
    for record in [records[0] for records in house.written.values()]:
        done = command("ledger", "prove", record.id, "--out", proof, "--data-dir", house.data_dir)
        assert done.returncode == 0, done.stderr
        away = ("--public-key", key, "--data-dir", tmp_path / "nowhere")
        proven = answer("ledger", "prove", "--check", proof, *away)
        assert (proven["record"], proven["line"].encode()) == (record.id, encode_record(record))
    proof.write_text(proof.read_text().replace("index 0", "index 1"))
    assert command("ledger", "prove", "--check", proof, "--public-key", key).returncode == 1
    tail = list(house.written.values())[1][-1]
    for record_id, code in ((tail.id, "not_covered"), ("D" * 22, "unknown_record")):
        done = command("ledger", "prove", record_id, "--data-dir", house.data_dir)
        assert done.returncode == 1
        assert f"[{code}]" in done.stderr


def test_query_finds_records_as_lines_and_as_a_table(house: LedgerHouse) -> None:
    """Newest first, unless told otherwise; lines are those of the ledger, byte for byte."""
    done = command("ledger", "query", "--json", "--data-dir", house.data_dir)
    ids = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert ids == newest_first(house)
    lines = {encode_record(record).decode() for records in house.written.values() for record in records}
    assert set(done.stdout.splitlines()) == lines
    done = command("ledger", "query", "--oldest", "--decision", "deny", "--limit", "2", "--data-dir", house.data_dir)
    assert done.stdout.count("role_not_granted") == 2
    assert "there are more" in done.stderr
    assert "none" in command("ledger", "query", "--key", "K9", "--data-dir", house.data_dir).stderr
    assert "allow or deny" in one_line(command("ledger", "query", "--decision", "no", "--data-dir", house.data_dir))


def test_sql_sees_every_file_as_one_view(house: LedgerHouse) -> None:
    """Plain and sealed segments; and says in one line what is wrong with a query."""
    pytest.importorskip("duckdb")
    query = "SELECT decision, count(*) AS n FROM decisions GROUP BY ALL ORDER BY ALL"
    done = command("ledger", "query", "--sql", query, "--json", "--data-dir", house.data_dir)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"decision": "allow", "n": 24},
        {"decision": "deny", "n": 11},
    ]
    wrong = command("ledger", "query", "--sql", "SELECT nothing FROM decisions", "--data-dir", house.data_dir)
    assert "[invalid_sql]" in one_line(wrong)


def test_export_copies_lines_and_makes_parquet(house: LedgerHouse, tmp_path: Path) -> None:
    """By time; an export is read like any ledger, and never replaces a file."""
    out = tmp_path / "records.jsonl"
    command("ledger", "export", out, "--data-dir", house.data_dir)
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == newest_first(house)[::-1]
    assert "[unwritable]" in one_line(command("ledger", "export", out, "--data-dir", house.data_dir))
    duckdb = pytest.importorskip("duckdb")
    parquet = tmp_path / "records.parquet"
    told = answer("ledger", "export", parquet, "--decision", "deny", "--data-dir", house.data_dir)
    assert told["data"]["records"] == 11
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT count(*) FROM '{parquet}'").fetchone() == (11,)


def test_tail_ends_with_the_newest(house: LedgerHouse) -> None:
    """A line each."""
    done = command("ledger", "tail", "-n", "3", "--json", "--data-dir", house.data_dir)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == newest_first(house)[:3][::-1]


def test_no_ledger_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    """For each of the commands."""
    for verb in (("verify",), ("query",), ("tail",), ("export", tmp_path / "x")):
        assert "--data-dir" in one_line(command("ledger", *verb, "--data-dir", tmp_path))


def test_a_receipt_tells_denials_late_allows_and_violations_apart(tmp_path: Path) -> None:
    """The last is a failure; the receipt of another change does not hold."""
    house = LedgerHouse(tmp_path / "data")
    local = ("--data-dir", house.data_dir, "--workspace", "demo")
    key_id = answer("keys", "list", *local)["data"][0]["id"]
    shard = house.open_shard()
    old = house.store.version_token()
    receipt = tmp_path / "receipt.json"
    assert command("keys", "revoke", key_id, "--receipt", receipt, *local).returncode == 0
    document = json.loads(receipt.read_text())
    assert document == answer("keys", "revoke", key_id, *local)["data"]["receipt"]
    at = int(document["revoked_at"])
    before = {"revision": old[0], "chain": old[1], **key_of(key_id)}
    house.write(shard, 1, 1, at=str(at - 5), decision="allow", reason="allowed", **before)
    house.write(shard, 1, 1, at=str(at + 2_000_000), decision="allow", reason="allowed", **before)
    house.write(shard, 1, 1, at=str(at + 9_000_000), decision="deny", reason="revoked_key", **key_of(key_id))
    verify = ("ledger", "verify", "--revocation", receipt, "--data-dir", house.data_dir)
    report = answer(*verify)["revocation"]
    assert (report["decisions"], report["denied"], report["longest_lag_ns"]) == (2, 1, 2_000_000)
    assert "1 late allow, the longest 2.0 ms after it" in command(*verify).stdout
    house.write(shard, 1, 1, at=str(at + 10_000_000), decision="allow", reason="allowed", **key_of(key_id))
    report = answer(*verify, expect=1)["revocation"]
    assert len(report["violations"]) == 1
    receipt.write_text(json.dumps({**document, "change_hash": "0" * 64}))
    assert "the receipt does not hold" in command(*verify).stdout
    receipt.write_text("{}")
    assert "[unfit_receipt]" in one_line(command(*verify))
    house.close()
