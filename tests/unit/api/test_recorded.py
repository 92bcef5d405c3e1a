"""Answers and their records: none before its line, none where it cannot be written; and what operators see of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from policy_service.api.decide import answer_decide
from policy_service.api.incoming import Incoming
from policy_service.api.ledger_state import ledger_document, ledger_trouble
from policy_service.api.replies import Reply
from policy_service.ledger.codec import decode_record
from policy_service.ledger.record import MAX_REQUEST_BYTES, DecisionRecord
from policy_service.model.errors import StoreError
from policy_service.service.ports import CheckpointReport
from policy_service.service.recording.groups import Held
from policy_service.service.recording.recorder import Recorder
from tests.fakes import MemoryLog
from tests.unit.api.desk import ADMIN_SCOPES, Desk, problem_code, question
from tests.unit.service.house import House

FULL = StoreError("ledger_full", "there is no space left for decision records")


class Checkpoints:
    """A CheckpointState that says what it is told to."""

    age: float | None = None
    failure: StoreError | None = None
    soon: str | None = None
    done = CheckpointReport(signed=7, sign_failures=1, delivered=5, delivery_failures=2)

    def age_s(self) -> float | None:
        return self.age

    def trouble(self) -> StoreError | None:
        return self.failure

    def warning(self) -> str | None:
        return self.soon

    def report(self) -> CheckpointReport:
        return self.done


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture(params=["os", "fsync"])
def desk(request: pytest.FixtureRequest, log: MemoryLog) -> Iterator[Desk]:
    """A client with a key of `system`, of an application that records."""
    house = House(recorder=Recorder(request.param, log)).furnish()
    with Desk(house, key=house.key("system", principal="ops", scopes=ADMIN_SCOPES).text) as desk:
        yield desk


def records(log: MemoryLog) -> dict[str, DecisionRecord]:
    """What was written, by decision id; all of it can be read."""
    found = [decode_record(line) for line in log.lines()]
    assert all(isinstance(record, DecisionRecord) for record in found), found
    return {record.id: record for record in found if isinstance(record, DecisionRecord)}


def ask_in_every_way(desk: Desk, key: str) -> list[Any]:
    """A single question, an explained one, a batch of two."""
    body = question(key=key)
    return [
        desk.call("POST", "/decide", body),
        desk.call("POST", "/decide?explain=true", body),
        desk.call("POST", "/decide/batch", {"requests": [{**body, "id": "a"}, body]}),
    ]


def test_every_answered_decision_has_its_record(desk: Desk, log: MemoryLog) -> None:
    """Single, explained, in a batch: under the very id that was answered."""
    single, explained, batch = ask_in_every_way(desk, desk.house.key().text)
    answered = [single.json(), explained.json(), *batch.json()["results"]]
    written = records(log)
    assert [answer["decision_id"] for answer in answered] == list(written)
    for answer, record in zip(answered, written.values(), strict=True):
        assert (record.decision, record.reason) == (answer["decision"], answer["reason"])
        assert (record.revision, record.bundle) == (answer["revision"], answer["bundle"])
        assert record.request_id
        assert record.trace_id
    assert [record.item_id for record in written.values()] == [None, None, "a", None]


def test_what_cannot_be_written_is_not_answered_and_recovers_by_itself(desk: Desk, log: MemoryLog) -> None:
    """503 with the sink's own code in every way of asking, no decision counted, `/readyz` red; then all is well."""
    key = desk.house.key().text
    log.broken = FULL
    for answer in ask_in_every_way(desk, key):
        assert problem_code(answer, 503) == "ledger_full"
        assert "retry-after" in answer.headers
        assert "decision_id" not in answer.text
    assert problem_code(desk.call("GET", "/readyz"), 503) == "ledger_full"
    metrics = desk.call("GET", "/metrics").text
    assert 'decisions_total{decision="allow"' not in metrics
    assert "policy_service_ledger_writable 0.0" in metrics
    log.broken = None
    assert desk.call("GET", "/readyz").status_code == 200
    assert [answer.status_code for answer in ask_in_every_way(desk, key)] == [200, 200, 200]
    metrics = desk.call("GET", "/metrics").text
    assert 'decisions_total{decision="allow",reason="allowed"} 4.0' in metrics
    assert "policy_service_ledger_writable 1.0" in metrics
    assert "policy_service_ledger_failures_total 3.0" in metrics


def test_a_request_too_large_to_be_recorded_is_413(desk: Desk, log: MemoryLog) -> None:
    """Alone; in a batch it is that item's error. It was read to its end: the connection stays."""
    body = question(key=desk.house.key().text)
    huge = {**body, "context": {"note": "x" * MAX_REQUEST_BYTES}}
    answer = desk.call("POST", "/decide", huge)
    assert problem_code(answer, 413) == "request_too_large"
    assert answer.headers.get("connection") != "close"
    first, second = desk.call("POST", "/decide/batch", {"requests": [huge, body]}).json()["results"]
    assert first["error"]["code"] == "request_too_large"
    assert second["decision"] == "allow"
    assert len(log.lines()) == 1


def test_records_and_writes_are_counted(desk: Desk, log: MemoryLog) -> None:
    """A batch is one write of many records."""
    body = question(key=desk.house.key().text)
    desk.call("POST", "/decide", body)
    desk.call("POST", "/decide/batch", {"requests": [body] * 5})
    metrics = desk.call("GET", "/metrics").text
    assert "policy_service_ledger_records_total 6.0" in metrics
    assert f"policy_service_ledger_bytes_total {float(sum(map(len, log.lines())) + 6)}" in metrics
    assert "policy_service_ledger_records_per_write_count 2.0" in metrics
    assert "policy_service_ledger_records_per_write_sum 6.0" in metrics
    assert 'policy_service_ledger_records_per_write_bucket{le="4.0"} 1.0' in metrics
    assert 'policy_service_ledger_records_per_write_bucket{le="8.0"} 2.0' in metrics


def test_another_way_in_needs_no_task(desk: Desk, log: MemoryLog) -> None:
    """A protocol class asks many questions in one turn and sends each answer when its group tells it to."""
    caller, key = str(desk.key), desk.house.key().text
    desk.house.replica.catch_up()
    point = desk.app.state.site.point
    body = json.dumps(question(key=key)).encode()
    incoming = Incoming(((b"authorization", f"Bearer {caller}".encode()),), "192.0.2.7", b"", body)
    sent: list[Reply] = []

    def send(held: Held[Reply]) -> None:
        held.group.then(lambda: sent.append(point.final(held, incoming)))

    async def turn() -> None:
        answers = [answer_decide(point, incoming) for _ in range(5)]
        before = len(sent)
        for held in answers:
            assert held is not None
            send(held)
        assert len(sent) == before
        await answers[0].group.written()

    asyncio.run(turn())
    assert [reply.status for reply in sent] == [200] * 5
    assert [len(write) for write in log.writes] == [5]
    log.broken = FULL
    with contextlib.suppress(StoreError):
        asyncio.run(turn())
    assert [reply.status for reply in sent[5:]] == [503] * 5


def test_refused_callers_leave_no_record(desk: Desk, log: MemoryLog) -> None:
    """They are counters and log lines."""
    without_the_scope = desk.house.key().text
    assert desk.call("POST", "/decide", question(), key=None).status_code == 401
    assert desk.call("POST", "/decide", question(), key=without_the_scope).status_code == 403
    assert desk.call("POST", "/decide", {"scope": 1}).status_code == 400
    assert log.lines() == []


def test_what_is_in_sight_is_told_early(desk: Desk, log: MemoryLog) -> None:
    """Little space, and checkpoints that somebody should look at: warnings while it still works; then red."""
    desk.house.replica.catch_up()
    assert desk.house.recorder is not None
    durability = desk.house.recorder.durability
    assert desk.call("GET", "/readyz").json()["ledger"] == {"durability": durability, "warnings": []}
    log.soon = "ledger_space_low"
    assert desk.call("GET", "/readyz").json()["ledger"]["warnings"] == ["ledger_space_low"]
    assert "policy_service_ledger_warning 1.0" in desk.call("GET", "/metrics").text
    checkpoints = Checkpoints()
    services = msgspec.structs.replace(desk.services, checkpoints=checkpoints)
    checkpoints.soon = "checkpoint_late"
    assert ledger_document(services)["warnings"] == ["ledger_space_low", "checkpoint_late"]
    assert ledger_trouble(services) is None
    checkpoints.failure = StoreError("ledger_unavailable", "the tree does not fit its last checkpoint")
    assert ledger_trouble(services) is checkpoints.failure
    desk.app.state.site.meters.ledger.services = services
    assert "checkpoint_age" not in desk.call("GET", "/metrics").text
    checkpoints.age = 12.5
    metrics = desk.call("GET", "/metrics").text
    assert "policy_service_ledger_checkpoint_age_seconds 12.5" in metrics
    assert "policy_service_ledger_checkpoints_signed_total 7.0" in metrics
    assert "policy_service_ledger_checkpoints_sign_failures_total 1.0" in metrics
    assert "policy_service_ledger_checkpoints_delivered_total 5.0" in metrics
    assert "policy_service_ledger_checkpoints_delivery_failures_total 2.0" in metrics
