"""The fast lane's own states: what it takes, holds back, and how it ends. tests/property/test_lane.py has equality."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from policy_service.api.entrance import EntranceSettings
from policy_service.api.lane import FREE, LaneProtocol, State, lane_protocol
from policy_service.model.address import Network, parse_network
from policy_service.model.errors import StoreError
from tests.fakes import MemoryLog
from tests.lanes import BODY, Lanes, asked, plain, run, state, until_closed
from tests.unit.service.house import OPERATOR


@pytest.fixture
def lanes() -> Lanes:
    """An application of its own."""
    return Lanes()


def slow_disk(lanes: Lanes) -> MemoryLog:
    """From now on records are synced, and that takes until the log is told to go on."""
    log = MemoryLog()
    log.is_slow = True
    recorder = lanes.house.recorder
    assert recorder is not None
    recorder.durability = "fsync"
    recorder.use(log)
    return log


def test_a_plain_request_makes_no_task(lanes: Lanes) -> None:
    """Nor does it meet uvicorn's parser."""

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        await wire.deliver([plain(lanes)] * 3)
        assert wire.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert wire.protocol.cycle is None
        assert state(wire) is State.FREE
        assert wire.protocol.server_state.total_requests == 3

    run(scenario)


def test_what_is_not_plain_takes_the_route_and_the_next_request_the_lane(lanes: Lanes) -> None:
    """Once the parser stands between two requests again."""

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        await wire.deliver([b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
        assert state(wire) is State.ROUTE
        await wire.deliver([plain(lanes)])
        assert state(wire) is State.FREE
        assert wire.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 2

    run(scenario)


def test_no_answer_leaves_before_its_record_is_synced(lanes: Lanes) -> None:
    """What comes meanwhile is kept, and reading pauses; then all is answered in its order."""

    async def scenario() -> None:
        log = slow_disk(lanes)
        wire = lanes.connect(lanes.lane)
        wire.protocol.data_received(plain(lanes, "X-Request-Id: one"))
        await asyncio.sleep(0.01)
        assert state(wire) is State.ANSWERING
        assert wire.transport.written == b""
        wire.protocol.data_received(plain(lanes, "X-Request-Id: two"))
        wire.protocol.data_received(b"GET /healthz HTTP/1.1\r\nX-Request-Id: three\r\n\r\n")
        assert wire.transport.is_paused
        log.go.set()
        await wire.settle()
        told = wire.transport.written
        assert told.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert told.index(b": one") < told.index(b": two") < told.index(b": three")
        assert not wire.transport.is_paused

    run(scenario)


def test_what_cannot_be_recorded_is_503_and_no_decision(lanes: Lanes) -> None:
    """The answer was ready; it is not sent."""

    async def scenario() -> None:
        lanes.log.broken = StoreError("ledger_full", "there is no space left for decision records")
        wire = lanes.connect(lanes.lane)
        await wire.deliver([plain(lanes)])
        assert wire.transport.written.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"decision_id" not in wire.transport.written
        lanes.log.broken = None
        await wire.deliver([plain(lanes)])
        assert b"HTTP/1.1 200 OK" in wire.transport.written

    run(scenario)


def test_on_shutdown_what_waits_for_its_sync_is_answered_and_the_connection_ends(lanes: Lanes) -> None:
    """One that waits for nothing ends at once."""

    async def scenario() -> None:
        log = slow_disk(lanes)
        idle, busy = lanes.connect(lanes.lane), lanes.connect(lanes.lane)
        busy.protocol.data_received(plain(lanes))
        await asyncio.sleep(0.01)
        for wire in (idle, busy):
            wire.protocol.shutdown()
        assert (idle.transport.is_closed, busy.transport.is_closed) == (True, False)
        log.go.set()
        await busy.settle()
        assert b"\r\nconnection: close\r\n\r\n" in busy.transport.written
        assert busy.transport.is_closed

    run(scenario)


def test_on_shutdown_a_request_in_coming_is_answered(lanes: Lanes) -> None:
    """Its head had been taken; the body may still come."""

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        request = plain(lanes)
        wire.protocol.data_received(request[:-5])
        assert state(wire) is State.GATHERING
        wire.protocol.shutdown()
        assert not wire.transport.is_closed
        await wire.deliver([request[-5:]])
        assert wire.transport.written.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n\r\n" in wire.transport.written
        assert wire.transport.is_closed

    run(scenario)


def test_a_body_in_pieces_is_gathered_for_callers_alone(lanes: Lanes) -> None:
    """A stranger's body is not awaited: the route says no before it comes."""

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        request = plain(lanes)
        await wire.deliver([request[:-40], request[-40:-20], request[-20:]])
        assert wire.protocol.cycle is None
        assert wire.transport.written.startswith(b"HTTP/1.1 200 OK\r\n")
        stranger = lanes.connect(lanes.lane)
        await stranger.deliver([asked(BODY, key="psx_nobody")[:-1]])
        assert stranger.transport.written.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        assert state(stranger) is State.ROUTE

    run(scenario)


def test_more_than_the_body_goes_to_the_route(lanes: Lanes) -> None:
    """A pipelined request that came with the rest of a gathered one."""

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        request = plain(lanes)
        await wire.deliver([request[:-5], request[-5:] + b"GET /healthz HTTP/1.1\r\n\r\n"])
        assert wire.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 2

    run(scenario)


def test_a_gathered_body_that_does_not_come_is_408(lanes: Lanes) -> None:
    """The bound of every request."""

    async def scenario() -> None:
        wire = lanes.connect(lane_protocol(lanes.app, 0.05))
        wire.protocol.data_received(plain(lanes)[:-5])
        await asyncio.sleep(0.1)
        assert wire.transport.written.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert wire.transport.is_closed

    run(scenario)


def test_a_client_that_does_not_read_is_left_to_the_route(lanes: Lanes) -> None:
    """Which waits until what was written is out."""

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        wire.protocol.pause_writing()
        wire.protocol.data_received(plain(lanes))
        assert state(wire) is State.ROUTE
        for _ in range(50):
            await asyncio.sleep(0)
        assert wire.transport.written == b""
        wire.protocol.resume_writing()
        await wire.settle()
        assert wire.transport.written.startswith(b"HTTP/1.1 200 OK\r\n")

    run(scenario)


@pytest.mark.parametrize("way", ["lane", "route"])
def test_half_closed_connections_get_their_answer(lanes: Lanes, way: str) -> None:
    """On either way; and then the connection ends."""

    async def scenario() -> None:
        wire = lanes.connect(getattr(lanes, way))
        wire.protocol.data_received(plain(lanes) * 2)
        assert wire.protocol.eof_received()
        await wire.settle()
        assert wire.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 2
        assert wire.transport.is_closed

    run(scenario)


def test_a_connection_is_let_go_when_it_was_idle_for_long_enough(lanes: Lanes) -> None:
    """Counted from the last answer, whoever gave it; one that is used stays."""

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        wire.protocol.timeout_keep_alive = 1.0  # type: ignore[assignment]  # uvicorn's own is whole seconds
        for request in (plain(lanes), b"GET /healthz HTTP/1.1\r\n\r\n", plain(lanes), plain(lanes)):
            await asyncio.sleep(0.3)
            await wire.deliver([request])
        assert not wire.transport.is_closed
        assert wire.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 4
        await until_closed(wire)

    run(scenario)


def test_the_timer_of_idle_connections_ends_none_that_waits_for_its_answer(lanes: Lanes) -> None:
    """A slow disk is no idle client."""

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        wire.protocol.timeout_keep_alive = 0.3  # type: ignore[assignment]  # as above
        await wire.deliver([plain(lanes)])
        log = slow_disk(lanes)
        wire.protocol.data_received(plain(lanes))
        await asyncio.sleep(0.5)
        assert not wire.transport.is_closed
        log.go.set()
        await wire.settle()
        assert wire.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 2
        await until_closed(wire)

    run(scenario)


def test_a_request_that_must_wait_for_facts_goes_to_the_route_in_its_turn(lanes: Lanes) -> None:
    """Those before it are the lane's; those behind it wait."""
    lanes.house.admin.put_user(OPERATOR, "acme", "new")
    ahead = json.dumps({"scope": "a:b", "resource": "pipeline:x", "min_revision": lanes.house.store.head()}).encode()

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        waiting = asked(ahead, key=lanes.keys["operator"], headers=("X-Request-Id: two",))
        await wire.deliver([plain(lanes, "X-Request-Id: one") + waiting + plain(lanes, "X-Request-Id: three")])
        told = wire.transport.written
        assert told.count(b"HTTP/1.1 200 OK\r\n") == 3
        assert told.index(b": one") < told.index(b": two") < told.index(b": three")

    run(scenario)


def test_before_any_facts_the_route_is_asked(lanes: Lanes) -> None:
    """It reads them first."""
    lanes.site.services.replica._snapshot.revision = 0

    async def scenario() -> None:
        wire = lanes.connect(lanes.lane)
        wire.protocol.data_received(plain(lanes))
        await asyncio.sleep(0)
        assert state(wire) is State.ROUTE
        wire.end()

    run(scenario)


def test_a_bug_is_a_500_as_it_is_on_the_route(lanes: Lanes, caplog: pytest.LogCaptureFixture) -> None:
    """Told to the log, and to the caller without its text."""
    told: list[bytes] = []

    def breaks(*_: Any) -> Any:
        raise ZeroDivisionError("secret")

    lanes.site.point._decisions.decide = lanes.site.point._decisions.decide_each = breaks

    async def scenario() -> None:
        for way in (lanes.route, lanes.lane):
            wire = lanes.connect(way)
            await wire.deliver([plain(lanes), plain(lanes)])
            told.append(wire.transport.written)

    run(scenario)
    assert told[0] == told[1]
    assert told[1].count(b"HTTP/1.1 500 Internal Server Error\r\n") == 2
    assert caplog.text.count("unexpected ZeroDivisionError") == 4
    assert "secret" not in caplog.text
    assert not any(key in caplog.text for key in lanes.keys.values())


@pytest.mark.parametrize("way", ["lane", "route"])
@pytest.mark.parametrize("pieces", [1, 7, 1 << 20])
def test_the_body_behind_an_ignored_upgrade_is_read(lanes: Lanes, way: str, pieces: int) -> None:
    """The JDK's client wishes for h2c with every first request. What comes next on the connection is answered too."""
    wish = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")
    key = lanes.keys["operator"]
    chunked = asked(b"", key=key, headers=wish).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    requests = [
        asked(BODY, key=key, headers=wish),
        chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
        b"GET /healthz HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        asked(BODY, key=key),
    ]

    async def scenario() -> None:
        wire = lanes.connect(getattr(lanes, way))
        data = b"".join(requests)
        await wire.deliver([data[at : at + pieces] for at in range(0, len(data), pieces)])
        assert wire.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 4
        assert not wire.transport.is_closed
        await wire.deliver([plain(lanes)])
        assert wire.transport.written.count(b"HTTP/1.1 200 OK\r\n") == 5
        assert way == "route" or state(wire) is FREE

    run(scenario)


def test_a_body_behind_an_upgrade_hides_no_request(lanes: Lanes) -> None:
    """What stands in it is data, however it is cut."""
    inner = asked(BODY, key=lanes.keys["operator"])
    outer = asked(inner, key=lanes.keys["operator"], headers=("Connection: Upgrade", "Upgrade: h2c"))

    async def scenario() -> None:
        for way in (lanes.route, lanes.lane):
            for at in (len(outer) - len(inner), len(outer) - len(inner) - 1, len(outer) - 5):
                wire = lanes.connect(way)
                await wire.deliver([outer[:at], outer[at:]])
                assert wire.transport.written.count(b"HTTP/1.1 ") == 1
                assert b'"code":"invalid_json"' in wire.transport.written

    run(scenario)


def test_an_answer_for_nobody_is_counted_and_not_sent(lanes: Lanes) -> None:
    """The client went away while the record was synced."""

    async def scenario() -> None:
        log = slow_disk(lanes)
        wire = lanes.connect(lanes.lane)
        wire.protocol.data_received(plain(lanes))
        await asyncio.sleep(0.01)
        wire.transport.close()
        wire.end()
        log.go.set()
        while not lanes.counted().get('policy_service_decide_seconds_count{route="decide"}'):
            await asyncio.sleep(0.01)
        assert wire.transport.written == b""

    run(scenario)


def test_callers_behind_a_trusted_proxy_are_where_it_says() -> None:
    """Each by itself, on one connection; as on the route. The pass of one is not another's."""
    network = parse_network("192.0.2.0/24")
    assert isinstance(network, Network)
    proxied = Lanes(EntranceSettings(trusted_proxies=(network,)))
    near, far = "X-Forwarded-For: 198.51.100.7", "X-Forwarded-For: 203.0.113.9"
    keys = ("elsewhere", "elsewhere", "tenant", "elsewhere", "operator")
    requests = [
        asked(BODY, key=proxied.keys[key], headers=headers)
        for key in keys
        for headers in ((near,), (far,), (), (near, far), ("Accept: */*",))
    ]

    async def scenario() -> None:
        told = []
        for way in (proxied.route, proxied.lane):
            proxied.fresh()
            wire = proxied.connect(way)
            await wire.deliver(requests + requests[::-1])
            told.append(wire.transport.written)
        assert told[0] == told[1]
        assert told[0].count(b"HTTP/1.1 403 ") == 2 * 3 * 4
        assert told[0].count(b"HTTP/1.1 200 ") == 2 * (3 + 10)

    run(scenario)


def test_an_answer_that_cannot_be_sent_ends_its_connection_and_no_other(
    lanes: Lanes, caplog: pytest.LogCaptureFixture
) -> None:
    """Others of the same group get theirs; the one is not left waiting for ever."""

    async def scenario() -> None:
        broken, sound = lanes.connect(lanes.lane), lanes.connect(lanes.lane)
        broken.transport.write = lambda _: 1 / 0  # type: ignore[method-assign, return-value]  # a fault is caused
        for wire in (broken, sound):
            wire.protocol.data_received(plain(lanes))
        await sound.settle()
        assert broken.transport.is_closed
        assert sound.transport.written.startswith(b"HTTP/1.1 200 OK\r\n")
        assert "an answer could not be sent" in caplog.text

    run(scenario)


def test_the_setting_turns_it_off(monkeypatch: pytest.MonkeyPatch, lanes: Lanes) -> None:
    """Then all goes the documented way."""
    from policy_service.bootstrap import protocol
    from policy_service.settings import load_settings

    assert issubclass(protocol(lanes.app, load_settings()), LaneProtocol)
    monkeypatch.setenv("POLICY_SERVICE_FAST_LANE", "off")
    assert not issubclass(protocol(lanes.app, load_settings()), LaneProtocol)
