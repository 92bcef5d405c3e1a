"""What the fast lane answers to a plain request: what the documented route would, without its task."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

import msgspec

from policy_service.api.decide import BATCH, DECIDE, answer_batch, answer_decide
from policy_service.api.incoming import Incoming
from policy_service.api.plain_heads import PlainHead, PlainHeads
from policy_service.api.replies import Reply
from policy_service.api.site import Site
from policy_service.api.tracing import Trace, read_trace
from policy_service.api.trouble import bug_reply
from policy_service.model.errors import PolicyServiceError
from policy_service.model.names import DECISIONS_EVALUATE
from policy_service.service.recording.groups import Held

Headers = Sequence[tuple[bytes, bytes]]


class LaneAnswer(msgspec.Struct, frozen=True):
    """An answer on its way: it leaves when its group is settled.

    Args:
        asked_at: when the body had been read, in seconds of `perf_counter`; None where the caller was not let in.
    """

    held: Held[Reply]
    incoming: Incoming
    trace: Trace
    head: PlainHead
    asked_at: float | None


class LaneAnswers:
    """One application's fast lane: what all of its connections share."""

    def __init__(self, site: Site, perf_counter: Callable[[], float] = time.perf_counter) -> None:
        self.heads = PlainHeads()
        self._site = site
        self._perf_counter = perf_counter

    def admits(self, head: PlainHead, peer: str | None) -> bool:
        """Whether the body of a request may be awaited here: its caller is let in, on the facts there are now."""
        try:
            self._admit(Incoming(head.headers, peer, b""))
        except PolicyServiceError:
            return False
        return self._has_facts()

    def answer(self, head: PlainHead, body: bytes, peer: str | None) -> LaneAnswer | None:
        """The answer, errors included; None where the documented route must give it: it may wait."""
        if not self._has_facts():
            return None
        trace = read_trace(head.headers, self._site.make_name)
        incoming = Incoming(head.headers, peer, b"", body, trace)
        try:
            self._admit(incoming)
        except PolicyServiceError as error:
            return LaneAnswer(Held(self._site.point.refusal(incoming, error)), incoming, trace, head, None)
        asked_at = self._perf_counter()
        try:
            held = (answer_batch if head.is_batch else answer_decide)(self._site.point, incoming)
        except Exception as error:  # as the outermost of the route's middleware does
            return LaneAnswer(Held(bug_reply(error, trace)), incoming, trace, head, None)
        return None if held is None else LaneAnswer(held, incoming, trace, head, asked_at)

    def on_the_wire(self, answer: LaneAnswer, server_headers: Headers, *, ends: bool) -> bytes:
        """The bytes of an answer whose group is settled.

        Args:
            server_headers: uvicorn's own, such as `date`.
            ends: the connection ends with it.
        """
        reply = self._site.point.final(answer.held, answer.incoming)
        if answer.asked_at is not None:
            route = BATCH if answer.head.is_batch else DECIDE
            self._site.meters.took(route, self._perf_counter() - answer.asked_at)
        own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        length = (b"content-length", b"%d" % len(reply.body))
        headers = [*server_headers, length, *own, *answer.trace.headers()]
        if ends and (b"connection", b"close") not in own:
            headers.append((b"connection", b"close"))
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (reply.status, _phrase(reply.status), lines, reply.body)

    def _has_facts(self) -> bool:
        return self._site.services.replica.revision > 0

    def _admit(self, incoming: Incoming) -> None:
        self._site.entrance.admit(incoming, DECISIONS_EVALUATE)


def _phrase(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()
