"""The API on a real socket, byte by byte where it matters, on a real SQLite store."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.processes import Server, answer
from tests.waiting import until

PROBLEM = "application/problem+json"


class House:
    """A demonstration and its server."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir)
        self.server = Server(data_dir)

    def raw(self, data: bytes, *, pieces: int = 1 << 20) -> bytes:
        """Send bytes on a fresh connection, in pieces, and read until the server closes it."""
        parts = urlsplit(self.server.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            try:
                for start in range(0, len(data), pieces):
                    connection.sendall(data[start : start + pieces])
            except OSError:
                pass  # the server may have answered and closed before it had everything
            received = b""
            try:
                while chunk := connection.recv(65536):
                    received += chunk
            except ConnectionResetError:
                pass
            return received

    def head(self) -> int:
        """The store's last revision, as the server sees it."""
        revision: int = self.server.call("GET", "/readyz", None).json()["revision"]
        return revision

    def decide_raw(self, headers: str, body: bytes) -> bytes:
        """`POST /decide` with these headers, as the demo gateway, on a connection of its own."""
        head = (
            f"POST /decide HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {self.keys['caller_key']}\r\n{headers}\r\n"
        )
        return self.raw(head.encode() + body)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for all: its log must show no key in the end, and no traceback."""
    house = House(tmp_path_factory.mktemp("http") / "data")
    with house.server:
        yield house
    text = house.server.text()
    assert "Traceback" not in text
    assert "unexpected" not in text
    for name, key in house.keys.items():
        assert not name.endswith("_key") or key not in text


def status_and_code(response: bytes) -> tuple[int, str]:
    """Status and problem code of a raw response."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert PROBLEM.encode() in head, response[:500]
    return int(head.split(b" ", 2)[1]), json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])["code"]


QUESTION = json.dumps({"scope": "pipelines:run", "resource": "pipeline:etl-sandbox"}).encode()


def chunked(body: bytes, size: int) -> bytes:
    """A body in chunks."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_question_on_the_wire_is_answered(house: House) -> None:
    """Whole, in chunks, and byte by byte."""
    plain = house.decide_raw(f"Content-Length: {len(QUESTION)}\r\n", QUESTION)
    pieces = house.decide_raw("Transfer-Encoding: chunked\r\n", chunked(QUESTION, 7))
    for response in (plain, pieces):
        assert response.startswith(b"HTTP/1.1 200 ")
        assert b'"missing_credentials"' in response
    assert b"\r\nserver:" not in plain.lower()


def test_an_oversized_body_is_413_before_it_has_come(house: House) -> None:
    """By its announced length at once; in chunks as soon as there is too much of it."""
    announced = house.decide_raw("Content-Length: 1000000000\r\n", b"{")
    assert status_and_code(announced) == (413, "body_too_large")
    streamed = house.decide_raw("Transfer-Encoding: chunked\r\n", chunked(b" " * 500_000, 8192))
    assert streamed == b"" or status_and_code(streamed) == (413, "body_too_large")
    exact = QUESTION.ljust(64 * 1024)
    assert b" 200 " in house.decide_raw(f"Content-Length: {len(exact)}\r\n", exact)[:15]


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/users/%00",
        b"/v1/users/%FF",
        b"/v1/users/a%0d%0ab",
        b"/v1/resources/pipeline/-",
        b"//",
        b"/%2e%2e/x",
        b"/v1/keys/%7F",
    ],
)
def test_bad_paths_on_the_wire_are_problems(house: House, path: bytes) -> None:
    """Never a 500."""
    key = house.keys["admin_key"].encode()
    response = house.raw(
        b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + key + b"\r\n\r\n"
    )
    assert status_and_code(response)[0] in (400, 404)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"POST /decide HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /decide HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"POST /decide HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["noise", "negative length", "two lengths", "bad chunk", "endless path"],
)
def test_what_is_no_http_is_refused_and_the_server_lives(house: House, data: bytes) -> None:
    """400 or a closed connection; the next caller is served."""
    parts = urlsplit(house.server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        response = b""
        with contextlib.suppress(OSError):  # the server may hang up before all is sent
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            response = connection.recv(65536)
    assert response == b"" or b" 4" in response[:13]
    assert house.server.call("GET", "/healthz", None).json() == {"status": "ok"}


def test_a_caller_who_leaves_in_the_middle_harms_nobody(house: House) -> None:
    """The body never comes; the server goes on without a traceback."""
    parts = urlsplit(house.server.url)
    for _ in range(3):
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(b"POST /decide HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert house.server.decide(house.keys["caller_key"], scope="a:b", resource="pipeline:x")["decision"] == "deny"


def test_a_forwarded_address_is_not_believed(house: House) -> None:
    """The server listens on the loopback address, and that is where its callers are."""
    made = house.server.call(
        "POST",
        "/v1/keys",
        house.keys["admin_key"],
        {"principal": {"kind": "service", "id": "ci"}, "scopes": ["decisions:evaluate"], "cidrs": ["203.0.113.0/24"]},
    ).json()["data"]
    head = (
        f"POST /decide HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.9\r\n"
        f"Authorization: Bearer {made['key']}\r\nContent-Length: {len(QUESTION)}\r\n\r\n"
    )
    assert status_and_code(house.raw(head.encode() + QUESTION)) == (403, "ip_not_allowed")


def test_the_answering_server_has_applied_the_change(house: House) -> None:
    """No wait, no `min_revision`."""
    body = {"principal": {"kind": "service", "id": "ci"}, "scopes": ["pipelines:run"]}
    made = house.server.change("POST", "/v1/keys", house.keys["admin_key"], body)["data"]
    question = {"key": made["key"], "scope": "pipelines:run", "resource": "pipeline:etl-sandbox"}
    assert house.server.decide(house.keys["caller_key"], **question)["decision"] == "allow"
    revoked = house.server.change("POST", f"/v1/keys/{made['id']}/revoke", house.keys["admin_key"])
    decision = house.server.decide(house.keys["caller_key"], **question)
    assert (decision["reason"], decision["revision"]) == ("revoked_key", revoked["revision"])


def test_a_change_of_another_process_is_followed(house: House) -> None:
    """At once with `min_revision`, and soon without it."""
    first = answer("users", "put", "zoe", "--workspace", "demo", "--data-dir", house.data_dir)
    decision = house.server.decide(
        house.keys["caller_key"], scope="a:b", resource="pipeline:x", min_revision=first["revision"]
    )
    assert decision["revision"] >= first["revision"]
    second = answer("users", "delete", "zoe", "--workspace", "demo", "--data-dir", house.data_dir)
    until(lambda: house.head() >= second["revision"], "the server does not follow")


def test_a_connection_serves_many_requests(house: House) -> None:
    """Bad ones among them: a refusal ends nothing."""
    for _ in range(3):
        assert house.server.call("POST", "/decide", None, {}).status_code == 401
        assert house.server.call("POST", "/decide", house.keys["caller_key"], {}).status_code == 400
        assert house.server.call("GET", "/nowhere", None).status_code == 404
        assert house.server.call("GET", "/healthz", None).status_code == 200


def test_the_documentation_is_served(house: House) -> None:
    """Without a key and without a network."""
    assert house.server.call("GET", "/docs", None).text.startswith("<!doctype html>")
    assert house.server.call("GET", "/openapi.json", None).json()["openapi"].startswith("3.")
    assert "policy_service_revision" in house.server.call("GET", "/metrics", None).text
