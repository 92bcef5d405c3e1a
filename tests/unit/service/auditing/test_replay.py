"""Replay: what is compared, what is told of what cannot be, and how records are taken in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policy_service.ledger.reader import sources
from policy_service.service.auditing.record_order import RecordOrder, Unread
from policy_service.service.auditing.replay import ReplayOptions, replay
from policy_service.service.auditing.replay_report import Difference, ReplayReport, UnreadLine, pairs
from tests.unit.service.house import OPERATOR, OTHER_FILES
from tests.unit.service.recorded import Recorded


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    """A key was asked for before and after its rules changed and it was revoked."""
    past = Recorded(tmp_path)
    house = past.house
    key = house.key()
    past.ask(key.text, None, "psx_nonsense", key.text, resource="pipeline:locked-1")
    published = house.bundles.publish(OPERATOR, OTHER_FILES)
    assert published.fact is not None
    house.bundles.activate(OPERATOR, published.fact.digest)
    past.ask(key.text, key.text, resource="pipeline:locked-1")
    house.admin.revoke_key(OPERATOR, "acme", key.api_key.id, reason="leaked")
    past.ask(key.text)
    return past


def changed(line: bytes, **members: Any) -> bytes:
    """The line with other members, canonical."""
    record = {**json.loads(line), **members}
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_everything_comes_out_again_across_changes_of_rules_and_facts(recorded: Recorded) -> None:
    report = recorded.replayed()

    assert report.is_clean
    assert (report.records, report.same) == (7, 7)
    assert sorted(report.bundles.values()) == [3, 4]
    assert report.first_revision is not None
    assert report.last_revision == recorded.house.store.head()


OTHERWISE: dict[str, Any] = {
    "v": 2,
    "at": "01",
    "semantics": 9,
    "workspace": "other",
    "request": {"credential": {"outcome": "unknown"}, "scope": "x", "resource": {"type": "x", "id": "x"}},
    "facts": {"address": "192.0.2.9"},
    "decision": "maybe",
    "reason": "made_up",
    "revision": 10_000,
    "chain": "0" * 64,
    "bundle": "sha256:0",
    "principal": {"kind": "user", "id": "mallory"},
    "check": "made_up",
    "rule": "made_up",
}


@pytest.mark.parametrize("number", [0, 1, 2, 4])
@pytest.mark.parametrize("name", sorted(OTHERWISE))
def test_each_member_is_compared_or_decides(recorded: Recorded, name: str, number: int) -> None:
    """In a record that comes first, in one whose like came before, and where no key was known: it is never the same."""
    lines = recorded.lines()
    lines[number] = changed(lines[number], **{name: OTHERWISE[name]})

    report = recorded.replayed(lines)

    assert report.same == 6
    assert not report.is_clean or report.other_semantics == {9: 1}


@pytest.mark.parametrize("name", ["principal", "check", "rule", "facts"])
def test_a_member_that_is_left_out_is_missed(recorded: Recorded, name: str) -> None:
    lines = recorded.lines()
    number = next(number for number, line in enumerate(lines) if name in json.loads(line))
    record = json.loads(lines[number])
    lines[number] = changed(lines[number], **{name: {} if name == "facts" else None})
    assert record[name]

    assert (
        recorded.replayed(lines).differ + recorded.replayed(lines).not_replayed + len(recorded.replayed(lines).unread)
        == 1
    )


def test_a_difference_shows_both_values(recorded: Recorded) -> None:
    lines = recorded.lines()
    lines[0] = changed(lines[0], reason="made_up")

    (finding,) = recorded.replayed(lines).findings

    assert (finding.code, finding.record) == ("differs", json.loads(lines[0])["id"])
    assert finding.differences == (Difference("reason", "made_up", "locked"),)


@pytest.mark.parametrize(("recorded_value", "again"), [(True, 1), (1, 1.0), ({"a": [1]}, {"a": [True]}), (0.0, -0.0)])
def test_one_number_is_not_another_kind_of_number(recorded_value: Any, again: Any) -> None:
    """They are equal to Python, and other texts in a record."""
    assert pairs([("x", recorded_value, again)]) == (Difference("x", recorded_value, again),)
    assert not pairs([("x", again, again)])


def test_records_of_another_meaning_are_counted_apart(recorded: Recorded) -> None:
    lines = [changed(line, semantics=7, decision="allow") for line in recorded.lines()[:2]] + recorded.lines()[2:]

    report = recorded.replayed(lines)

    assert report.is_clean
    assert report.other_semantics == {7: 2}
    assert report.same == 5


def test_lines_that_are_no_records_are_told_with_their_place(recorded: Recorded) -> None:
    lines = recorded.lines()
    lines[1:3] = [changed(lines[1], v=2), b"{"]

    report = recorded.replayed(lines)

    path = str(recorded.folder / "records.jsonl")
    assert [(line.file, line.line, line.code) for line in report.unread_lines] == [
        (path, 2, "unknown_schema"),
        (path, 3, "malformed_line"),
    ]
    assert "schema 2" in report.unread_lines[0].message
    assert not report.is_clean
    assert report.same == 5


def test_a_torn_last_line_is_told_and_no_fault(recorded: Recorded) -> None:
    found = recorded.written()
    with found[0].path.open("ab") as file:
        file.write(b'{"at":')

    report = replay(recorded.archive(), found)

    assert report.is_clean
    assert report.unread == {"torn_line": 1}


def test_facts_that_are_not_those_of_the_record_are_said_so(recorded: Recorded) -> None:
    """Nothing else is compared then: it would be on other facts."""
    lines = [changed(recorded.lines()[0], chain="0" * 64, reason="made_up")]

    (finding,) = recorded.replayed(lines).findings

    assert finding.code == "facts_differ"
    assert [difference.field for difference in finding.differences] == ["chain"]


def test_a_record_newer_than_the_facts_cannot_be_replayed(recorded: Recorded) -> None:
    (finding,) = recorded.replayed([changed(recorded.lines()[0], revision=10_000)]).findings

    assert finding.code == "not_replayed"
    assert finding.message.startswith("the changes end at revision")


def test_a_record_before_any_policy_cannot_be_replayed(recorded: Recorded) -> None:
    (finding,) = recorded.replayed([changed(recorded.lines()[0], revision=1)]).findings

    assert (finding.code, finding.message[:16]) == ("not_replayed", "no policy is act")


@pytest.mark.parametrize("ruin", ["missing", "unreadable", "damaged"])
def test_a_bundle_that_cannot_be_had_is_a_finding(recorded: Recorded, ruin: str) -> None:
    """Records under other bundles are replayed all the same."""
    texts = recorded.house.store.texts
    digest = json.loads(recorded.lines()[0])["bundle"]
    if ruin == "missing":
        del texts[digest]
    elif ruin == "unreadable":
        texts[digest]["chain.yaml"] = "chain: 1"
    else:
        texts[digest] = next(files for name, files in texts.items() if name != digest)

    report = recorded.replayed()

    assert (report.same, report.not_replayed, report.differ) == (3, 4, 0)
    assert list(report.troubles) == [digest]
    assert digest in report.findings[0].message


def test_a_change_that_was_altered_stops_the_facts_there(recorded: Recorded) -> None:
    """Records before it are replayed; those after it cannot be, and the changes are said to be broken."""
    store = recorded.house.store
    store.changes[-1] = msgspec.structs.replace(store.changes[-1], note="another")

    report = recorded.replayed()

    assert (report.same, report.not_replayed) == (6, 1)
    assert "revision" in report.troubles["changes"]


@pytest.mark.parametrize("at", ["+5", " 5", "05", "five", ""])
def test_an_instant_in_another_spelling_is_found(recorded: Recorded, at: str) -> None:
    assert not recorded.replayed([changed(recorded.lines()[1], at=at)]).is_clean


def test_an_instant_past_all_years_is_no_trouble(recorded: Recorded) -> None:
    report = recorded.replayed([changed(recorded.lines()[1], at="9" * 5000)])

    assert not report.is_clean


def test_only_wanted_lines_count(recorded: Recorded) -> None:
    report = recorded.replayed(wanted=lambda text: b'"decision":"allow"' in text)

    assert report.records == report.same == 2


def test_findings_are_bounded_and_the_first_of_all(recorded: Recorded) -> None:
    lines = [changed(line, reason="made_up") for line in recorded.lines()]

    report = recorded.replayed(reversed(lines), shown=2)

    assert report.differ == 7
    assert [finding.record for finding in report.findings] == [json.loads(line)["id"] for line in lines[:2]]


def order(recorded: Recorded, lines: list[bytes], **options: Any) -> tuple[RecordOrder, list[list[int]]]:
    """How these lines are taken: the revisions of each pass."""
    taken = RecordOrder(recorded.written(lines), lambda _unread: None, **options)
    return taken, [[line.revision for group in groups for line in group.lines] for groups in taken.passes()]


def test_what_is_in_order_is_not_sorted_again(recorded: Recorded) -> None:
    taken, passes = order(recorded, recorded.lines())

    assert taken.set_aside == 0
    assert len(passes) == 1


@pytest.mark.parametrize("run_bytes", [1, 1500, 1 << 20])
def test_lines_out_of_order_come_in_a_second_pass_sorted(recorded: Recorded, run_bytes: int) -> None:
    """In runs of any size, which are merged."""
    taken, passes = order(recorded, recorded.lines()[::-1], run_bytes=run_bytes)

    assert taken.set_aside == 6
    assert len(passes) == 2
    assert passes[1] == sorted(passes[1])


def test_shards_are_merged_and_segments_follow_each_other(recorded: Recorded) -> None:
    lines = recorded.lines()
    for name, part in (
        ("20270115T080000-AAAAAAAA.000001", lines[0:4:2]),
        ("20270115T080000-AAAAAAAA.000002", lines[4::2]),
        ("20270115T080000-BBBBBBBB.000001", lines[1::2]),
    ):
        recorded.written(part, f"{name}.jsonl")
    found = sources([recorded.folder])
    taken = RecordOrder(found, lambda _unread: None)

    (revisions,) = ([line.revision for group in groups for line in group.lines] for groups in taken.passes())

    assert revisions == sorted(revisions)
    assert len(revisions) == 7
    assert taken.set_aside == 0


def test_an_empty_line_is_no_record(recorded: Recorded) -> None:
    bad: list[Unread] = []
    lines = recorded.lines()
    lines.insert(2, b"")
    taken = RecordOrder(recorded.written(lines), bad.append)

    assert sum(len(group.lines) for groups in taken.passes() for group in groups) == 7
    assert [(unread.number, unread.code) for unread in bad] == [(3, "malformed_line")]


def test_progress_tells_of_every_byte(recorded: Recorded) -> None:
    told: list[int] = []
    found = recorded.written()

    replay(recorded.archive(), found, ReplayOptions(progress=told.append))

    assert sum(told) == found[0].path.stat().st_size


def test_no_records_are_a_clean_report(recorded: Recorded) -> None:
    report = recorded.replayed([])

    assert report.is_clean
    assert report == ReplayReport(
        records=0,
        same=0,
        differ=0,
        not_replayed=0,
        other_semantics={},
        by_code={},
        by_field={},
        unread={},
        bundles={},
        first_revision=None,
        last_revision=None,
        findings=(),
        unread_lines=(),
        troubles={},
    )


def test_lines_are_ordered_by_their_place() -> None:
    assert UnreadLine("a", 1, "x", "") < UnreadLine("a", 2, "x", "") < UnreadLine("b", 1, "x", "")
