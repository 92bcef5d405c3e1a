"""The bounds of a connection, on a real socket with a tiny application: time, size, and who is answered what."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from policy_service.api.wire import MAX_HEAD, bounded_protocol

TIMEOUT_S = 0.3
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class App:
    """Reads the body, then answers with its size; `/slow` after a while; `/large` with 32 MiB."""

    def __init__(self) -> None:
        self.disconnected = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        size = 0
        while (message := await receive()).get("more_body"):
            size += len(message["body"])
        if message["type"] == "http.disconnect":
            self.disconnected += 1
            return
        if scope["path"] == "/slow":
            await asyncio.sleep(3 * TIMEOUT_S)
        answer = b"x" * (32 << 20) if scope["path"] == "/large" else b"%d" % (size + len(message["body"]))
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})


@contextlib.asynccontextmanager
async def served(app: App) -> AsyncIterator[Callable[[], Awaitable[Connection]]]:
    """The application on a free port; gives a way to connect."""
    config = uvicorn.Config(
        app, port=0, http=bounded_protocol(TIMEOUT_S), ws="none", lifespan="off", log_config=None, access_log=False,
        timeout_keep_alive=3600,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield lambda: asyncio.open_connection("127.0.0.1", port)
    finally:
        await server.shutdown()


def run(scenario: Callable[[App, Callable[[], Awaitable[Connection]]], Awaitable[None]]) -> App:
    """One scenario to its end, within a minute."""
    app = App()

    async def whole() -> None:
        async with asyncio.timeout(60), served(app) as connect:
            await scenario(app, connect)

    asyncio.run(whole())
    return app


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            received += chunk
    return received


async def exchange(connect: Callable[[], Awaitable[Connection]], *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send parts with pauses between them, and read until the server closes."""
    reader, writer = await connect()
    reading = asyncio.create_task(until_closed(reader))
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            if pause_s:
                await asyncio.sleep(pause_s)
    received = await reading
    writer.close()
    return received


SLOW = {
    "half a line": [b"GET / HT"],
    "half a head": [b"GET / HTTP/1.1\r\nHost: x\r\n"],
    "half a body": [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"],
    "half a chunk": [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"],
    "byte by byte": [bytes([byte]) for byte in b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 200],
    "body byte by byte": [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n", *[b"a"] * 200],
}


@pytest.mark.parametrize("name", SLOW)
def test_a_request_that_does_not_come_is_408(name: str) -> None:
    """And the connection ends, however the bytes are dealt out."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        received = await exchange(connect, *SLOW[name], pause_s=0.02)
        assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b'"code":"request_timeout"' in received

    app = run(scenario)
    assert app.disconnected == int("body" in name or "chunk" in name)


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "an empty line"])
def test_a_connection_without_a_request_is_closed_without_a_word(sent: bytes) -> None:
    """There is nothing to answer."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        assert await exchange(connect, sent) == b""

    run(scenario)


def test_empty_lines_after_an_answer_do_not_keep_a_connection() -> None:
    """They end uvicorn's own time-out of idle connections, and start ours."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        received = await exchange(connect, GET, b"\r\n", b"\r\n", pause_s=0.05)
        assert received.startswith(b"HTTP/1.1 200 ")

    run(scenario)


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET / HTTP/1.1\r\nX: " + b"a" * (MAX_HEAD + 1) + b"\r\n\r\n"],
        [b"GET / HTTP/1.1\r\n", *[b"X: " + b"a" * 1000 + b"\r\n"] * 200],
        [b"GET /", *[b"a" * 1000] * 500],
        [b"\r\n" * 1000] * 100,
    ],
    ids=["one long header", "many headers", "an endless path", "endless empty lines"],
)
def test_an_endless_head_is_431(parts: list[bytes]) -> None:
    """Whether it ever ends or not; what came before any request is not answered."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        received = await exchange(connect, *parts)
        assert received == b"" or received.startswith(b"HTTP/1.1 431 ")

    run(scenario)


def test_noise_is_400() -> None:
    """A problem document, as everything else."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        received = await exchange(connect, b"GET / HTTP/1.1\r\nHost x\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b'"code":"invalid_http"' in received

    run(scenario)


def test_noise_behind_a_request_does_not_take_its_answer() -> None:
    """The earlier request may have changed something: it is answered for itself, and the connection ends."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        received = await exchange(connect, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n\x00\x01\x02")
        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.count(b"HTTP/1.1") == 1

    run(scenario)


SLOW_GET = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
BROKEN = {
    "noise": b"\x00\x01\x02",
    "a bad chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a body that does not come": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
}


@pytest.mark.parametrize("whole", [1, 3])
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_behind_requests_is_never_the_answer_to_them(name: str, whole: int) -> None:
    """Each that came whole has its own, and then the connection ends: at once, not when it was idle for long."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        received = await exchange(connect, SLOW_GET + GET * (whole - 1) + BROKEN[name])
        assert received.count(b"HTTP/1.1 200 ") == received.count(b"HTTP/1.1 ") == whole

    run(scenario)


def test_what_comes_behind_a_broken_request_belongs_to_none_before_it() -> None:
    """The rest of a body that was too slow is not read into the request that is being worked on."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        begun = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        received = await exchange(connect, SLOW_GET + begun + b"abc", *[b"a"] * 6, pause_s=TIMEOUT_S / 2)
        assert received.count(b"HTTP/1.1 200 ") == received.count(b"HTTP/1.1 ") == 1
        assert received.endswith(b"\r\n\r\n0")

    run(scenario)


def test_time_that_the_application_takes_is_not_the_clients() -> None:
    """An answer that is slow in coming is awaited; so is the next request's, sent meanwhile."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        slow = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
        received = await exchange(connect, slow + slow + GET.replace(b"Host", b"Connection: close\r\nHost"))
        assert received.count(b"HTTP/1.1 200 ") == 3

    run(scenario)


def test_a_client_that_does_not_read_is_cut_off() -> None:
    """A large answer is not held for it for ever."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        reader, writer = await connect()
        writer.transport.pause_reading()
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(4 * TIMEOUT_S)
        writer.transport.resume_reading()
        assert len(await until_closed(reader)) < 32 << 20
        writer.close()

    run(scenario)


def test_good_requests_are_served_one_after_the_other() -> None:
    """The bound is each request's own: a connection may live longer."""

    async def scenario(app: App, connect: Callable[[], Awaitable[Connection]]) -> None:
        reader, writer = await connect()
        for _ in range(8):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            assert (await reader.readuntil(b"\r\n\r\n3")).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(TIMEOUT_S / 4)
        writer.close()

    run(scenario)
