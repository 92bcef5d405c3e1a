"""Connections of a bench: one request at a time on each, and one connection to each worker of a server."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final
from urllib.parse import urlsplit

MOST_TRIES: Final = 400


class Line(asyncio.Protocol):
    """One connection. Cheaper than streams: what the client costs, the server lacks on the same cores."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is one
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found and self._answer is not None and len(body) >= _length(head):
            self._received = b""
            answer, self._answer = self._answer, None
            answer.set_result(head[9:12] + body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._answer.set_exception(exc or ConnectionResetError("the server closed the connection"))

    async def ask(self, request: bytes) -> tuple[int, Any]:
        """Status and document of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        answer = await self._answer
        return int(answer[:3]), json.loads(answer[3:])

    def close(self) -> None:
        self._transport.close()


def _length(head: bytes) -> int:
    at = head.lower().index(b"content-length:") + 15
    return int(head[at:].split(b"\r\n", 1)[0])


async def connect(url: str) -> Line:
    """A connection to a server."""
    where = urlsplit(url)
    _, line = await asyncio.get_running_loop().create_connection(Line, where.hostname, where.port)
    return line


async def connect_to_each(url: str, workers: int) -> list[Line]:
    """A connection to each of its workers, by number."""
    found: dict[int, Line] = {}
    for _ in range(MOST_TRIES):
        line = await connect(url)
        _, ready = await line.ask(b"GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n")
        number = ready.get("worker", 0)
        if number in found:
            line.close()
        found.setdefault(number, line)
        if len(found) == workers:
            return [found[number] for number in range(workers)]
    raise AssertionError(f"only workers {sorted(found)} were reached")
