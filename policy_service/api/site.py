"""What the routes of one application share, and the one way from a request to a response."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from policy_service.api.decide import DecisionPoint
from policy_service.api.entrance import Entrance
from policy_service.api.incoming import BODY_LIMIT, Incoming, read_body
from policy_service.api.meters import Meters
from policy_service.api.office import Office
from policy_service.api.replies import Reply
from policy_service.model.errors import PolicyServiceError
from policy_service.service.services import Services


class Site(msgspec.Struct, frozen=True):
    """One application's parts."""

    services: Services
    entrance: Entrance
    point: DecisionPoint
    office: Office
    meters: Meters

    async def serve(
        self, request: Request, answer: Callable[[Incoming], Awaitable[Reply]], limit: int = BODY_LIMIT
    ) -> Response:
        """Read a request within its limit, have it answered, and say so if that was not possible."""
        incoming = received(request)
        try:
            await self._have_facts()
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


def received(request: Request) -> Incoming:
    """What is known of a request before its body is read."""
    peer = request.client.host if request.client else None
    return Incoming(tuple(request.headers.raw), peer, request.scope["query_string"])
