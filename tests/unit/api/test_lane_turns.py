"""Requests that come in one turn of the event loop: decided together, and nobody answers for another."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from policy_service.api.lane import FREE, State
from policy_service.api.lane_turns import MOST_BYTES
from policy_service.api.plain_questions import read_question
from policy_service.api.tracing import Trace
from policy_service.service.deciding.decisions import Ask
from policy_service.service.peppers import Peppers
from tests.lanes import Lanes, asked, plain, run, state


@pytest.fixture
def lanes() -> Lanes:
    """An application of its own."""
    return Lanes()


def test_the_requests_of_one_turn_are_decided_together_and_recorded_in_one_write(lanes: Lanes) -> None:
    """Of whichever connection; each answer goes to the one that asked."""

    async def scenario() -> None:
        wires = [lanes.connect(lanes.lane) for _ in range(5)]
        for number, wire in enumerate(wires):
            wire.protocol.data_received(plain(lanes, f"X-Request-Id: of-{number}"))
            assert state(wire) is State.ANSWERING
            assert not wire.transport.written
        await asyncio.sleep(0)
        for number, wire in enumerate(wires):
            assert state(wire) is FREE
            assert b"x-request-id: of-%d\r\n" % number in wire.transport.written
        assert [len(written) for written in lanes.log.writes] == [5]

    run(scenario)


def test_a_turn_with_much_to_answer_is_answered_before_it_is_over(lanes: Lanes) -> None:
    """Else those who came first would wait for all of it, and its records would be in no cache any more."""

    async def scenario() -> None:
        wires = [lanes.connect(lanes.lane) for _ in range(8)]
        long = json.dumps({"scope": "a:b", "resource": "pipeline:x", "context": {"big": "x" * 7000}}).encode()
        for number in range(3 * MOST_BYTES // len(long)):
            wires[number % 8].protocol.data_received(asked(long, key=lanes.keys["operator"]))
            if state(wires[number % 8]) is State.ANSWERING and number % 8 == 7:
                await asyncio.sleep(0)
        assert max(map(len, lanes.log.writes)) <= MOST_BYTES // len(long) + 1

    run(scenario)


def test_the_trouble_of_one_is_no_trouble_of_those_of_the_same_turn(lanes: Lanes) -> None:
    """One key is under a pepper that is not loaded, one request is too large: theirs alone is refused."""
    peppers = lanes.house.peppers
    before = Peppers(peppers.current, peppers._peppers)
    peppers.adopt(peppers.with_pepper("p2", b"2" * 32))
    lost = lanes.house.key("acme", principal="lost")
    lanes.house.replica.catch_up()
    vars(peppers).update(vars(before), generation=7)

    async def scenario() -> None:
        bodies = [
            {"scope": "a:b", "resource": "pipeline:x"},
            {"scope": "a:b", "resource": "pipeline:x", "key": lost.text},
            {"scope": "a:b", "resource": "pipeline:x", "context": {"big": "x" * 9000}},
            {"scope": "a:b", "resource": "pipeline:x"},
        ]
        wires = [lanes.connect(lanes.lane) for _ in bodies]
        for wire, body in zip(wires, bodies, strict=True):
            wire.protocol.data_received(asked(json.dumps(body).encode(), key=lanes.keys["operator"]))
        await asyncio.sleep(0)
        assert [int(wire.transport.written[9:12]) for wire in wires] == [200, 503, 413, 200]
        assert len(lanes.log.lines()) == 2

    run(scenario)


def test_a_turn_that_cannot_be_answered_ends_its_connections(lanes: Lanes, caplog: pytest.LogCaptureFixture) -> None:
    """They would wait for ever. It is a bug, and the log has it; nothing that callers sent is in there."""

    def breaks(*_: Any) -> Any:
        raise ZeroDivisionError("strange")

    lanes.lane.answers.answer_row = breaks

    async def scenario() -> None:
        wires = [lanes.connect(lanes.lane) for _ in range(2)]
        for wire in wires:
            wire.protocol.data_received(plain(lanes))
        await asyncio.sleep(0)
        assert all(wire.transport.is_closed and not wire.transport.written for wire in wires)

    run(scenario)
    assert "requests could not be answered" in caplog.text
    assert lanes.keys["operator"] not in caplog.text


def test_a_bug_in_reading_one_request_is_a_500_for_that_one(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of the same turn are answered."""

    def breaks_once(body: bytes, trace: Trace) -> Ask | None:
        if trace.request_id == "bad":
            raise ZeroDivisionError("strange")
        return read_question(body, trace)

    monkeypatch.setattr("policy_service.api.lane_answers.read_question", breaks_once)

    async def scenario() -> None:
        wires = [lanes.connect(lanes.lane) for _ in range(3)]
        for wire, name in zip(wires, ("good", "bad", "fine"), strict=True):
            wire.protocol.data_received(plain(lanes, f"X-Request-Id: {name}"))
        await asyncio.sleep(0)
        assert [int(wire.transport.written[9:12]) for wire in wires] == [200, 500, 200]

    run(scenario)
    assert "unexpected ZeroDivisionError" in caplog.text
