"""Answers as plain data, and the one place where JSON is written.

A reply knows nothing of FastAPI, so that whatever else may answer a request gives the same bytes.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

JSON: Final = "application/json"

_ENCODER: Final = msgspec.json.Encoder()


class Reply(msgspec.Struct, frozen=True):
    """One answer. `headers` has every header but `content-length`; names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def with_headers(self, more: tuple[tuple[str, str], ...]) -> Reply:
        """The same answer with `more` headers after its own."""
        return Reply(self.status, self.headers + more, self.body) if more else self

    def response(self) -> Response:
        """The same answer for Starlette, which adds the length."""
        response = Response(self.body, self.status)
        for name, value in self.headers:
            response.headers.append(name, value)
        return response


def json_bytes(value: Any) -> bytes:
    """Compact JSON in UTF-8, members in the order given."""
    return _ENCODER.encode(value)


def unchanged_reply(headers: tuple[tuple[str, str], ...]) -> Reply:
    """304: who asks has it already. `headers` are those that the 200 would have had, but for its body's."""
    return Reply(304, (("cache-control", "no-store"), *headers), b"")


def json_reply(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A JSON answer. Nothing this service says may be kept by a cache on the way."""
    return Reply(status, (("content-type", JSON), ("cache-control", "no-store"), *headers), json_bytes(value))
