"""Many callers at once, on raw connections: what was answered, to the last byte, whatever becomes of the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from tests.waiting import PATIENCE_S


def post(path: str, key: str, body: Any) -> bytes:
    """One HTTP request."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Load:
    """Callers who ask the same questions by turns, again and again, until they are cut off.

    Args:
        url: of the server.
        requests: whole HTTP requests.
    """

    def __init__(self, url: str, requests: Sequence[bytes]) -> None:
        where = urlsplit(url)
        self._host, self._port = where.hostname, where.port
        self._requests = requests
        self.answered: list[str] = []
        self.statuses: dict[int, int] = {}
        self._callers: list[asyncio.Task[None]] = []

    def start(self, callers: int) -> None:
        """Let them begin."""
        self._callers = [asyncio.create_task(self._ask(number)) for number in range(callers)]

    async def answers(self, more: int = 1) -> None:
        """Wait until so many decisions more were answered."""
        wanted = len(self.answered) + more
        await self._until(lambda: len(self.answered) >= wanted, "answered")

    async def refusals(self) -> None:
        """Wait until a question more was answered 503."""
        before = self.statuses.get(503, 0)
        await self._until(lambda: self.statuses.get(503, 0) > before, "refused")

    async def cut_off(self, callers: int) -> None:
        """Wait until so many of the callers have lost their connection."""
        await self._until(lambda: sum(caller.done() for caller in self._callers) >= callers, "cut off")

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, f"nothing is {what} in {PATIENCE_S} s: {self.statuses}"
            await asyncio.sleep(0.02)

    async def ended(self) -> None:
        """Wait until every one was cut off; what had been sent to them is read to its end."""
        await asyncio.wait_for(asyncio.gather(*self._callers), PATIENCE_S)

    async def stop(self) -> None:
        """Let them ask no more. Questions under way stay unanswered."""
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)

    async def _ask(self, number: int) -> None:
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return
        try:
            while True:
                writer.write(self._requests[number % len(self._requests)])
                number += 1
                self._note(*await _answer(reader))
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    def _note(self, status: int, document: Any) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 200:
            decisions = document.get("results", [document])
            self.answered += [decision["decision_id"] for decision in decisions]


async def _answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """A whole answer. Raises asyncio.IncompleteReadError where it is cut short."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:"))
    return int(head[9:12]), json.loads(await reader.readexactly(length))
