"""Heads of plain requests: which the fast lane takes, and where each ends. Framing is llhttp's word alone.

A head is remembered by its very bytes, so that a caller's second request with the same head is not parsed again: the
parser is deterministic, and a connection asks only where its own parser stands between two requests. Those bytes hold
callers' keys: they are in memory only, a bounded number of them, and shown nowhere. Nothing here is thread-safe; it
belongs to one event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

import httptools
import msgspec

from policy_service.api.incoming import BATCH_LIMIT, BODY_LIMIT
from policy_service.service.discreet import Discreet

LONGEST_HEAD: Final = 8 * 1024
"""Bytes of a head that the lane takes; a longer one is not plain."""

MOST_HEADS: Final = 1024
"""Heads remembered at once: at most 8 MiB and, for heads as they usually are, some 300 KiB."""

LIMITS: Final = {b"/decide": BODY_LIMIT, b"/decide/batch": BATCH_LIMIT}
"""What is answered, and how large its body may be. A path with a query is none of these."""

RawHeaders = tuple[tuple[bytes, bytes], ...]

_START: Final = b"POST /decide"
_END: Final = b"\r\n\r\n"
_UNUSUAL: Final = frozenset({b"expect", b"upgrade", b"transfer-encoding"})
_NAMING: Final = frozenset({b"x-request-id", b"traceparent", b"tracestate"})
"""Headers that name one request: such a head does not come again."""


class Manners(Discreet, frozen=True, kw_only=True):
    """What a head says in the usual way.

    Args:
        shown: the caller's key.
        notices: lines for the answer's head, for users of an older header.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("shown",)
    shown: str
    notices: bytes


class PlainHead(Discreet, frozen=True, kw_only=True):
    """The head of a request that the lane takes.

    Args:
        raw: its very bytes, up to the body.
        size: of them.
        body_size: bytes of the body, announced by `Content-Length`; at least 1.
        headers: as ASGI has them: names in lower case, in the order received.
        keep_alive: whether another request may follow on the connection.
        is_named: it names the request or its trace.
        is_forwarded: it may say where the caller is.
        manners: None where what it says of caller and body has to be explained.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("raw", "headers")
    raw: bytes
    size: int
    body_size: int
    is_batch: bool
    headers: RawHeaders
    keep_alive: bool
    is_named: bool
    is_forwarded: bool
    manners: Manners | None = None


ReadManners = Callable[[RawHeaders], Manners | None]


class PlainHeads:
    """Finds the head that bytes start with.

    Args:
        read_manners: reads what stands in the headers besides the framing.
    """

    def __init__(self, read_manners: ReadManners = lambda _: None) -> None:
        self._read_manners = read_manners
        self._known: dict[bytes, PlainHead] = {}

    def find(self, data: bytes) -> PlainHead | None:
        """The head at the start of what came between two requests; None where it is not plain, or not whole."""
        if not data.startswith(_START):
            return None
        end = data.find(_END, 0, LONGEST_HEAD)
        if end < 0:
            return None
        raw = data[: end + len(_END)]
        return self._known.get(raw) or self._learn(raw)

    def _learn(self, raw: bytes) -> PlainHead | None:
        head = read_plain_head(raw)
        if head is None:
            return None
        head = msgspec.structs.replace(head, manners=self._read_manners(head.headers))
        if not head.is_named:
            if len(self._known) >= MOST_HEADS:
                self._known.clear()
            self._known[raw] = head
        return head


def read_plain_head(raw: bytes) -> PlainHead | None:
    """The head that these bytes are, as llhttp reads them: it alone, and nothing behind it; None where not plain."""
    reading = _Reading()
    try:
        reading.parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    length = reading.plain_length()
    if not reading.is_at_body or reading.parser.get_method() != b"POST" or length is None:
        return None
    return PlainHead(
        raw=raw,
        size=len(raw),
        body_size=length,
        is_batch=reading.url == b"/decide/batch",
        headers=tuple(reading.headers),
        keep_alive=reading.keep_alive,
        is_named=any(name in _NAMING for name, _ in reading.headers),
        is_forwarded=any(name == b"x-forwarded-for" for name, _ in reading.headers),
    )


class _Reading:
    """The callbacks of one parser that reads one head.

    Attributes:
        is_at_body: the head has ended with its very last byte, and a body is awaited.
    """

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_at_body = False
        self.keep_alive = False
        self._version = ""

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.is_at_body = True
        self._version = self.parser.get_http_version()
        self.keep_alive = self._version == "1.1" and self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:  # noqa: ARG002 - that there is any says it
        self.is_at_body = False

    def on_message_complete(self) -> None:
        self.is_at_body = False

    def plain_length(self) -> int | None:
        """The length announced, where path, version and headers are plain and it is within the path's limit."""
        limit = LIMITS.get(self.url, 0)
        lengths = [value for name, value in self.headers if name == b"content-length"]
        is_usual = self._version in ("1.0", "1.1") and not any(name in _UNUSUAL for name, _ in self.headers)
        if not is_usual or len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 9:
            return None
        length = int(lengths[0])
        return length if 0 < length <= limit else None
