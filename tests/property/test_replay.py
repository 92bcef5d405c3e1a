"""Replay: every recorded decision comes out again, in any order, and one that was altered is reported."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy_service.engine.decide import decide
from policy_service.engine.program import Sight
from policy_service.engine.seen import seen_part
from policy_service.engine.snapshot import Snapshot
from policy_service.ledger.reader import sources
from policy_service.ledger.record import DecisionRecord, RecordedRequest, request_of
from policy_service.model.changes import Change
from policy_service.model.request import Request
from policy_service.service.auditing.replay import ReplayOptions, replay
from policy_service.service.auditing.replay_report import ReplayReport
from policy_service.service.caller import Caller
from policy_service.service.ports import Decided
from policy_service.service.recording.record_lines import write_request
from tests.property.drawing import pick
from tests.property.strategies import NOW, Case, cases, draw_request, draw_workspace, draw_world
from tests.reference_records import encode_request, line_of, recorded_request
from tests.worlds import Feed, Programs, activation, program_of

CALLER = Caller(actor="key:callerKey000", workspace="system", is_operator=True, key_id="callerKey000", scope=None)


class Past(msgspec.Struct):
    """An archive in memory, and the lines that were recorded in it."""

    feed: list[Change]
    files: dict[str, dict[str, str]]
    lines: list[bytes]

    def changes(self) -> Iterable[Change]:
        return iter(self.feed)

    def bundle_files(self, digest: str) -> dict[str, str] | None:
        return self.files.get(digest)


def recorded(request: Request, snapshot: Snapshot, now: int, number: int) -> bytes:
    """The line of a decision."""
    decision = decide(request, snapshot, now)
    return line_of(
        Decided(
            decision_id=f"D{number:021d}",
            caller=CALLER,
            request=request,
            decision=decision,
            chain=snapshot.chain_hash,
            asked=write_request(request),
            facts=seen_part(request, snapshot, decision, Sight()),
        )
    )


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    """A world that changes, policy and all, and what was decided in it meanwhile."""
    worlds = [draw_world(draw) for _ in range(pick(draw, (1, 2)))]
    programs = [program_of(world.files()) for world in worlds]
    files = {program.digest: world.files() for program, world in zip(programs, worlds, strict=True)}
    feed, snapshot, lines = Feed(), Snapshot(Programs(*programs)), []
    feed.put(*worlds[0].facts, *activation(programs[0]))
    snapshot.apply(feed.changes[-1])
    for _ in range(pick(draw, range(1, 5))):
        asked = [draw_request(draw, worlds[0]) for _ in range(pick(draw, range(1, 4)))]
        for request in [*asked, *asked]:
            lines.append(recorded(request, snapshot, pick(draw, (NOW - 1, NOW, NOW + 1)), len(lines)))
        if pick(draw, (True, False)):
            feed.put(*activation(pick(draw, programs)))
        else:
            feed.put(*draw_workspace(draw, "acme", rich=True))
        snapshot.apply(feed.changes[-1])
    return Past(feed.changes, files, lines)


def replayed(past: Past, shards: Sequence[Sequence[bytes]], **options: Any) -> ReplayReport:
    """The report of these lines, each sequence a file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for number, lines in enumerate(shards):
            (Path(folder) / f"{number}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
        return replay(past, sources([Path(folder)]), ReplayOptions(**options))


@given(pasts())
def test_every_record_comes_out_again(past: Past) -> None:
    report = replayed(past, [past.lines])

    assert report.is_clean, report.findings
    assert report.same == report.records == len(past.lines)


@given(pasts())
def test_with_nothing_kept_every_record_comes_out_alike(past: Past) -> None:
    assert replayed(past, [past.lines], kept=0) == replayed(past, [past.lines]) == replayed(past, [past.lines], kept=1)


def altered(line: bytes, data: st.DataObject) -> tuple[bytes, str]:
    """The line with one derived member changed, and which."""
    record = json.loads(line)
    name = data.draw(st.sampled_from(["decision", "reason", "rule", "check", "workspace", "bundle", "chain", "facts"]))
    if name == "facts":
        name = "facts.registered"
        record["facts"]["registered"] = not record["facts"].get("registered", False)
    elif name == "decision":
        record[name] = "deny" if record[name] == "allow" else "allow"
    else:
        record[name] = record.get(name, "") + "x"
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(), name


@given(pasts(), st.data())
def test_an_altered_record_is_reported_and_no_other(past: Past, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(past.lines) - 1))
    lines = list(past.lines)
    lines[number], name = altered(lines[number], data)

    report = replayed(past, [lines])

    (finding,) = report.findings
    assert finding.record == msgspec.json.decode(lines[number], type=DecisionRecord).id
    assert [difference.field for difference in finding.differences] == [name]
    assert report.same == len(lines) - 1


@given(pasts(), st.randoms(use_true_random=False), st.integers(1, 4), st.data())
def test_order_and_shards_change_nothing(past: Past, chance: random.Random, count: int, data: st.DataObject) -> None:
    lines = list(past.lines)
    lines[0], _ = altered(lines[0], data)
    expected = replayed(past, [lines])
    chance.shuffle(lines)
    shards: list[list[bytes]] = [[] for _ in range(count)]
    for line in lines:
        chance.choice(shards).append(line)

    assert replayed(past, shards, run_bytes=chance.choice((1, 2000, 1 << 20))) == expected


@given(cases())
def test_requests_of_every_kind_come_out_again(case: Case) -> None:
    program = program_of(case.world.files())
    feed = Feed()
    feed.put(*case.world.facts, *activation(program))
    snapshot = Snapshot(Programs(program))
    snapshot.apply(feed.changes[0])
    lines = [recorded(request, snapshot, now, number) for number, (request, now) in enumerate(case.asked)]

    report = replayed(Past(feed.changes, {program.digest: case.world.files()}, lines), [lines])

    assert report.same == len(lines), report.findings


@given(cases())
def test_the_request_of_a_record_is_read_alike_both_ways(case: Case) -> None:
    """Quickly from its bytes, and from the whole record."""
    for request, _ in case.asked:
        asked = recorded_request(request, fingerprint="f" * 32)
        quick = msgspec.json.decode(encode_request(asked), type=Request)
        whole = request_of(msgspec.json.decode(encode_request(asked), type=RecordedRequest))
        assert repr(quick) == repr(whole)
