"""The HTTP protocol of `serve`: uvicorn's own, with bounds on how long a request may be in coming, and its head's size.

uvicorn bounds the idle time *between* requests alone. Without what is here, a stranger's connection that sends
nothing, or one byte now and then, or an endless header, would be kept for ever.

| status | code | when |
|---|---|---|
| 400 | `invalid_http` | what came is not HTTP |
| 408 | `request_timeout` | a request began and did not come whole in time |
| 431 | `head_too_large` | request line and headers are past `MAX_HEAD` |

Each ends the connection. A connection on which nothing at all came is closed without a word.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from policy_service.api.problems import plain_problem_reply

MAX_HEAD: Final = 64 * 1024
"""Bytes of request line and headers. One read from the socket, at most 256 KiB, may come on top while reading."""

DEFAULT_READ_TIMEOUT_S: Final = 10.0
LINGER_S: Final = 1.0
"""How long a refused client may take to read why."""

_NOT_HTTP: Final = (400, "invalid_http", "this is not an HTTP request that can be read")
_TOO_LARGE: Final = (431, "head_too_large", f"request line and headers are larger than {MAX_HEAD >> 10} KiB; send less")
_TOO_SLOW: Final = (408, "request_timeout", "the request did not come whole in time; send it faster")


class _HeadTooLargeError(Exception):
    """Raised inside a callback of the parser, which turns it into an error of its own."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    INVARIANT: a client that sends too slowly, or does not read its answers, is cut off; others are served meanwhile
    (tests/security/test_slow_clients.py).

    One timer a connection, not one a request: it looks at intervals, so an end comes up to twice the bound late for
    answers that nobody reads, and on time for requests that do not come.
    """

    read_timeout_s: ClassVar[float] = DEFAULT_READ_TIMEOUT_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A connection is open: its first request is awaited from now on."""
        super().connection_made(transport)
        self._since: float | None = self.loop.time()
        self._in_head = True
        self._begun = 0
        self._head_size = 0
        self._unsent = 0
        self._is_over = False
        self._is_deaf = False
        self._running: Any = None
        self._trouble = _NOT_HTTP
        self._framing = b""
        self._is_retold = False
        self._watch = self.loop.call_later(self.read_timeout_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by either side."""
        self._watch.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # uvicorn's says nothing, and drops the answer
        """The client sends no more. What it asked whole is answered before the connection ends (RFC 9112, 9.6)."""
        self._is_over = True
        return self._is_answering()

    def on_response_complete(self) -> None:
        """An answer is out."""
        super().on_response_complete()
        if self._is_over and not self._is_busy():
            self.transport.close()

    def _is_busy(self) -> bool:
        """Whether a request has begun and is not answered yet."""
        return bool(self.pipeline) or (self.cycle is not None and not self.cycle.response_complete)

    def _is_answering(self) -> bool:
        """Whether a request came whole and is not answered yet."""
        return bool(self.pipeline) or (self._is_busy() and not self.cycle.more_body)

    def data_received(self, data: bytes) -> None:
        """Bytes came. Strangers' noise is answered, never logged: they would fill the disk."""
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        if self._since is None:
            self._since = self.loop.time()
        begun = self._begun
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as wish:
            self._ignore(data[wish.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(*self._trouble)
            return
        if self._in_head and self._begun == begun:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(*_TOO_LARGE)

    def _ignore(self, rest: bytes) -> None:
        """Read on after a wish for another protocol, which a server may ignore (RFC 9110 section 7.8).

        The parser says that such a request ended with its head. Its body, which stock clients of the JDK send with it,
        would be lost, or be taken for another request: a fresh parser is told of the body, and reads on.

        Args:
            rest: what came behind the head.
        """
        if self.parser.get_method() == b"CONNECT":
            return  # what comes next is no HTTP to anybody
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        framing, self._framing = self._framing, b""
        if framing:
            self._is_retold = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            self._is_retold = False
        if rest:
            self.data_received(rest)

    def on_url(self, url: bytes) -> None:
        """A part of the path."""
        if not self._is_retold:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        if not self._is_retold:
            super().on_header(name, value)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._is_retold:
            return
        super().on_message_begin()
        self._since = self.loop.time()
        self._in_head = True
        self._begun += 1
        self._head_size = 0

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._is_retold:
            return
        self._in_head = False
        if self.parser.should_upgrade():
            self._framing = b"\r\n".join(b"%b: %b" % header for header in self.headers if _frames_a_body(*header))
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD:
            self._trouble = _TOO_LARGE
            raise _HeadTooLargeError
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole: from here on, time is ours."""
        if self._framing:
            return  # not yet: see `_ignore`
        self._since = None
        super().on_message_complete()

    def _look(self) -> None:
        """Cut off a client that neither sends nor reads, or look again later."""
        unsent = self.transport.get_write_buffer_size()
        if self.transport.is_closing() or (unsent and unsent >= self._unsent > 0):
            self.transport.abort()
            return
        self._unsent = unsent
        now = self.loop.time()
        if self._since is None or self.flow.read_paused:
            # Either nothing is awaited, or it was this process that stopped reading.
            self._since = None if self._since is None else now
            wait_s = self.read_timeout_s
        else:
            wait_s = self._since + self.read_timeout_s - now
        if wait_s <= 0:
            self._refuse(*_TOO_SLOW)
            wait_s = LINGER_S
        self._watch = self.loop.call_later(wait_s, self._look)

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Say why, where something came and no answer is under way, and close."""
        whole = self._last_whole()
        if whole is not None:
            # It may have changed something: it and those before it get their answers, and nothing more is read. What
            # began behind it was never one of its own, and its bytes must not come to this one's body.
            self._is_deaf = True
            if self.cycle is not whole:
                self.cycle = whole
                self.pipeline.popleft()
            whole.keep_alive = False
            return
        cycle: Any = self.cycle
        is_busy = self._is_busy()
        if is_busy:
            cycle.disconnected = True
            cycle.message_event.set()
        if self._begun and not (is_busy and cycle.response_started):
            self.transport.write(_on_the_wire(status, code, detail))
        self.transport.close()
        self._watch.cancel()
        self._watch = self.loop.call_later(LINGER_S, self._look)

    def _last_whole(self) -> Any:
        """The last request that came whole and is not answered yet; None where there is none."""
        running = [] if self._running is None or self._running.response_complete else [self._running]
        waiting = [cycle for cycle, _ in self.pipeline]
        return next((cycle for cycle in [*waiting, *running] if not cycle.more_body), None)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """A request's turn has come."""
        self._running = cycle
        super()._start_asgi_task(cycle, app)


def _frames_a_body(name: bytes, value: bytes) -> bool:
    """Whether a header announces a body that is not empty."""
    return name == b"transfer-encoding" or (name == b"content-length" and bool(value.strip(b" \t0")))


def bounded_protocol(read_timeout_s: float) -> type[BoundedProtocol]:
    """The protocol with another bound, for `uvicorn.Config(http=…)`."""
    return type("BoundedProtocol", (BoundedProtocol,), {"read_timeout_s": read_timeout_s})


def _on_the_wire(status: int, code: str, detail: str) -> bytes:
    """A whole HTTP/1.1 answer, for what never became a request."""
    reply = plain_problem_reply(status, code, detail, (("connection", "close"),))
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-length: {len(reply.body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + reply.body
