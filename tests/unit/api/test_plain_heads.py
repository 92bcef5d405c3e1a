"""Heads that the lane takes and remembers."""

from __future__ import annotations

import pytest

from policy_service.api.plain_heads import MOST_HEADS, PlainHeads, read_plain_head
from tests.lanes import BODY, Lanes, asked, plain


@pytest.fixture
def lanes() -> Lanes:
    """An application of its own."""
    return Lanes()


def test_a_remembered_head_shows_no_key(lanes: Lanes) -> None:
    """In no representation, however deep it stands in another."""
    head = lanes.lane.answers.heads.find(plain(lanes))
    assert head is not None
    assert head.manners is not None
    shown = repr([head, head.manners, lanes.lane.answers.heads])
    assert "…" in shown
    assert not any(key in shown for key in lanes.keys.values())


def test_heads_are_remembered_up_to_a_bound() -> None:
    """And such as name one request are not."""
    heads = PlainHeads()
    for number in range(MOST_HEADS + 10):
        request = asked(BODY, headers=(f"X-Number: {number}",))
        assert heads.find(request) is heads.find(request)
        assert heads.find(request) is not None
    assert len(heads._known) == 10
    named = asked(BODY, headers=("X-Request-Id: seven",))
    assert heads.find(named) is not heads.find(named)


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /decide HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /decide HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST /decide HTTP/1.1\r\n\r\n",
        b"POST /decide HTTP/1.1\r\nContent-Length: 65537\r\n\r\n",
        b"POST /decide HTTP/1.1\r\nContent-Length: 00000000002\r\n\r\n",
        b"POST /decide/batch HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n",
        b"POST /decide\r\nContent-Length: 2\r\n\r\n",
        b"PUT /decide HTTP/1.1\r\nContent-Length: 2\r\n\r\n",
        b"POST /decide HTTP/1.1\r\nContent-Length: 2\r\nBad Name: x\r\n\r\n",
    ],
)
def test_what_is_no_plain_head(raw: bytes) -> None:
    """More than a head, no body, one past the limit, no HTTP."""
    assert read_plain_head(raw) is None
