"""Log lines of refused callers: enough to see an attack, too few to fill a disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from policy_service.api.refusals import LINES_PER_S, OTHER_REFUSALS, RefusalLog
from policy_service.api.tracing import Trace
from policy_service.model.reasons import REASONS
from tests.unit.api.desk import Desk, question
from tests.unit.service.house import House

TRACE = Trace("r1", "a" * 32, "b" * 16)


class Seconds:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What was logged so far."""
    with caplog.at_level(logging.INFO, "policy_service.api.refusals"):
        yield caplog.messages


def test_a_line_says_who_was_refused_and_why(lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """Reason, address, names of the request; a warning."""
    RefusalLog().note("unknown_key", "192.0.2.7", TRACE)
    RefusalLog().note("ip_not_allowed", None, None)
    assert caplog.messages == [
        f"refused a caller: unknown_key from `192.0.2.7` request_id=r1 trace_id={'a' * 32}",
        "refused a caller: ip_not_allowed from an unknown address ",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_at_most_ten_lines_a_second_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    """What is held back is counted, and told with the next line; one reason's flood hides no other's."""
    seconds = Seconds()
    log = RefusalLog(seconds)
    for _ in range(1000):
        log.note("unknown_key", "192.0.2.7", TRACE)
    log.note("revoked_key", "192.0.2.7", TRACE)
    assert len(caplog.messages) == LINES_PER_S + 1
    assert "revoked_key" in caplog.messages[-1]
    seconds.now += 0.999
    log.note("unknown_key", "192.0.2.7", TRACE)
    assert len(caplog.messages) == LINES_PER_S + 1
    seconds.now += 0.001
    for _ in range(2):
        log.note("unknown_key", "192.0.2.7", TRACE)
    assert caplog.messages[-2].endswith(" (991 more like it were not logged)")
    assert "more like it" not in caplog.messages[-1]


def test_what_is_no_refusal_of_a_caller_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in a body or a missing user is the caller's own affair; and what is kept is bounded by the reasons."""
    log = RefusalLog()
    for code in ("not_found", "missing_field", "stale", "made-up", ""):
        log.note(code, "192.0.2.7", TRACE)
    assert caplog.messages == []
    for code in (*REASONS, *OTHER_REFUSALS):
        log.note(code, None, None)
    assert len(caplog.messages) == len(REASONS) + len(OTHER_REFUSALS)


def test_an_address_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """A trusted proxy may pass on anything that its client said."""
    RefusalLog().note("unknown_key", "1\n2026 ERROR\x1b[2J\u202e" + "x" * 500, TRACE)
    (line,) = caplog.messages
    assert line.isprintable()
    assert len(line) < 300


def test_refused_callers_of_every_kind_are_logged_without_their_keys(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """By each way in; a refused decision of a caller who was let in is no refused caller."""
    weak = house.key("acme", principal="weak", scopes=("decisions:evaluate",)).text
    with Desk(house, key=weak) as desk, caplog.at_level(logging.DEBUG):
        desk.call("GET", "/v1/users", headers=[("X-Request-Id", "mine-1")])
        desk.call("POST", "/decide", question(), key=None)
        desk.call("POST", "/decide", question(), key=weak[:-1])
        desk.call("GET", f"/v1/users?access_token={weak}", key=None)
        assert desk.decide(key=weak).json()["decision"] == "deny"
    told = [message for message in caplog.messages if message.startswith("refused a caller")]
    codes = [message.split()[3] for message in told]
    assert codes == ["insufficient_scope", "missing_credentials", "malformed_key", "credentials_in_query"]
    assert "request_id=mine-1 " in told[0]
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("policy_service")]
    assert not any(weak[16:38] in message for message in ours)
