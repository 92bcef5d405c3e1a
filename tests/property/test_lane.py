"""Theorems of the fast lane: nobody can tell by any byte which way was taken, nor by what it leaves behind."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy_service.api.wire import BoundedProtocol
from tests.lanes import Lanes, asked
from tests.property.drawing import coin, pick, some

HEADERS = (
    "Content-Type: application/json",
    "X-Request-Id: req-7",
    "X-Request-Id: not fit",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "traceparent: nonsense",
    "tracestate: rojo=00f067aa0ba902b7",
    "Connection: close",
    "connection: Keep-Alive",
    "Content-Type: text/plain",
    "Content-Type: application/json; charset=latin-1",
    "Content-Encoding: gzip",
    "X-Forwarded-For: 198.51.100.7",
    "User-Agent: \xe9",
    "Accept: */*",
    "Expect: 100-continue",
    "Connection: Upgrade\r\nUpgrade: h2c",
    "Content-Length: 5",
    "X-Folded: a\r\n b",
    "Bad Name: x",
    "X-Nul: \x00",
)
PATHS = ("/decide", "/decide/batch")
STRANGE_PATHS = (
    "/decide?explain=true",
    "/decide?x=1",
    "/decide/",
    "/decide/batchy",
    "/%64ecide",
    "http://x/decide",
    "/",
)
RESOURCES = (
    {"type": "pipeline", "id": "etl", "workspace": "acme"},
    "pipeline:etl",
    "pipeline:locked-1",
    {"type": "pipeline", "id": "locked-1", "workspace": "acme", "owner": "mira", "attributes": {"env": "prod"}},
    {"type": "pipeline", "id": "etl", "workspace": "zeta"},
    {"type": "pipeline", "id": "etl", "attributes": {"deep": [[[{"a": [1, -0.0, 1e300, None, True, "é\x80"]}]]]}},
    {"type": "Pipeline", "id": "etl"},
    {"type": "pipeline", "id": "etl\n"},
    {"type": "pipeline", "id": "etl", "workspace": None, "owner": None, "attributes": None},
    {"type": "pipeline"},
    {"type": "pipeline", "id": "etl", "color": "red"},
    "nothing",
    7,
    None,
)
TEXTS = (None, "", "203.0.113.7", "::1", "010.8.8.8", "a\nb", "é", "\x7f", "\x85", "\ud800", 7, "x" * 300, True)
REVISIONS = (None, 0, 1, 10**6, -1, 1.0, True, 2**63 - 1, 2**63, "1")
CONTEXTS = (None, {}, {"ticket": "T-1"}, {"n": 2**53}, {"n": 2**63}, {"n": [1, {"m": {}}]}, [], "x", {"a\x01": 1})
BAD_JSON = (
    b"",
    b"{",
    b"{}",
    b"[]",
    b"null",
    b"\xef\xbb\xbf{}",
    b'{"scope":"a:b","resource":"pipeline:x"} x',
    b'{"scope":"a:b","scope":"a:b","resource":"pipeline:x"}',
    b'{"scope":"a:b","resource":{"type":"pipeline","id":"x","id":"y"}}',
    b'{"scope":"a:b","resource":"pipeline:x","context":{"a":1,"a":1}}',
    b'{"scope":"a:b","resource":"pipeline:x","context":{"a":NaN}}',
    b'{"scope":"a:b","resource":"pipeline:x","context":{"a":1e999}}',
    b'{"scope":"a:b","resource":"pipeline:x","context":{"a":[{"b":1,"b":"x"}]}}',
    b'{"scope":"a\\u003ab","resource":"pipeline:x","\\u006bey":"k","key":"l"}',
    b'{"scope":"a:b","resource":"pipeline:x","key":"\xff"}',
    b'{"scope":"a:b","resource":"pipeline:x","key":"a\x00"}',
    b'{"scope":"a:b","resource":"pipeline:x","context":{"a":' + b"[" * 33 + b"]" * 33 + b"}}",
    b'{"scope":"a:b","resource":"pipeline:x","context":{"a":' + b"[" * 3000 + b"]" * 3000 + b"}}",
    b'{"scope":"a:b","resource":"pipeline:x","context":{"big":"' + b"x" * 9000 + b'"}}',
)


@functools.cache
def lanes() -> Lanes:
    """One application for all examples."""
    return Lanes()


@st.composite
def questions(draw: st.DrawFn) -> Any:
    """What is asked: mostly well formed, and then answered with a decision."""
    if coin(draw, 12):
        return pick(draw, (7, None, [], "x"))
    keys = lanes().keys
    question: dict[str, Any] = {
        "scope": pick(draw, ("pipelines:run", "pipelines:read", "none:such", "", "é", 7)),
        "resource": pick(draw, RESOURCES),
    }
    for name in some(draw, ("key", "source_ip", "context", "min_revision", "id", "colour"), 4):
        question[name] = draw(_member(name, tuple(keys.values())))
    return question


@functools.cache
def _member(name: str, keys: tuple[str, ...]) -> st.SearchStrategy[Any]:
    options: dict[str, Sequence[Any]] = {
        "key": (*keys, keys[0][:-1], "psx_", *TEXTS),
        "source_ip": TEXTS,
        "context": CONTEXTS,
        "min_revision": REVISIONS,
        "id": ("row-1", *TEXTS),
        "colour": (1,),
    }
    return st.sampled_from(options[name])


@st.composite
def bodies(draw: st.DrawFn, path: str) -> bytes:
    """The bytes of a body."""
    if coin(draw, 6):
        return pick(draw, BAD_JSON)
    if "batch" in path and not coin(draw, 8):
        told: Any = {"requests": draw(st.lists(questions(), max_size=4))}
    else:
        told = draw(questions())
    text = json.dumps(told, ensure_ascii=coin(draw), indent=1 if coin(draw, 4) else None)
    return text.encode("utf-8", "surrogatepass")


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request: mostly plain, from a caller who may be anybody."""
    path = pick(draw, PATHS) if not coin(draw, 8) else pick(draw, STRANGE_PATHS)
    key = pick(draw, ("operator", "operator", "operator", "tenant", "elsewhere", "subject", "revoked", "", None))
    shown = None if key is None else lanes().keys.get(key, "psx_nonsense")
    headers = some(draw, HEADERS[: pick(draw, (9, 15, len(HEADERS)))], 3)
    if coin(draw, 6):
        headers.append(f"X-Planasonix-Api-Key: {lanes().keys['operator']}")
    body = draw(bodies(path))
    if coin(draw, 10):
        return _chunked(path, shown, body)
    return asked(body, key=shown, path=path, version="1.0" if coin(draw, 12) else "1.1", headers=headers)


def _chunked(path: str, key: str | None, body: bytes) -> bytes:
    head = asked(b"", key=key, path=path).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    return head + (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"


@st.composite
def noise(draw: st.DrawFn, data: bytes) -> bytes:
    """The same bytes, damaged in a place or two, or not at all."""
    if not data or not coin(draw, 3):
        return data
    damaged = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(damaged) - 1))
        match pick(draw, ("replace", "insert", "drop", "cut")):
            case "replace":
                damaged[at] = draw(st.integers(0, 255))
            case "insert":
                damaged[at:at] = pick(draw, (b"\r\n", b"\n", b"\0", b" ", b"{}", b"\r\n\r\n", b"POST "))
            case "drop":
                del damaged[at]
            case "cut":
                del damaged[at + 1 :]
    return bytes(damaged)


@st.composite
def deliveries(draw: st.DrawFn) -> list[bytes]:
    """The bytes of some requests, in the pieces in which they come."""
    data = b"".join(draw(st.lists(requests(), min_size=1, max_size=4)))
    return cut(draw, draw(noise(data)))


def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """At a few places, or none, or after every byte of the beginning."""
    if coin(draw, 10):
        return [*(data[at : at + 1] for at in range(min(400, len(data)))), data[400:]]
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


async def sent(
    way: type[BoundedProtocol], pieces: list[bytes], *, is_over: bool, patiently: bool
) -> tuple[bytes, bool]:
    """What comes back over one connection, and whether it is closed then."""
    wire = lanes().connect(way)
    await wire.deliver([piece for piece in pieces if piece], patiently=patiently)
    if is_over and not wire.transport.is_closed and not wire.protocol.eof_received():
        wire.transport.close()
    await wire.settle()
    wire.end()
    return wire.transport.written, wire.transport.is_closed


def both_ways(pieces: list[bytes], *, is_over: bool = False, patiently: bool = True) -> tuple[Any, Any]:
    """All that can be seen of one way, and of the other."""
    found = []
    for way in (lanes().route, lanes().lane):
        lanes().fresh()
        before = lanes().counted()
        answered = asyncio.run(sent(way, pieces, is_over=is_over, patiently=patiently))
        moved = {name: value - before.get(name, 0) for name, value in lanes().counted().items()}
        found.append((answered, lanes().left(), {name: value for name, value in moved.items() if value}))
    return found[0], found[1]


@given(deliveries(), st.booleans())
def test_the_lane_answers_byte_for_byte_what_the_route_answers(pieces: list[bytes], is_over: bool) -> None:
    """Valid, invalid and damaged HTTP, in any pieces; with the records, last uses, refusals and counters they leave."""
    route, lane = both_ways(pieces, is_over=is_over)
    assert lane == route


@given(st.data())
def test_pipelined_requests_are_answered_in_their_order(data: st.DataObject) -> None:
    """However fast they come, and whoever answers each."""
    good = [plain(number) for number in range(data.draw(st.integers(1, 40)))]
    if data.draw(st.booleans()):
        good[data.draw(st.integers(0, len(good) - 1))] = _chunked("/decide", lanes().keys["operator"], question(99))
    places = sorted(data.draw(st.lists(st.integers(0, sum(map(len, good))), max_size=6)))
    joined = b"".join(good)
    pieces = [joined[start:end] for start, end in zip([0, *places], [*places, len(joined)], strict=True)]
    route, lane = both_ways(pieces, patiently=False)
    assert lane == route
    assert lane[0][0].count(b"HTTP/1.1 200 OK") == len(good)


def question(number: int) -> bytes:
    """A body that says of itself which one it is: in the scope, which a denial of it tells again."""
    return json.dumps({"scope": f"none:s{number}", "resource": "pipeline:etl", "key": lanes().keys["subject"]}).encode()


def plain(number: int) -> bytes:
    """A plain request."""
    return asked(question(number), key=lanes().keys["operator"])


@given(st.lists(st.lists(requests(), min_size=1, max_size=3), min_size=2, max_size=5))
def test_whoever_asks_in_the_same_turn_is_answered_as_if_alone(asked_by: list[list[bytes]]) -> None:
    """Byte for byte, but for the decisions' ids, which are given in the order in which questions are decided."""

    async def together() -> list[bytes]:
        wires = [lanes().connect(lanes().lane) for _ in asked_by]
        for wire, asking in zip(wires, asked_by, strict=True):
            wire.protocol.data_received(b"".join(asking))
        for wire in wires:
            await wire.settle()
            wire.end()
        return [_nameless(wire.transport.written) for wire in wires]

    lanes().fresh()
    found, left = asyncio.run(together()), lanes().left()
    lanes().fresh()
    alone = [asyncio.run(sent(lanes().lane, [b"".join(each)], is_over=False, patiently=True))[0] for each in asked_by]
    assert found == [_nameless(told) for told in alone]
    assert sorted(map(_nameless, left["records"])) == sorted(map(_nameless, lanes().left()["records"]))
    assert left["uses"] == lanes().left()["uses"]


def _nameless(told: bytes) -> bytes:
    """Without the names of decisions and batches."""
    return re.sub(rb"D\d{21}", b"", told)


@given(st.data())
def test_framing_is_that_of_the_parser(data: st.DataObject) -> None:
    """Two readers of one connection must not disagree where a request ends: what hides a second one hides it twice."""
    inner = asked(question(1), key=lanes().keys["operator"])
    outer = data.draw(
        st.sampled_from(
            [
                "Content-Length: 5\r\nContent-Length: 5",
                "Content-Length: 0005",
                "Content-Length: 5 ",
                "Content-Length: +5",
                "Content-Length: 5, 5",
                "Content-Length : 5",
                "Content-Length: 5\r\nTransfer-Encoding: chunked",
                "Transfer-Encoding: chunked\r\nContent-Length: 5",
                "Content-Length:\r\n 5",
                "Content-Length: 5\nX: y",
                "X: y\r\n\r\nContent-Length: 5",
                "Content-Length: 5\rX: y",
            ]
        )
    )
    key = lanes().keys["operator"]
    head = f"POST /decide HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{outer}\r\n\r\n".encode()
    pieces = cut(data.draw, head + data.draw(st.sampled_from([b"12345", b"5\r\n12345\r\n0\r\n\r\n", b""])) + inner)
    route, lane = both_ways(pieces)
    assert lane == route
