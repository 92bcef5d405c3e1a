"""What the fast lane takes for an answer in process: 32 connections that have no socket, a real shard of the ledger.

The world and its questions are those of `bench.peers` (varied: busy keys and quiet ones, 87 % allowed); each answer is
asserted first. What is left out is the kernel: compare `cpu_us` of `bench.peers http`. A turn of the event loop takes a
request of every connection, as under full load; their records are one write. Processor time, the fastest tenth of the
turns: on a shared machine the others say more of the neighbours.

Run: python -m bench.lane [--rules 100] [--keys 1000] [--seconds 3] [--root DIR] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import pstats
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop
from uvicorn.server import ServerState

from bench.peers.targets import body_of, filled
from bench.questions import Question, questions
from bench.workloads import World
from policy_service.bootstrap import environment
from policy_service.service.policies.workshop import Workshop
from policy_service.settings import load_settings

CONNECTIONS: Final = 32
BATCH: Final = 100
HEAD: Final = (
    "POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    "Content-Length: {size}\r\n\r\n"
)


class _Transport(asyncio.Transport):
    """Keeps the last answer."""

    last = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("127.0.0.1", 40000), "sockname": ("127.0.0.1", 8000)}.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.last = bytes(data)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Lane:
    """Connections of one application's lane."""

    def __init__(self, app: Any, protocol: Any, key: str) -> None:
        config = uvicorn.Config(
            app, ws="none", lifespan="off", log_config=None, access_log=False, timeout_keep_alive=3600
        )
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"Fri, 15 Jan 2027 08:00:00 GMT")]
        self._key = key
        self.lines = [self._connect(protocol, config, state) for _ in range(CONNECTIONS)]

    def _connect(self, protocol: Any, config: uvicorn.Config, state: ServerState) -> tuple[Any, _Transport]:
        line, transport = protocol(config, state, {}, asyncio.get_running_loop()), _Transport()
        line.connection_made(transport)
        return line, transport

    def request(self, path: str, body: Any) -> bytes:
        """One request as a client sends it."""
        content = json.dumps(body).encode()
        return HEAD.format(path=path, key=self._key, size=len(content)).encode() + content

    async def ask(self, request: bytes) -> Any:
        """The answer to one request."""
        line, transport = self.lines[0]
        transport.last = b""
        line.data_received(request)
        while not transport.last:
            await asyncio.sleep(0)
        head, _, body = transport.last.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), transport.last
        return json.loads(body)

    async def turns(self, requests: Sequence[bytes], seconds: float, together: int) -> float:
        """Processor time of one request, in microseconds: that of the fastest tenth of the turns."""
        found: list[float] = []
        asked = cycle(requests)
        lines = self.lines[:together]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = [next(asked) for _ in lines]
            start = time.process_time_ns()
            for (line, _), request in zip(lines, now, strict=True):
                line.data_received(request)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            found.append((time.process_time_ns() - start) / together / 1000)
        found.sort()
        return found[len(found) // 10]


async def check(lane: Lane, asked: Sequence[Question]) -> None:
    """Assert every answer."""
    for question in asked:
        answer = await lane.ask(lane.request("/decide", body_of(question)))
        assert answer["reason"] == question.reason, (question, answer)


async def measure(app: Any, protocol: Any, key: str, world: World, options: argparse.Namespace) -> None:
    """Answers first, then times."""
    asked = questions(world, options.questions)
    lane = Lane(app, protocol, key)
    await check(lane, asked)
    bodies = [body_of(question) for question in asked]
    single = [lane.request("/decide", body) for body in bodies]
    batches = [
        lane.request("/decide/batch", {"requests": bodies[start : start + BATCH]})
        for start in range(0, len(bodies) - BATCH + 1, BATCH)
    ]
    gc.collect()
    gc.freeze()
    profile = cProfile.Profile()
    for name, requests, together, each in (
        ("one question over and over", single[:1], CONNECTIONS, 1),
        ("varied questions", single, CONNECTIONS, 1),
        ("varied questions, one a turn", single, 1, 1),
        ("batches of 100, one a turn", batches, 1, BATCH),
        ("batches of 100, four a turn", batches, 4, BATCH),
    ):
        if options.profile == name:
            profile.enable()
        us = await lane.turns(requests, options.seconds, together) / each
        profile.disable()
        print(f"  {name:36} {us:7.2f} us", flush=True)
    if options.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


def main() -> None:
    """Fill a store, serve it to connections without sockets, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=100)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--profile", default="")
    options = parser.parse_args()
    world = World(rules=options.rules, keys=options.keys)
    with tempfile.TemporaryDirectory() as name:
        key = filled(Path(name, "data"), Path(name, "policies"), world)
        settings, adapters = load_settings(data_dir=Path(name, "data")), environment()
        print(f"{world.rules} rules, {world.keys} keys, {options.questions} questions: each decision")
        with Workshop() as workshop, adapters.serving(settings, None, workshop.make) as services:
            app = adapters.public_app(services, settings)
            with adapters.ledger(settings, services):
                uvloop.run(measure(app, adapters.protocol(app, settings), key, world, options))


if __name__ == "__main__":
    main()
