"""The fast lane: a protocol that answers plain `POST /decide` and `/decide/batch` itself, without a task a request.

What it answers is, byte for byte, what the documented route would (tests/property/test_lane.py). What is not plain goes
there: every other path, a query, chunks, `Expect`, `Upgrade`, a large or strange head, a head in pieces, whatever came
in one read with such a one, more than `MOST_TOGETHER` requests in one read, and what must wait for newer facts.

```
            whole plain requests                     their groups are settled: all answers in one write
  ┌──────┐ ──────────────────────────► ┌───────────┐ ────────────────────────────────────────────────┐
  │      │                             │ ANSWERING │ ◄─┐ bytes that come are kept, reading is paused  │
  │      │                             └───────────┘ ──┘                                              │
  │ FREE │ ◄────────────────────────────────────────── kept bytes are looked at as if they came now ──┘
  │      │
  │      │  one plain head, its caller good, the body not whole
  │      │ ──────────────────────────► ┌───────────┐ ── the body is whole ──► ANSWERING
  │      │                             │ GATHERING │ ── more came than the body ──► ROUTE
  │      │                             └───────────┘ ── not whole in time ──► 408, the end
  │      │  anything else
  │      │ ──────────────────────────► ┌───────────┐ uvicorn's parser and queue, FastAPI
  └──────┘ ◄────────────────────────── │   ROUTE   │
            the parser stands between  └───────────┘
            requests and all are answered
```

Both ways share the connection's bounds (`wire`), its back-pressure and its end: where the client does not read its
answers, the route takes over, which waits; on shutdown what is under way is answered with `connection: close`.

INVARIANT: uvicorn's parser never sees a byte of what the lane answered, and stands between two requests whenever the
lane takes one; where a head ends is said by a parser of its kind (`plain_heads`; test_lane: byte for byte).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, ClassVar, Final

from policy_service.api.lane_answers import Asked, Guest, LaneAnswer, LaneAnswers
from policy_service.api.lane_turns import LaneTurns
from policy_service.api.plain_heads import PlainHead
from policy_service.api.site import Site
from policy_service.api.wire import BoundedProtocol

_LOG: Final = logging.getLogger(__name__)

MOST_TOGETHER: Final = 32
"""Requests of one read that are answered in one turn of the event loop; more would hold up other connections."""


MOST_MET: Final = 64
"""Heads that a connection remembers, by the length of their requests."""


class State(Enum):
    """Where a connection is: see the drawing."""

    FREE = auto()
    ANSWERING = auto()
    GATHERING = auto()
    ROUTE = auto()


FREE: Final = State.FREE
ANSWERING: Final = State.ANSWERING


class LaneProtocol(BoundedProtocol):
    """One connection."""

    answers: ClassVar[LaneAnswers]
    turns: ClassVar[LaneTurns]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A connection is open."""
        super().connection_made(transport)
        self._state = State.FREE
        self._met: dict[int, PlainHead] = {}
        self._guest = Guest(self.client[0] if self.client else None)
        self.asked: Sequence[Asked] = ()
        self._asked_in = b""
        self._under_way: list[LaneAnswer] = []
        self._kept: list[bytes] = []
        self._kept_for_route = False
        self._gathered: list[bytes] = []
        self._missing = 0
        self._is_ending = False
        self._answered_at = 0.0

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        state = self._state
        if state is FREE or (state is State.ROUTE and self._is_between_requests()):
            self._look_at(data)
        elif state is State.ROUTE:
            super().data_received(data)
        elif state is State.GATHERING:
            self._gather(data)
        else:
            self._kept.append(data)
            self.flow.pause_reading()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as in wire
        """The client sends no more. What it asked whole is answered."""
        is_answering = super().eof_received()
        return is_answering or self._state is State.ANSWERING

    def shutdown(self) -> None:
        """The server is told to stop: what is under way is answered, and its connection then ends."""
        if self._state in (State.ANSWERING, State.GATHERING):
            self._is_ending = True
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        """An answer of the route is out."""
        self._answered_at = self.loop.time()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """The time is over that uvicorn lets a connection be idle, unless it was used since the timer was set."""
        self.timeout_keep_alive_task = None
        if self._state in (State.ANSWERING, State.GATHERING):
            return  # the answer sets another
        wait_s = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if wait_s <= 0:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(wait_s, self.timeout_keep_alive_handler)

    def _is_between_requests(self) -> bool:
        """Whether uvicorn's parser stands between two requests, and all of them are answered."""
        is_whole = self._since is None and not self.parser.should_upgrade()
        return is_whole and not self._is_busy()

    def _look_at(self, data: bytes) -> None:
        """Decide who answers what came between two requests."""
        size = len(data)
        head = self._met.get(size)
        # A request of the same length as one before has, nearly always, the same head; else a look among all others.
        if head is None or not data.startswith(head.raw):
            head = self.answers.heads.find(data)
        if head is None or self.flow.write_paused:
            self._route(data)
        elif size == head.size + head.body_size:
            if len(self._met) >= MOST_MET:
                self._met.clear()
            self._met[size] = head
            self._answer(data, ((head, data[head.size :], self._guest),))
        elif size < head.size + head.body_size and self.answers.admits(head, self._guest):
            self._begin_to_gather(data, head)
        else:
            self._answer_several(data)

    def _answer_several(self, data: bytes) -> None:
        """Requests that came together: the lane's, where all of them are whole and plain."""
        requests: list[Asked] = []
        start = 0
        while start < len(data) and (not requests or requests[-1][0].keep_alive):
            head = self.answers.heads.find(data[start:])
            end = start + (0 if head is None else head.size + head.body_size)
            if head is None or end > len(data) or len(requests) == MOST_TOGETHER:
                self._route(data)
                return
            requests.append((head, data[start + head.size : end], self._guest))
            start = end
        self._answer(data, requests)

    def _begin_to_gather(self, data: bytes, head: PlainHead) -> None:
        self._unset_keepalive_if_required()
        self._state = State.GATHERING
        self._since = self.loop.time()
        self._begun += 1
        self._gathered = [data]
        self._missing = head.size + head.body_size - len(data)

    def _gather(self, data: bytes) -> None:
        self._gathered.append(data)
        self._missing -= len(data)
        if self._missing <= 0:
            gathered, self._gathered = b"".join(self._gathered), []
            self._look_at(gathered)

    def _route(self, data: bytes) -> None:
        """Hand it to uvicorn's parser, as everything until it stands between two requests again."""
        self._state = State.ROUTE
        super().data_received(data)
        if self._is_ending:
            super().shutdown()

    def _answer(self, data: bytes, asked: Sequence[Asked]) -> None:
        """Have requests, all of `data`, answered in their order; from the first on that must wait, the route does."""
        self._state = ANSWERING
        self._since = None
        self._begun += 1
        self._asked_in, self.asked = data, asked
        self.turns.join(self, len(data), self.loop)

    def take(self, answer: LaneAnswer | None) -> bool:
        """As LaneTurns says."""
        under_way = self._under_way
        if answer is None:
            start = sum(head.size + head.body_size for head, _, _ in self.asked[: len(under_way)])
            # Before what came since.
            self._kept.insert(0, self._asked_in[start:])
            self._kept_for_route = True
            return False
        under_way.append(answer)
        return len(under_way) < len(self.asked)

    def release(self) -> None:
        """Send what is under way, where all of it may leave."""
        try:
            self._release()
        except Exception:
            _LOG.exception("an answer could not be sent")
            self.transport.abort()

    def give_up(self) -> None:
        """As LaneTurns says."""
        self.transport.abort()

    def _release(self) -> None:
        under_way = self._under_way
        for answer in under_way:
            if not answer.group.is_settled:
                self.answers.hold(self, answer.group)
                return
        # Callers' keys stand in what was asked.
        self._under_way, self.asked, self._asked_in = [], (), b""
        last = under_way[-1] if under_way else None
        ends = last is not None and (self._is_ending or not last.head.keep_alive)
        headers = self.server_state.default_headers
        parts = [self.answers.on_the_wire(answer, headers, ends=ends and answer is last) for answer in under_way]
        self.server_state.total_requests += len(parts)
        self._state = FREE
        if self.transport.is_closing():
            return
        self.transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
        if ends or self._kept or self._is_over:
            self._go_on(ends=ends)
        else:
            self._await_another()

    def _go_on(self, *, ends: bool) -> None:
        """With what was kept, with the end, or with waiting for the next request."""
        kept, self._kept = b"".join(self._kept), []
        for_route, self._kept_for_route = self._kept_for_route, False
        if ends or (self._is_over and not kept):
            self.transport.close()
            return
        self._await_another()
        self.flow.resume_reading()
        if for_route:
            self._route(kept)
        elif kept:
            self._look_at(kept)

    def _await_another(self) -> None:
        """Close the connection where no request comes for as long as uvicorn lets it: one timer, not one a request."""
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )


def lane_protocol(app: Any, read_timeout_s: float) -> type[LaneProtocol]:
    """The protocol for an application of `create_app`, for `uvicorn.Config(http=…)`."""
    site: Site = app.state.site
    answers = LaneAnswers(site)
    members = {"read_timeout_s": read_timeout_s, "answers": answers, "turns": LaneTurns(answers)}
    return type("LaneProtocol", (LaneProtocol,), members)
