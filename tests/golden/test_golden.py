"""What was recorded under each meaning of the engine comes out again, for ever."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from policy_service.ledger.codec import decode_record, encode_record
from policy_service.ledger.reader import sources
from policy_service.ledger.record import DecisionRecord
from policy_service.model.decision import SEMANTICS
from policy_service.model.reasons import REASONS
from policy_service.service.auditing.replay import replay
from policy_service.service.auditing.replay_pack import PackArchive

FOLDERS = sorted(Path(__file__).parent.glob("semantics-*"))


def records(folder: Path) -> list[DecisionRecord]:
    """Every golden record, each as canonical as it was."""
    found = []
    for line in (folder / "records.jsonl").read_bytes().splitlines():
        record = decode_record(line)
        assert isinstance(record, DecisionRecord)
        assert encode_record(record) == line
        found.append(record)
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_golden_records_come_out_again(folder: Path) -> None:
    """Those of this meaning are the same in every field; those of another are counted apart."""
    version, count = int(folder.name.partition("-")[2]), len(records(folder))

    report = replay(PackArchive(folder / "pack.jsonl"), sources([folder / "records.jsonl"]))

    assert report.is_clean, msgspec.to_builtins(report.findings)
    assert report.same == (count if version == SEMANTICS else 0)
    assert report.other_semantics == ({} if version == SEMANTICS else {version: count})


def test_there_are_golden_records_of_this_meaning() -> None:
    assert f"semantics-{SEMANTICS}" in [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_golden_records_reach_every_reason(folder: Path) -> None:
    reached = {record.reason for record in records(folder)}

    assert set(REASONS) <= reached
    assert {"production_locked", "change_freeze"} <= reached, "authors' own codes too"
