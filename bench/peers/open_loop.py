"""A load generator with a fixed rate of arrival: raw sockets, one thread that never sleeps, on a core of its own.

    python -m bench.peers.open_loop < JOB-AS-JSON         asks, and tells what came of it
    python -m bench.peers.open_loop --ceiling SECONDS     tells how fast it can ask at all

Question i is due at start + i / rate. It is sent over a connection that waits for nothing, else as soon as one is free,
and its latency counts from when it was *due*: a server that stalls is not asked less. `late_p99_ms` is what the
generator itself adds: how long after both the question was due and a connection free it was sent. Where that is not
small against the latencies, they say little.

Source: wrk2's README, on constant throughput and the intended time of a request.
"""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import os
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection as PipeEnd
from typing import Any, Final, cast
from urllib.parse import urlsplit

import uvloop

DRAIN_S: Final = 2.0
"""How long answers are waited for after the last question was due."""
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Connection:
    """One keep-alive connection, with at most one question under way.

    Attributes:
        due: when the question under way was due.
        free_at: since when there has been none.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.free_at = 0.0
        self._received = b""

    def receive(self) -> int | None:
        """Read what is there; the status once an answer is whole."""
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("the server closed a connection under load")
        self._received += received
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return None
        self._received = b""
        return int(head[9:12])


class Run:
    """One run of load.

    Args:
        rate: questions a second; infinite for as fast as connections are free.
    """

    def __init__(self, connections: Sequence[Connection], asked: Sequence[bytes], rate: float, seconds: float) -> None:
        self._idle = deque(connections)
        self._asked = asked
        self._interval = 1 / rate
        self._seconds = seconds
        self._poller = select.epoll()
        self._by_descriptor = {one.socket.fileno(): one for one in connections}
        for descriptor in self._by_descriptor:
            self._poller.register(descriptor, select.EPOLLIN)
        self.latencies: list[float] = []
        self.lateness: list[float] = []
        self.sent = self.failures = 0

    def go(self) -> float:
        """Ask until the time is over and all is answered, or given up; the seconds it took."""
        start = time.perf_counter()
        for one in self._idle:
            one.free_at = start
        end = start + self._seconds
        while (now := time.perf_counter()) < end:
            self._send_due(start, now)
            self._read()
        while self.sent > len(self.latencies) + self.failures and time.perf_counter() < end + DRAIN_S:
            self._read()
        return time.perf_counter() - start

    def _send_due(self, start: float, now: float) -> None:
        while self._idle and (due := start + self.sent * self._interval) <= now:
            one = self._idle.popleft()
            one.due = due if self._interval else now
            one.socket.send(self._asked[self.sent % len(self._asked)])
            self.lateness.append(now - max(one.due, one.free_at))
            self.sent += 1

    def _read(self) -> None:
        for descriptor, _ in self._poller.poll(0):
            one = self._by_descriptor[descriptor]
            status = one.receive()
            if status is None:
                continue
            one.free_at = time.perf_counter()
            self._idle.append(one)
            if status == 200:
                self.latencies.append(one.free_at - one.due)
            else:
                self.failures += 1


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Do a job; what came of it. `unanswered`: due, but not answered when the run was given up."""
    address = urlsplit(job["url"])
    assert address.hostname is not None
    assert address.port is not None
    place = (address.hostname, address.port)
    connections = [Connection(place) for _ in range(job["connections"])]
    asked = [_request(job["path"], address.netloc, job["headers"], body) for body in job["bodies"]]
    done = Run(connections, asked, job["rate"], job["seconds"])
    took_s = done.go()
    latencies, lateness = sorted(done.latencies), sorted(done.lateness)
    due = done.sent if job["rate"] == math.inf else int(job["rate"] * job["seconds"])
    return {
        "rate": None if job["rate"] == math.inf else job["rate"],
        "connections": job["connections"],
        "answered": len(latencies),
        "answered_a_second": round(len(latencies) / took_s, 1),
        "unanswered": max(0, due - len(latencies) - done.failures),
        "failures": done.failures,
        **{f"p{name}_ms": _percentile_ms(latencies, share) for name, share in (("50", 0.5), ("99", 0.99))},
        "p999_ms": _percentile_ms(latencies, 0.999),
        "late_p99_ms": _percentile_ms(lateness, 0.99),
    }


def _request(path: str, host: str, headers: dict[str, str], body: str) -> bytes:
    content = body.encode()
    given = {"Host": host, **headers, "Content-Length": str(len(content))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + content


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    assert found, "an answer without a length cannot be told from the next"
    return int(rest.split(b"\r\n", 1)[0])


def _percentile_ms(values: Sequence[float], share: float) -> float:
    """A percentile of sorted seconds, in milliseconds; 0 of none."""
    return round(values[min(len(values) - 1, int(len(values) * share))] * 1000, 3) if values else 0.0


# ---- the generator's own ceiling


class _Nothing(asyncio.Protocol):
    """Answers whatever it receives at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by type

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it is
        self._transport.write(_ANSWER)


def ceiling(seconds: float, connections: int = 32) -> dict[str, Any]:
    """How fast the generator can ask, against a server that does nothing in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=_serve_nothing, args=(there,), daemon=True)
    server.start()
    try:
        return run(
            {
                "url": f"http://127.0.0.1:{here.recv()}",
                "path": "/",
                "headers": {"Content-Type": "application/json"},
                "bodies": ["x" * 300],
                "rate": math.inf,
                "connections": connections,
                "seconds": seconds,
            }
        )
    finally:
        server.terminate()
        server.join()


def _serve_nothing(port_to: PipeEnd) -> None:
    """Answer on a free port, which is told, on the servers' core, until ended."""
    os.sched_setaffinity(0, {0})
    uvloop.run(_answer_for_ever(port_to))


async def _answer_for_ever(port_to: PipeEnd) -> None:
    server = await asyncio.get_running_loop().create_server(_Nothing, "127.0.0.1", 0)
    port_to.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ceiling"]:
        print(json.dumps(ceiling(float(sys.argv[2]))))
    else:
        print(json.dumps(run(json.load(sys.stdin))))
