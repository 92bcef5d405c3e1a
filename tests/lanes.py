"""Both ways through the same application, byte by byte: uvicorn's protocol and ours over a transport that is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from policy_service.api.app import create_app
from policy_service.api.entrance import EntranceSettings
from policy_service.api.lane import LaneProtocol, State, lane_protocol
from policy_service.api.wire import BoundedProtocol, bounded_protocol
from policy_service.service.recording.recorder import Recorder
from tests.fakes import MemoryLog
from tests.unit.api.desk import ADMIN_SCOPES, PEER, services_of
from tests.unit.service.house import OPERATOR, House

DATE = b"Sun, 15 Jan 2027 08:00:00 GMT"
COUNTERS = (
    "policy_service_decisions_total",
    "policy_service_refused_callers_total",
    "policy_service_decide_seconds_count",
)
TURNS = 60
"""Turns of the event loop after which a request that came so far has done what it can without more bytes."""


class FakeTransport(asyncio.Transport):
    """Keeps what is written. Reading that is paused is only a flag: whoever delivers must look at it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_paused = False
        self.is_closed = False
        self.unsent = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": (PEER, 40000), "sockname": ("127.0.0.1", 8000)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closed:
            self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close


class Refusals:
    """Stands in for the log of refused callers: keeps what it is told."""

    def __init__(self) -> None:
        self.noted: list[tuple[Any, ...]] = []

    def note(self, *told: Any) -> None:
        self.noted.append(told)


def names(length: int) -> str:
    """Names for requests that have none: always the same."""
    return "ab" * length


class Lanes:
    """One application on a furnished house, its two ways, and all they leave behind."""

    def __init__(self, settings: EntranceSettings | None = None) -> None:
        self.log = MemoryLog()
        self.house = House(recorder=Recorder("os", self.log)).furnish()
        self.keys = self._keys()
        self.house.replica.catch_up()
        self.app = create_app(services_of(self.house), settings=settings, make_name=names)
        self.site = self.app.state.site
        self.config = uvicorn.Config(self.app, ws="none", lifespan="off", log_config=None, access_log=False)
        self.config.load()
        self.route = bounded_protocol(10)
        self.lane = lane_protocol(self.app, 10)

    def _keys(self) -> dict[str, str]:
        house = self.house
        made = {
            "operator": house.key("system", principal="ops", scopes=ADMIN_SCOPES),
            "tenant": house.key("acme", principal="gate", scopes=("decisions:evaluate",)),
            "elsewhere": house.key("acme", principal="far", scopes=("decisions:evaluate",), cidrs=("198.51.100.0/24",)),
            "subject": house.key("acme"),
            "foreign": house.key("zeta"),
            "user": house.key("acme", kind="user", principal="mira"),
            "revoked": house.key("acme", principal="old", scopes=("decisions:evaluate",)),
        }
        house.admin.revoke_key(OPERATOR, "acme", made["revoked"].api_key.id)
        return {name: key.text for name, key in made.items()}

    def fresh(self) -> None:
        """As if nothing had been asked yet."""
        self.house.ids._counts.pop("D", None)
        self.house.uses._noted.clear()
        self.log.writes.clear()
        self.site.point._refusals = Refusals()
        # The head of the next connection has been seen by nobody.
        self.lane.answers.heads._known.clear()

    def left(self) -> dict[str, Any]:
        """What was left behind since `fresh`, but for metrics."""
        return {
            "records": self.log.lines(),
            "uses": dict(self.house.uses._noted),
            "refusals": list(self.site.point._refusals.noted),
        }

    def counted(self) -> dict[str, float]:
        """The counters that requests move, by their names in the metrics."""
        found = {}
        for line in self.site.meters.text().decode().splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith(COUNTERS):
                found[name] = float(value)
        return found

    def connect(self, protocol: type[BoundedProtocol]) -> Wire:
        """A connection on the running event loop."""
        state = ServerState()
        state.default_headers = [(b"date", DATE)]
        return Wire(protocol(self.config, state, {}, asyncio.get_running_loop()))


class Wire:
    """One connection of either way."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self.protocol = protocol
        self.transport = FakeTransport()
        protocol.connection_made(self.transport)

    async def deliver(self, chunks: Iterable[bytes], *, patiently: bool = True) -> None:
        """Hand bytes over as a socket would; patiently: each once what came before it is dealt with."""
        for chunk in chunks:
            if patiently or self.transport.is_paused:
                await self.settle()
            if self.transport.is_closed:
                return
            assert not self.transport.is_paused
            self.protocol.data_received(chunk)
        await self.settle()

    async def settle(self) -> None:
        """Wait until all is answered that can be."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            while self.is_answering():
                await asyncio.sleep(0.001)

    def is_answering(self) -> bool:
        """Whether something whole has no answer yet."""
        mine = self.protocol
        is_held = isinstance(mine, LaneProtocol) and mine._state is State.ANSWERING
        return not self.transport.is_closed and (is_held or mine._is_answering())

    def end(self) -> None:
        """The connection is gone."""
        self.protocol.connection_lost(None)


def asked(
    body: bytes, *, key: str | None = None, path: str = "/decide", version: str = "1.1", headers: Iterable[str] = ()
) -> bytes:
    """A request with a body, as bytes."""
    shown = [] if key is None else [f"Authorization: Bearer {key}"]
    lines = [f"POST {path} HTTP/{version}", "Host: x", *shown, f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


BODY = json.dumps({"scope": "pipelines:run", "resource": "pipeline:etl"}).encode()


def plain(lanes: Lanes, *headers: str) -> bytes:
    """A request that the lane takes."""
    return asked(BODY, key=lanes.keys["operator"], headers=headers)


def state(wire: Wire) -> State:
    """Where a connection of the lane is."""
    assert isinstance(wire.protocol, LaneProtocol)
    return wire.protocol._state


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """One scenario to its end, within a minute."""

    async def whole() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(whole())


async def until_closed(wire: Wire) -> None:
    """Wait until the connection was let go; `run` bounds it."""
    while not wire.transport.is_closed:
        await asyncio.sleep(0.01)
