"""One request as it came in, and the strict reading of its parts: size, headers, query. Knows no use case."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from policy_service.api.tracing import Trace
from policy_service.api.validation import mistake, near, refusal
from policy_service.model.errors import RequestError

KIB: Final = 1024
BODY_LIMIT: Final = 64 * KIB
BATCH_LIMIT: Final = 4 * KIB * KIB

RawHeaders = Iterable[tuple[bytes, bytes]]

_JSON_LIKE: Final = frozenset({"application/json", "text/json"})
_UNTOLD: Final = frozenset({"", "application/x-www-form-urlencoded"})
"""What stands there when nobody chose: `curl -d` and Python's urllib say that it were a form. The body is read as JSON
all the same, and a form is no JSON."""


class Incoming(msgspec.Struct, frozen=True):
    """One request.

    Args:
        headers: as ASGI has them: names in lower case, in the order received.
        peer: the address of the TCP peer; None where there is none (a unix socket, a call in process).
        query: the raw query string.
        body: read whole, within its limit.
        trace: the names it goes by; None where nobody named it.
    """

    headers: tuple[tuple[bytes, bytes], ...]
    peer: str | None
    query: bytes
    body: bytes = b""
    trace: Trace | None = None

    def values(self, name: str) -> list[str]:
        """Every value of a header, by its name in lower case."""
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for found, value in self.headers if found == wanted]


def check_announced(headers: RawHeaders, limit: int) -> None:
    """Refuse a body that says of itself that it is too large, before any of it is read.

    Raises:
        RequestError: 413 `body_too_large`.
    """
    announced = next((value for name, value in headers if name == b"content-length"), b"")
    if announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)


async def read_body(headers: RawHeaders, stream: AsyncIterator[bytes], limit: int) -> bytes:
    """A whole body, of which never more than `limit` bytes (and one chunk) are held.

    Raises:
        RequestError: 413 `body_too_large`, judged by the announced length where there is one, else while reading.
    """
    check_announced(headers, limit)
    parts: list[bytes] = []
    size = 0
    async for chunk in stream:
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        parts.append(chunk)
    return b"".join(parts)


def _too_large(limit: int) -> RequestError:
    return RequestError("body_too_large", f"the body is larger than {limit // KIB} KiB; send less at once", status=413)


def check_content_type(incoming: Incoming) -> None:
    """Refuse a body that says of itself that it is something else than JSON in UTF-8.

    Raises:
        RequestError: 415 `unsupported_media_type`.
    """
    if any(value.strip().lower() not in ("", "identity") for value in incoming.values("content-encoding")):
        raise _unsupported("compressed bodies are not read; send it plain")
    for value in incoming.values("content-type"):
        media, _, rest = value.lower().partition(";")
        kind = media.strip()
        if kind not in _JSON_LIKE and kind not in _UNTOLD and not kind.endswith("+json"):
            raise _unsupported("the body must be JSON; send `Content-Type: application/json`")
        if "charset" in rest and "utf-8" not in rest and "utf8" not in rest:
            raise _unsupported("the body must be JSON in UTF-8; leave `charset` out")


def _unsupported(message: str) -> RequestError:
    return RequestError("unsupported_media_type", message, status=415)


def read_query(query: bytes, known: Iterable[str]) -> dict[str, str]:
    """The query's parameters, each at most once and none but the known ones.

    Raises:
        RequestError: 400 `unknown_parameter`, `duplicate_parameter`, `invalid_parameter`.
    """
    names = tuple(known)
    found: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in names:
            raise _wrong("unknown_parameter", name, f"unknown parameter{near(name, names)}")
        if name in found:
            raise _wrong("duplicate_parameter", name, "the parameter stands twice")
        if not value.isprintable():
            raise _wrong("invalid_parameter", name, "the value holds a control character")
        found[name] = value
    return found


def read_flag(query: Mapping[str, str], name: str) -> bool:
    """A parameter that is `true` or `false`; absent is false."""
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise _wrong("invalid_parameter", name, "must be `true` or `false`")
    return value == "true"


def read_number(query: Mapping[str, str], name: str) -> int | None:
    """A parameter that is a whole number, of at most nine digits; None when absent."""
    value = query.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise _wrong("invalid_parameter", name, "must be a whole number")
    return int(value)


def _wrong(code: str, name: str, told: str) -> RequestError:
    shown = "".join(c if c.isprintable() else "�" for c in name[:64])
    return refusal([{**mistake(code, (), f"`?{shown}`: {told}"), "path": f"?{shown}"}])
