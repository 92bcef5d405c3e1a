"""`X-Request-Id` and W3C trace context: taken up where sane, on every answer, in records and log lines."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from policy_service.api.tracing import Trace, read_trace
from policy_service.model.api_key import format_api_key
from tests.unit.api.desk import Desk, question

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def made(size: int) -> str:
    """Foreseeable names."""
    return "ab" * size


def read(*headers: tuple[str, str]) -> Trace:
    """The names of a request with these headers."""
    return read_trace([(name.encode(), value.encode("latin-1")) for name, value in headers], made)


@pytest.mark.parametrize("name", ["a", "0", "req-1", "A.b_c:d/e+f=g@h", "9f8b" * 32, "01JDK3"])
def test_a_sane_request_id_is_taken_up(name: str) -> None:
    """Whatever its form: UUIDs, ULIDs, paths."""
    assert read(("x-request-id", name)).request_id == name
    assert read(("x-request-id", f" {name} ")).request_id == name


@pytest.mark.parametrize(
    "name",
    ["", " ", "-a", "a b", "a\tb", "a\x1b[2J", "ä", "a" * 129, 'a"b', "a,b", "a;b", "<a>", "{a}", "a\x7f", "a%0ab"],
)
def test_a_request_id_that_is_not_sane_is_replaced(name: str) -> None:
    """It would end in logs; the request itself is none the worse for it."""
    assert read(("x-request-id", name)).request_id == "ab" * 16


def test_several_request_ids_are_none() -> None:
    """Nobody guesses which one was meant."""
    assert read(("x-request-id", "a"), ("x-request-id", "a")).request_id == "ab" * 16


def test_a_trace_is_continued_with_a_span_of_our_own() -> None:
    """The caller's trace and its wish to record it; our span; its vendors' state."""
    trace = read(("traceparent", PARENT), ("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"))
    assert trace.headers() == [
        (b"x-request-id", b"ab" * 16),
        (b"traceparent", f"00-{TRACE_ID}-{'ab' * 8}-01".encode()),
        (b"tracestate", b"congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
    ]
    assert str(trace) == f"request_id={'ab' * 16} trace_id={TRACE_ID}"


@pytest.mark.parametrize(
    ("parent", "flags"),
    [
        (PARENT, 1),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-00", 0),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-ff", 1),
        (f"00-{TRACE_ID}-00f067aa0ba902b7-02", 0),
        (f"01-{TRACE_ID}-00f067aa0ba902b7-01", 1),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01-what-the-future-will-be-like", 1),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01-", 1),
    ],
)
def test_a_valid_parent_is_taken_up(parent: str, flags: int) -> None:
    """Of later versions, what version 00 knows."""
    trace = read(("traceparent", parent))
    assert (trace.trace_id, trace.flags) == (TRACE_ID, flags)


@pytest.mark.parametrize(
    "parent",
    [
        "",
        f"ff-{TRACE_ID}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-00f067aa0ba902b7-01-more",
        f"00-{TRACE_ID}-00f067aa0ba902b7-01-",
        f"cc-{TRACE_ID}-00f067aa0ba902b7-01.more",
        f"00-{TRACE_ID.upper()}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-00f067aa0ba902b7",
        f"00-{TRACE_ID}-00f067aa0ba902b7-1",
        f"0-{TRACE_ID}-00f067aa0ba902b7-01",
        f"00_{TRACE_ID}_00f067aa0ba902b7_01",
        f"00-{TRACE_ID[:-1]}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID[:-1]}g-00f067aa0ba902b7-01",
        f"{PARENT}\n",
    ],
)
def test_an_invalid_parent_starts_a_new_trace(parent: str) -> None:
    """And its state goes with it (W3C Trace Context section 4.3)."""
    trace = read(("traceparent", parent.rstrip("\n") + ("x" if parent.endswith("\n") else "")), ("tracestate", "a=1"))
    assert (trace.trace_id, trace.flags, trace.state) == ("ab" * 16, 0, "")


def test_two_parents_are_none() -> None:
    """Even equal ones."""
    assert read(("traceparent", PARENT), ("traceparent", PARENT)).trace_id == "ab" * 16


@pytest.mark.parametrize(
    ("states", "passed_on"),
    [
        (["a=1"], "a=1"),
        (["a=1", "b=2"], "a=1,b=2"),
        (["a=1 , \t b=2,,", ""], "a=1,b=2"),
        (["fw529a3039@dt=FfffffQ:1"], "fw529a3039@dt=FfffffQ:1"),
        (["a=x y"], "a=x y"),
        (["a"], ""),
        (["a="], ""),
        (["A=1"], ""),
        (["a=1=2"], ""),
        (["a=\x1b[2J"], ""),
        (["a=ä"], ""),
        (["@b=1"], ""),
        ([",".join(f"k{number}=1" for number in range(33))], ""),
        (["a=" + "x" * 256], "a=" + "x" * 256),
        (["a=" + "x" * 257], ""),
        (["a=" + "x" * 255, "b=" + "x" * 255], ""),
    ],
)
def test_a_state_is_passed_on_whole_or_not_at_all(states: list[str], passed_on: str) -> None:
    """Several headers are one list; what cannot be read is not handed to others."""
    assert read(("traceparent", PARENT), *(("tracestate", state) for state in states)).state == passed_on


CALLS: list[tuple[str, str, int]] = [
    ("POST", "/decide", 400),
    ("POST", "/decide/batch", 400),
    ("GET", "/v1/users", 200),
    ("GET", "/v1/users/nobody", 404),
    ("PUT", "/v1/users/x", 400),
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 503),
    ("HEAD", "/readyz", 503),
    ("GET", "/metrics", 200),
    ("GET", "/docs", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/nothing", 404),
    ("DELETE", "/decide", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), CALLS)
def test_every_answer_carries_its_names(tenant: Desk, method: str, path: str, status: int) -> None:
    """Good or bad, guarded or open: the caller's where it gave some, else ours."""
    own = [("X-Request-Id", "mine-1"), ("traceparent", PARENT), ("tracestate", "a=1")]
    answer = tenant.call(method, path, headers=own)
    assert answer.status_code == status
    assert answer.headers["x-request-id"] == "mine-1"
    assert re.fullmatch(f"00-{TRACE_ID}-[0-9a-f]{{16}}-01", answer.headers["traceparent"])
    assert answer.headers["tracestate"] == "a=1"
    other = tenant.call(method, path)
    assert re.fullmatch("[0-9a-f]{32}", other.headers["x-request-id"])
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", other.headers["traceparent"])
    assert "tracestate" not in other.headers


def test_no_two_requests_share_a_made_name(tenant: Desk) -> None:
    """They are random."""
    names = [tenant.call("GET", "/healthz").headers for _ in range(5)]
    assert len({name["x-request-id"] for name in names}) == len({name["traceparent"] for name in names}) == 5


def test_decisions_are_recorded_with_the_names_of_their_request(operator: Desk) -> None:
    """One alone, explained, and each of a batch, whose items have ids of their own besides."""
    own = [("X-Request-Id", "mine-1"), ("traceparent", PARENT)]
    key = operator.house.key().text
    operator.call("POST", "/decide", question(key=key), headers=own)
    operator.call("POST", "/decide?explain=true", question(key=key), headers=own)
    operator.call("POST", "/decide/batch", {"requests": [question(id="a"), question(id="b")]}, headers=own)
    recorded = operator.house.sink.decided
    assert {(item.request_id, item.trace_id) for item in recorded} == {("mine-1", TRACE_ID)}
    assert [item.item_id for item in recorded] == [None, None, "a", "b"]


def test_a_bug_is_logged_with_the_names_of_its_request(
    operator: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that who complains can be helped; and the answer has them too."""

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(operator.services.administration.__class__, "list_users", broken)
    with caplog.at_level(logging.ERROR):
        answer = operator.call("GET", "/v1/users?workspace=acme", headers=[("X-Request-Id", "mine-1")])
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine-1")
    assert "request_id=mine-1 trace_id=" in caplog.text


def test_a_request_id_that_holds_a_key_is_replaced() -> None:
    """It would stand in logs and records."""
    key = format_api_key("psx", "K00000000001", "s" * 22)
    for name in (key, f"call-{key}"):
        assert read_trace([(b"x-request-id", name.encode())]).request_id != name
    other = key.replace("ss", "tt")
    assert read_trace([(b"x-request-id", other.encode())]).request_id == other
