"""What the routes of one application share, and the one way from a request to a response."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from policy_service.api.crew import CrewDesk
from policy_service.api.decide import DecisionPoint
from policy_service.api.entrance import Entrance
from policy_service.api.incoming import BODY_LIMIT, Incoming, check_announced, read_body
from policy_service.api.meters import Meters
from policy_service.api.office import Office
from policy_service.api.replies import Reply
from policy_service.api.tracing import TRACE
from policy_service.model.errors import PolicyServiceError
from policy_service.service.services import Services


class Site(msgspec.Struct, frozen=True):
    """One application's parts. `make_name`: so many random bytes in hexadecimal, to name a request by."""

    services: Services
    entrance: Entrance
    point: DecisionPoint
    office: Office
    meters: Meters
    make_name: Callable[[int], str]
    crew: CrewDesk | None = None

    async def serve(
        self,
        request: Request,
        answer: Callable[[Incoming], Awaitable[Reply]],
        scope: str | Sequence[str],
        limit: int = BODY_LIMIT,
    ) -> Response:
        """Read a request within its limit, have it answered, and say so if that was not possible.

        INVARIANT: a stranger's body is not read (test_the_body_of_a_stranger_is_not_awaited): announced size, then
        caller, then body. `answer` judges the caller again, on the facts that it answers from.

        Args:
            scope: what the caller needs for its body to be read.
        """
        incoming = received(request)
        try:
            await self._have_facts()
            check_announced(incoming.headers, limit)
            self.entrance.admit(incoming, scope)
        except PolicyServiceError as error:
            return _unread(self.point.refusal(incoming, error), incoming).response()
        try:
            body = await read_body(incoming.headers, request.stream(), limit)
            incoming = msgspec.structs.replace(incoming, body=body)
            reply = await answer(incoming)
        except PolicyServiceError as error:
            reply = self.point.refusal(incoming, error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        return reply.response()

    async def timed(self, route: str, answer: Awaitable[Reply]) -> Reply:
        """The same reply; its time goes into the meters."""
        start = time.perf_counter()
        reply = await answer
        self.meters.took(route, time.perf_counter() - start)
        return reply

    async def _have_facts(self) -> None:
        """Read the facts first where nothing did yet: in process there is no start-up that would have."""
        if self.services.replica.revision == 0:
            await self.services.follower.catch_up()


def _unread(reply: Reply, incoming: Incoming) -> Reply:
    """A refusal before the body was read. A client that waits for `100 Continue` may now leave its body out: what came
    next on the connection could be taken for that body, so it ends here (RFC 9110 section 10.1.1)."""
    return reply.with_headers((("connection", "close"),)) if incoming.values("expect") else reply


def received(request: Request) -> Incoming:
    """What is known of a request before its body is read."""
    peer = request.client.host if request.client else None
    scope = request.scope
    return Incoming(tuple(request.headers.raw), peer, scope["query_string"], trace=scope.get(TRACE))
