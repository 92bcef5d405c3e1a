"""Clients that hold on to connections: the server goes on answering others, and lets go of them in time."""

from __future__ import annotations

import contextlib
import resource
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.processes import Server, answer
from tests.security.counting import Attacks
from tests.security.house import House
from tests.waiting import PATIENCE_S

READ_TIMEOUT_S = 3
KIND = "slow clients: connections held"
HEAD = b"POST /decide HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server that waits three seconds for a request, and a caller's key."""
    data_dir: Path = tmp_path_factory.mktemp("slow") / "data"
    keys = answer("init", "--demo", "--data-dir", data_dir)
    with Server(data_dir, POLICY_SERVICE_READ_TIMEOUT_S=str(READ_TIMEOUT_S)) as server:
        yield server, keys["caller_key"]


def beginnings(key: str) -> list[bytes]:
    """What a slow client may have sent so far."""
    good = HEAD + b"Authorization: Bearer " + key.encode() + b"\r\n"
    return [
        b"",
        b"\r\n",
        b"P",
        HEAD,
        HEAD + b"X-Slow: " + b"a" * 1000,
        good + b"Content-Length: 60000\r\n\r\n{",
        good + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
        good + b"Expect: 100-continue\r\nContent-Length: 60000\r\n\r\n",
        good.replace(b"/decide", b"/decide/batch") + b"Content-Length: 4000000\r\n\r\n" + b" " * 60_000,
    ]


def hold(server: Server, key: str, number: int, attacks: Attacks) -> None:
    """Open that many connections, ask as another meanwhile, and see all of them ended."""
    address = server.url.removeprefix("http://").split(":")
    starts = beginnings(key)
    with contextlib.ExitStack() as stack:
        held = []
        for at in range(number):
            connection = stack.enter_context(socket.create_connection((address[0], int(address[1])), timeout=30))
            with contextlib.suppress(ConnectionError):
                connection.sendall(starts[at % len(starts)])
            held.append(connection)
            if at % 500 == 0:
                asked(server, key)
        attacks(KIND, number)
        took = [asked(server, key) for _ in range(20)]
        attacks.note(f"{number:,} connections held: slowest of 20 answers to others {max(took) * 1e3:.0f} ms")
        assert statistics.median(took) < READ_TIMEOUT_S, "others wait until slow clients are let go"
        for connection in held:
            connection.settimeout(2 * READ_TIMEOUT_S + 30)
            with contextlib.suppress(ConnectionError):
                while connection.recv(65536):
                    pass
        asked(server, key)


def asked(server: Server, key: str) -> float:
    """Seconds until another caller has its decision."""
    start = time.monotonic()
    decision = server.decide(key, scope="pipelines:run", resource="pipeline:x")
    assert decision["reason"] == "missing_credentials"
    return time.monotonic() - start


def test_some_hundred_slow_clients_hold_nobody_up(patient: tuple[Server, str], attacks: Attacks) -> None:
    """Silent, in the middle of a line, a head, a body, a chunk: others are answered, and each is let go."""
    hold(*patient, 450, attacks)


@pytest.mark.long
def test_ten_thousand_slow_clients_hold_nobody_up(patient: tuple[Server, str], attacks: Attacks) -> None:
    """As many as this system lets one process open, up to 10,000."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        hold(*patient, min(10_000, hard - 500), attacks)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_dripping_client_is_let_go(patient: tuple[Server, str], attacks: Attacks) -> None:
    """A byte every tenth of a second renews nothing."""
    server, _ = patient
    address = server.url.removeprefix("http://").split(":")
    deadline = time.monotonic() + PATIENCE_S
    with socket.create_connection((address[0], int(address[1])), timeout=30) as connection:
        attacks(KIND)
        connection.settimeout(0.1)
        connection.sendall(HEAD + b"X-Slow: ")
        with contextlib.suppress(ConnectionError):
            while True:
                assert time.monotonic() < deadline, "it is not let go"
                connection.sendall(b"a")
                with contextlib.suppress(TimeoutError):
                    if connection.recv(65536) == b"":
                        break


def test_the_body_of_a_stranger_is_not_awaited(house: House, attacks: Attacks) -> None:
    """Without a good key, the answer comes before the body does; the announced size is judged before both."""
    cases = [
        (b"/decide", b"Content-Length: 60000", b"missing_credentials"),
        (b"/decide/batch", b"Content-Length: 4000000", b"missing_credentials"),
        (b"/decide/batch", b"Transfer-Encoding: chunked", b"missing_credentials"),
        (b"/decide/batch", b"Content-Length: 4000000\r\nExpect: 100-continue", b"missing_credentials"),
        (b"/decide/batch", b"Content-Length: 5000000", b"body_too_large"),
        (b"/decide", b"Content-Length: 70000", b"body_too_large"),
        (b"/v1/keys", b"Content-Length: 60000", b"missing_credentials"),
    ]
    for path, header, code in cases:
        # A server that awaited the body would say 408 once its patience is at an end.
        with house.connect() as connection:
            connection.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")
            received = b""
            while not received.endswith(b"}"):
                chunk = connection.recv(65536)
                assert chunk, (path, header, received)
                received += chunk
            attacks("slow clients: bodies of strangers")
            assert code in received, (path, header, received)
            assert b"100 Continue" not in received
            if b"Expect" in header:
                assert b"connection: close" in received.lower()
