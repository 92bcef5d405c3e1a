"""Noise on the wire, broken and bent requests, and every documented route with every kind of key: never a 5xx."""

from __future__ import annotations

import json
import random
import re
import time
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.security.counting import Attacks
from tests.security.house import House
from tests.security.routes import documented

with warnings.catch_warnings():
    # Not ours to mend: what the fuzzer's own dependencies say when they are imported.
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import Case, GenerationMode

STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
QUESTION = {
    "key": "psx_x",
    "scope": "pipelines:run",
    "source_ip": "10.0.0.1",
    "context": {"ticket": "OPS-1"},
    "min_revision": 1,
    "resource": {"type": "pipeline", "id": "x", "workspace": "demo", "owner": "ada", "attributes": {"env": "dev"}},
}
SHARDS = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"null",
    b"NaN",
    b"-0",
    b"1e999",
    b"1E-999999999",
    b"9" * 400,
    b"-9223372036854775809",
    b"9223372036854775808",
    b"0x1",
    b"+1",
    b".5",
    b"5.",
    b"01",
    b"true",
    b"\x00",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
    b"\x7f",
    b"\x85",
    b"[" * 5000,
    b'{"a":' * 5000,
    b'"key":"k",' * 3,
    b"/*x*/",
    b"//x\n",
    b"'",
    b"__proto__",
    b"$ref",
    b" " * 3000,
    b"\t\r\n",
]


def bent(rng: random.Random, data: bytes) -> bytes:
    """A few cuts, doublings, swaps of bytes and shards."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        match rng.randrange(5):
            case 0:
                data = data[:at] + rng.choice(SHARDS) + data[at:]
            case 1:
                data = data[:at] + data[at + rng.randint(1, 8) :]
            case 2:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 3:
                other = rng.randint(0, len(data))
                data = data[:at] + data[min(at, other) : max(at, other)] + data[at:]
            case _:
                data = data[:at]
    return data


def _bodies(house: House, seconds: float, attacks: Attacks) -> None:
    """Bent bodies to every route that reads one, by somebody who may send them."""
    rng = random.Random(3)
    routes = [route for route in documented(house) if route.body is not None]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        route = rng.choice(routes)
        body = {"/decide": QUESTION, "/decide/batch": {"requests": [QUESTION, QUESTION]}}.get(route.path, route.body)
        data = bent(rng, json.dumps(body).encode())
        path = route.path_for(house, "never").replace("ada", "fuzzed")
        response = house.call(
            route.method, path, house.keys["system"], content=data, params=route.needed("fuzz-nowhere")
        )
        attacks("fuzz: bent JSON")
        assert response.status_code < 500 or response.json()["code"] == "stale", (route, data[:500], response.text)
        assert response.json() is not None
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json", (route, data[:500])


def _wire(house: House, seconds: float, attacks: Attacks) -> None:
    """Random bytes and bent requests on sockets of their own."""
    rng = random.Random(5)
    body = json.dumps(QUESTION).encode()
    heads = [
        f"POST /decide HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.keys['caller']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" * 3,
        b'POST /decide HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"key\r\n0\r\n\r\n',
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://127.0.0.1/healthz HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /decide HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMA\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
    ]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = rng.randbytes(rng.randint(1, 3000)) if rng.random() < 0.3 else bent(rng, rng.choice(heads))
        received = house.raw(data)
        attacks("fuzz: raw bytes")
        statuses = {int(status) for status in STATUS.findall(received)}
        assert not any(status >= 500 for status in statuses), (data[:500], received[:500])
    assert house.call("GET", "/healthz", None).json() == {"status": "ok"}


def test_bent_json_is_never_a_server_error(house: House, attacks: Attacks) -> None:
    """Mutations of valid bodies, for some seconds: an answer or a problem document."""
    _bodies(house, 5, attacks)


def test_noise_on_the_wire_is_never_a_server_error(house: House, attacks: Attacks) -> None:
    """Random bytes, bent requests, other protocols; the server lives."""
    _wire(house, 4, attacks)


@pytest.mark.long
def test_bent_json_is_never_a_server_error_for_longer(house: House, attacks: Attacks) -> None:
    """Forty seconds of it."""
    _bodies(house, 40, attacks)


@pytest.mark.long
def test_noise_on_the_wire_is_never_a_server_error_for_longer(house: House, attacks: Attacks) -> None:
    """Forty seconds of it."""
    _wire(house, 40, attacks)


INNER = b"PUT /v1/users/smuggled HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}"
SMUGGLERS = {
    "both lengths": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n",
    "a list of lengths": b"Content-Length: 0, %d\r\n\r\n",
    "a signed length": b"Content-Length: +%d\r\n\r\n",
    "a length in hex": b"Content-Length: 0x%x\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "a folded header": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "chunked not last": b"Transfer-Encoding: chunked, identity\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "a tab": b"Transfer-Encoding: \tchunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "a bare line feed": b"Transfer-Encoding: chunked\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "a bare carriage return": b"X: y\rContent-Length: %d\r\n\r\n",
    "a chunk extension": b"Transfer-Encoding: chunked\r\nX: %d\r\n\r\n0;\n\r\n\r\n",
    "expected to go on": b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLERS)
def test_no_request_is_smuggled_in_another(house: House, name: str, attacks: Attacks) -> None:
    """Where two readers could disagree on where a request ends, it is refused, or its body is a body.

    What stands inside is a good change by a good key: it is made only if it is taken for a request of its own.
    """
    inner = INNER % (house.keys["admin"] or "").encode()
    before = house.revision()
    for method in (b"POST /decide", b"GET /healthz"):
        head = method + b" HTTP/1.1\r\nHost: x\r\n" + SMUGGLERS[name] % len(inner)
        house.raw(head + inner)
        attacks("request smuggling")
    assert house.call("GET", "/v1/users/smuggled", house.keys["admin"]).status_code == 404
    assert house.revision() == before


FUZZED_AS = ("admin", "admin by role", "user's own keys", "decider", "explainer", "pipelines only", "none", "revoked")


@pytest.mark.long
@pytest.mark.parametrize("kind", FUZZED_AS)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"])
def test_no_documented_request_is_a_server_error_with_any_key(
    house: House, kind: str, mode: GenerationMode, attacks: Attacks
) -> None:
    """Schemathesis over the whole document, as each kind of caller; the victim's facts stay as they were."""
    document = house.call("GET", "/openapi.json", None).json()
    schema = schemathesis.openapi.from_dict(document)
    key = house.keys[kind]
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    before = house.victim_facts()
    for route in documented(house):
        if route.path.endswith(("/revoke", "/rotate")) or route.method == "DELETE":
            continue  # with ids drawn at random they find nothing; the table of routes tries them by name

        @settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(schema[route.path][route.method].as_strategy(generation_mode=mode))
        def judge(case: Case) -> None:
            response: Any = case.call(base_url=house.server.url, headers=headers)
            attacks("fuzz: the OpenAPI document")
            assert response.status_code < 500, (route.path, response.text)  # noqa: B023 - judged before the next turn

        judge()
    assert house.victim_facts() == before
