"""The names of one request: `X-Request-Id` and W3C trace context, taken up, returned, recorded, logged.

A caller's own names are taken up only where they are sane: they end in logs and records of ours and of others. What is
not is replaced, never refused: no decision hangs on a name.

Source: W3C Trace Context, level 1. There is no standard header for responses; `traceparent` tells the caller the trace
and this service's own span in it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from policy_service.model.api_key import MIN_LENGTH, holds_api_key

RawHeaders = Iterable[tuple[bytes, bytes]]

TRACE: Final = "policy_service.trace"
"""Where a request's ASGI scope holds its trace."""

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_STATE_KEY: Final = rb"[a-z0-9][a-z0-9_*/-]{0,255}(?:@[a-z][a-z0-9_*/-]{0,13})?"
_STATE_VALUE: Final = rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_STATE_MEMBER: Final = re.compile(_STATE_KEY + rb"=" + _STATE_VALUE)
_MOST_MEMBERS: Final = 32
_LONGEST_STATE: Final = 512
_SAMPLED: Final = 0x01


class Trace(msgspec.Struct, frozen=True):
    """One request's names.

    Args:
        request_id: the caller's `X-Request-Id`, or one made here.
        trace_id: 32 hexadecimal digits, the caller's or made here.
        span_id: 16 hexadecimal digits: this service's part of the trace.
        flags: 1 where the caller records the trace, else 0. Nothing here depends on it.
        state: `tracestate`, passed on; empty where there was none that could be read.
    """

    request_id: str
    trace_id: str
    span_id: str
    flags: int = 0
    state: str = ""

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What every answer carries."""
        parent = f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"
        found = [(b"x-request-id", self.request_id.encode()), (b"traceparent", parent.encode())]
        return [*found, (b"tracestate", self.state.encode())] if self.state else found

    def lines(self) -> bytes:
        """The same, as lines of a head."""
        text = f"x-request-id: {self.request_id}\r\ntraceparent: 00-{self.trace_id}-{self.span_id}-{self.flags:02x}\r\n"
        return (f"{text}tracestate: {self.state}\r\n" if self.state else text).encode()

    def __str__(self) -> str:
        """For log lines. Holds no character that a log or terminal could trip over."""
        return f"request_id={self.request_id} trace_id={self.trace_id}"


def read_trace(headers: RawHeaders, make: Callable[[int], str] = secrets.token_hex) -> Trace:
    """The names of a request with these headers.

    Args:
        headers: as ASGI has them, names in lower case.
        make: so many random bytes in hexadecimal.
    """
    found: dict[bytes, list[bytes]] = {b"x-request-id": [], b"traceparent": [], b"tracestate": []}
    for name, value in headers:
        if name in found:
            found[name].append(value.strip())
    parent = _parent(found[b"traceparent"])
    return Trace(
        request_id=_request_id(found[b"x-request-id"]) or make(16),
        trace_id=parent[0] if parent else make(16),
        span_id=make(8),
        flags=parent[1] if parent else 0,
        # Without a parent to continue, the state belongs to nothing.
        state=_state(found[b"tracestate"]) if parent else "",
    )


def _request_id(values: list[bytes]) -> str | None:
    if len(values) != 1 or not _REQUEST_ID.fullmatch(values[0]):
        return None
    name = values[0].decode()
    # It would stand in logs and records.
    return None if len(name) >= MIN_LENGTH and holds_api_key(name) else name


def _parent(values: list[bytes]) -> tuple[str, int] | None:
    """Trace id and flags of a valid `traceparent`; None else. Later versions may add parts, version 00 may not."""
    match = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest is not None):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return trace_id.decode(), int(flags, 16) & _SAMPLED


def _state(values: list[bytes]) -> str:
    """The list of all `tracestate` headers; empty where any member of it cannot be read."""
    members = [member.strip(b" \t") for value in values for member in value.split(b",")]
    members = [member for member in members if member]
    text = b",".join(members)
    if len(members) > _MOST_MEMBERS or len(text) > _LONGEST_STATE:
        return ""
    return text.decode() if all(map(_STATE_MEMBER.fullmatch, members)) else ""


class Tracing:
    """ASGI middleware, the outermost: names each request, and puts the names on every answer, bugs' included."""

    def __init__(self, app: ASGIApp, make: Callable[[int], str] = secrets.token_hex) -> None:
        self._app = app
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = read_trace(scope["headers"], self._make)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *trace.headers()]}
            await send(message)

        await self._app({**scope, TRACE: trace}, receive, named)
