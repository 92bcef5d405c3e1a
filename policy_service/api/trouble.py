"""What no handler sees: unknown paths, wrong methods, bugs (each becomes a problem document), and HEAD."""

from __future__ import annotations

import logging
import traceback
from typing import Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from policy_service.api.problems import plain_problem_reply
from policy_service.api.replies import Reply
from policy_service.api.tracing import TRACE, Trace

_LOG: Final = logging.getLogger(__name__)


async def http_problem(request: Request, error: Exception) -> Response:
    """The answer to what the router refused. Registered for Starlette's HTTPException alone."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        allowed = ", ".join(sorted(_allowed(request)))
        told = f"this path takes {allowed}"
        return plain_problem_reply(405, "method_not_allowed", told, (("allow", allowed),)).response()
    if status == 404:
        return plain_problem_reply(404, "not_found", "there is no such path; see /docs").response()
    return plain_problem_reply(status, "internal_error", "this request cannot be served").response()


def _allowed(request: Request) -> set[str]:
    """Every method that some route takes on this path; the router knows only those of the first."""
    app: FastAPI = request.app
    methods = {method for route in app.routes for method in _methods(route, request.scope)}
    return methods | {"HEAD"} if "GET" in methods else methods


def _methods(route: BaseRoute, scope: Scope) -> set[str]:
    match, _ = route.matches(scope)
    return set(route.methods or ()) if match is not Match.NONE and isinstance(route, Route) else set()


class Bugs:
    """ASGI middleware: an exception that nobody foresaw becomes a 500 problem and one entry in the log.

    The log tells the kind and the places in the code, never the exception's text: that may hold a caller's secret.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # whatever it is, the caller gets no traceback
            reply = bug_reply(error, scope.get(TRACE))
            if not started:
                await reply.response()(scope, receive, send)


def bug_reply(error: Exception, trace: Trace | None) -> Reply:
    """The answer where nobody foresaw an exception, once it is logged."""
    _LOG.error("unexpected %s at %s %s", type(error).__name__, _places(error), trace or "")
    return plain_problem_reply(500, "internal_error", "an error of this service; nothing was decided")


class Heads:
    """ASGI middleware: HEAD is GET without the body, on every path (RFC 9110 section 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


def _places(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
