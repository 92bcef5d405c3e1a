"""What the fast lane answers to a plain request: what the documented route would, without its task.

Two ways again, and the second one is the route's own: what `plain_questions` can read of a caller who is let in is
decided and written at once; whatever else it is, the route's functions judge and explain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final, Protocol

import msgspec

from policy_service.api.decide import BATCH, DECIDE, answer_batch, answer_decide
from policy_service.api.decision_text import batch_text, decision_text
from policy_service.api.incoming import Incoming, check_content_type
from policy_service.api.plain_heads import Manners, PlainHead, PlainHeads
from policy_service.api.plain_questions import read_batch, read_question
from policy_service.api.replies import Reply
from policy_service.api.site import Site
from policy_service.api.tracing import Trace, read_trace
from policy_service.api.trouble import bug_reply
from policy_service.model.errors import PolicyServiceError, RequestError, StoreError
from policy_service.model.names import DECISIONS_EVALUATE
from policy_service.service.caller import Caller
from policy_service.service.deciding.decisions import Answered, Ask
from policy_service.service.deciding.gate import Moment, Pass
from policy_service.service.recording.groups import Group, Held

Headers = Sequence[tuple[bytes, bytes]]

_JSON: Final = b"\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"


class LaneAnswer(msgspec.Struct):
    """An answer on its way: it leaves when its group is settled.

    Args:
        held: the whole reply, where the route's functions made it; else None.
        body: the body that tells the decisions, where they were made here.
        answered: those decisions, and what stands in place of others; none where they are counted together with others.
        asked_at: when the body had been read, in seconds of `perf_counter`; None where the caller was not let in, and
            where it is counted together with others.
    """

    head: PlainHead
    peer: str | None
    trace: Trace
    asked_at: float | None
    group: Group
    held: Held[Reply] | None = None
    body: bytes = b""
    answered: Sequence[Answered | PolicyServiceError] = ()

    def incoming(self) -> Incoming:
        """The request, as the route has it, without its body."""
        return Incoming(self.head.headers, self.peer, b"", trace=self.trace)


class Guest:
    """Who is at the other end of a connection, as far as is remembered of its last request.

    Attributes:
        shown: the key in that request.
        address: where its caller is; of a proxy's client, what the proxy said.
        is_forwarded: whether anything was said.
        given: the pass that its key was given there.
    """

    __slots__ = ("address", "given", "is_forwarded", "peer", "shown")

    def __init__(self, peer: str | None) -> None:
        self.peer = peer
        self.shown: str | None = None
        self.address: str | None = None
        self.is_forwarded = False
        self.given: Pass | None = None


class _Plain(msgspec.Struct, gc=False):
    """A question that can be decided together with others."""

    head: PlainHead
    body: bytes
    peer: str | None
    trace: Trace
    caller: Caller
    ask: Ask


Asked = tuple[PlainHead, bytes, Guest]
"""A request that came whole: its head, its body, and who sent it."""


class Waiting(Protocol):
    """A connection with answers under way."""

    def release(self) -> None:
        """Send them, where all of them may leave. Raises nothing."""
        ...


class LaneAnswers:
    """One application's fast lane: what all of its connections share."""

    def __init__(self, site: Site, perf_counter: Callable[[], float] = time.perf_counter) -> None:
        self.heads = PlainHeads(self._manners)
        self._site = site
        self._point = site.point
        self._replica = site.services.replica
        self._gate = site.services.gate
        self._decisions = site.services.decisions
        self._recorder = site.services.recorder
        self._meter = site.meters.decisions
        self._perf_counter = perf_counter
        self._make_name = site.make_name
        self._group: Group | None = None
        self._waiting: list[Waiting] = []
        self._start_of: Headers | None = None
        self._start = b""

    def _manners(self, headers: tuple[tuple[bytes, bytes], ...]) -> Manners | None:
        incoming = Incoming(headers, None, b"")
        try:
            shown = self._site.entrance.presented(incoming)
            check_content_type(incoming)
        except RequestError:
            return None
        notices = self._site.entrance.notices(incoming)
        return None if shown is None else Manners(shown=shown, notices=_lines(_encoded(notices)))

    def admits(self, head: PlainHead, guest: Guest) -> bool:
        """Whether the body of a request may be awaited here: its caller is let in, on the facts there are now."""
        moment = self._moment()
        return moment is not None and self._caller(head, guest, moment) is not None

    def _moment(self) -> Moment | None:
        """This one; None where there are no facts to let anybody in by."""
        if self._replica.revision == 0:
            return None
        try:
            return self._gate.moment()
        except PolicyServiceError:
            return None

    def _caller(self, head: PlainHead, guest: Guest, moment: Moment) -> Caller | None:
        """The caller, where it is let in. Why not is the route's to say."""
        manners = head.manners
        if manners is None:
            return None
        if manners.shown != guest.shown or head.is_forwarded or guest.is_forwarded:
            self._meet(guest, head, manners)
        try:
            given = guest.given = self._gate.admit_again(
                guest.given, manners.shown, DECISIONS_EVALUATE, guest.address, moment
            )
        except PolicyServiceError:
            return None
        return given.caller

    def _meet(self, guest: Guest, head: PlainHead, manners: Manners) -> None:
        """Another key than last time, or perhaps another address: the pass is of the former ones."""
        guest.given, guest.address = None, self._address(head, guest.peer)
        guest.shown, guest.is_forwarded = manners.shown, head.is_forwarded

    def _address(self, head: PlainHead, peer: str | None) -> str | None:
        return self._site.entrance.address(Incoming(head.headers, peer, b"")) if head.is_forwarded else peer

    def answer_row(self, row: Sequence[Asked]) -> list[LaneAnswer | None]:
        """The answers to requests that came in one turn, in their order; errors included.

        None stands for one that the documented route must give: it may wait.
        """
        if self._replica.revision == 0:
            return [None] * len(row)
        moment = self._moment()
        asked_at = self._perf_counter()
        plain: list[_Plain] = []
        read = [self._read(one, moment, asked_at, plain) for one in row]
        together = iter(self._together(plain, asked_at) if plain else ())
        return [next(together) if isinstance(one, _Plain) else one for one in read]

    def _read(
        self, asked: Asked, moment: Moment | None, asked_at: float, plain: list[_Plain]
    ) -> LaneAnswer | _Plain | None:
        """What is asked, where it can be decided together with others; else the answer."""
        head, body, guest = asked
        trace = self._trace(head)
        try:
            caller = None if moment is None else self._caller(head, guest, moment)
            ask = None if caller is None or head.is_batch else read_question(body, trace)
        except Exception as error:  # as the outermost of the route's middleware does; nobody else's turn ends with it
            return self._failed(head, guest.peer, trace, error)
        if caller is None or (ask is None and not head.is_batch):
            return self._explained(head, body, guest.peer, trace)
        if ask is None or ask.min_revision is not None:
            return self._alone(caller, head, body, guest.peer, trace, asked_at, ask)
        one = _Plain(head, body, guest.peer, trace, caller, ask)
        plain.append(one)
        return one

    def _together(self, plain: Sequence[_Plain], asked_at: float) -> list[LaneAnswer | None]:
        """Decisions that wait for nothing, in rows."""
        try:
            decided = self._decisions.decide_each([(one.caller, one.ask) for one in plain])
        except Exception:  # whose trouble it is will be seen: nothing is decided or recorded yet
            return [
                self._alone(one.caller, one.head, one.body, one.peer, one.trace, asked_at, one.ask) for one in plain
            ]
        group = decided.group
        group.then(partial(self._count, decided.held, group, asked_at))
        return [self._told(one, answered, group) for one, answered in zip(plain, decided.held, strict=True)]

    def _count(self, answers: Sequence[Answered | PolicyServiceError], group: Group, asked_at: float) -> None:
        """Count what was decided together, once it is recorded or could not be."""
        meter, told = self._meter, [one.decision for one in answers if isinstance(one, Answered)]
        meter.took(DECIDE, self._perf_counter() - asked_at, len(told))
        if group.failure is None:
            for decision in told:
                meter.decided(decision.allowed, decision.reason)

    def _told(self, asked: _Plain, answered: Answered | PolicyServiceError, group: Group) -> LaneAnswer | None:
        if isinstance(answered, PolicyServiceError):
            return self._refused(asked.head, asked.body, asked.peer, asked.trace, answered)
        try:
            text = decision_text(answered, asked.ask.scope)
        except Exception as error:  # as above
            return self._failed(asked.head, asked.peer, asked.trace, error)
        return LaneAnswer(asked.head, asked.peer, asked.trace, None, group, None, text)

    def _alone(
        self,
        caller: Caller,
        head: PlainHead,
        body: bytes,
        peer: str | None,
        trace: Trace,
        asked_at: float,
        ask: Ask | None,
    ) -> LaneAnswer | None:
        """One answer by itself: to a batch (then `ask` is None), or to a question with a trouble of its own."""
        try:
            if ask is None:
                answer = self._batch(caller, head, body, peer, trace)
            else:
                answer = self._decide(caller, head, ask, peer, trace)
        except PolicyServiceError as error:
            return self._refused(head, body, peer, trace, error)
        except Exception as error:  # as above
            return self._failed(head, peer, trace, error)
        if answer is None:
            return self._explained(head, body, peer, trace)
        answer.asked_at = asked_at
        return answer

    def _refused(
        self, head: PlainHead, body: bytes, peer: str | None, trace: Trace, error: PolicyServiceError
    ) -> LaneAnswer:
        held = Held(self._point.refusal(Incoming(head.headers, peer, b"", body, trace), error))
        return LaneAnswer(head, peer, trace, None, held.group, held)

    def _failed(self, head: PlainHead, peer: str | None, trace: Trace, error: Exception) -> LaneAnswer:
        held = Held(bug_reply(error, trace))
        return LaneAnswer(head, peer, trace, None, held.group, held)

    def _trace(self, head: PlainHead) -> Trace:
        if head.is_named:
            return read_trace(head.headers, self._make_name)
        names = self._make_name(40)
        return Trace(names[:32], names[32:64], names[64:])

    def _decide(self, caller: Caller, head: PlainHead, ask: Ask, peer: str | None, trace: Trace) -> LaneAnswer | None:
        """A decision; None where it must wait."""
        if ask.min_revision is not None and ask.min_revision > self._replica.revision:
            return None
        decided = self._decisions.decide(caller, ask)
        text = decision_text(decided.held, ask.scope)
        return LaneAnswer(head, peer, trace, None, decided.group, None, text, (decided.held,))

    def _batch(self, caller: Caller, head: PlainHead, body: bytes, peer: str | None, trace: Trace) -> LaneAnswer | None:
        """The decisions of a batch; None where it has to be explained, or must wait."""
        asks = read_batch(body, trace)
        reached = self._replica.revision
        if asks is None or any(ask.min_revision is not None and ask.min_revision > reached for ask in asks):
            return None
        decided = self._decisions.decide_batch(caller, asks)
        text = batch_text(asks, decided.held)
        return LaneAnswer(head, peer, trace, None, decided.group, None, text, decided.held)

    def _explained(self, head: PlainHead, body: bytes, peer: str | None, trace: Trace) -> LaneAnswer | None:
        """The answer that the route's own functions give."""
        incoming = Incoming(head.headers, peer, b"", body, trace)
        try:
            self._site.entrance.admit(incoming, DECISIONS_EVALUATE)
        except PolicyServiceError as error:
            return self._refused(head, body, peer, trace, error)
        asked_at = self._perf_counter()
        try:
            held = (answer_batch if head.is_batch else answer_decide)(self._point, incoming)
        except Exception as error:  # as above
            return self._failed(head, peer, trace, error)
        return None if held is None else LaneAnswer(head, peer, trace, asked_at, held.group, held)

    def flush(self) -> None:
        """Write now what was decided, where records are kept: the turn's questions are all answered."""
        if self._recorder is not None:
            self._recorder.flush()

    def hold(self, waiting: Waiting, group: Group) -> None:
        """Have a connection's answers released when a group is settled: one callback a group, not one a connection."""
        if group is not self._group:
            self._group, self._waiting = group, []
            group.then(partial(_release, self._waiting))
        self._waiting.append(waiting)

    def on_the_wire(self, answer: LaneAnswer, server_headers: Headers, *, ends: bool) -> bytes:
        """The bytes of an answer whose group is settled.

        Args:
            server_headers: uvicorn's own, such as `date`.
            ends: the connection ends with it.
        """
        failure = answer.group.failure
        if answer.asked_at is not None:
            self._meter.took(BATCH if answer.head.is_batch else DECIDE, self._perf_counter() - answer.asked_at)
        if answer.held is not None:
            return self._reply(self._point.final(answer.held, answer.incoming()), answer, server_headers, ends=ends)
        if failure is not None:
            refusal = self._point.refusal(answer.incoming(), StoreError(failure.code, failure.message, failure.details))
            return self._reply(refusal, answer, server_headers, ends=ends)
        for one in answer.answered:
            if isinstance(one, Answered):
                self._meter.decided(one.decision.allowed, one.decision.reason)
        if server_headers is not self._start_of:
            self._start_of = server_headers
            self._start = b"HTTP/1.1 200 OK\r\n" + _lines(server_headers) + b"content-length: "
        body, manners = answer.body, answer.head.manners
        notices = b"" if manners is None else manners.notices
        parts = (self._start, b"%d" % len(body), _JSON, notices, answer.trace.lines(), _END[ends], body)
        return b"".join(parts)

    def _reply(self, reply: Reply, answer: LaneAnswer, server_headers: Headers, *, ends: bool) -> bytes:
        own = _encoded(reply.headers)
        head = b"HTTP/1.1 %d %b\r\n" % (reply.status, HTTPStatus(reply.status).phrase.encode())
        length = b"content-length: %d\r\n" % len(reply.body)
        says_it = (b"connection", b"close") in own
        parts = (head, _lines(server_headers), length, _lines(own), answer.trace.lines(), _END[ends and not says_it])
        return b"".join((*parts, reply.body))


_END: Final = (b"\r\n", b"connection: close\r\n\r\n")


def _release(waiting: list[Waiting]) -> None:
    for one in waiting:
        one.release()


def _encoded(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
