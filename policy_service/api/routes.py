"""Puts the routes on the application: each hands its request on and says in the OpenAPI document what it is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, JSONResponse, Response

from policy_service.api.bodies import BatchBody, DecideBody
from policy_service.api.decide import (
    BATCH,
    DECIDE,
    answer_batch,
    answer_batch_later,
    answer_decide,
    answer_decide_later,
)
from policy_service.api.docs_page import docs_page
from policy_service.api.endpoints import Endpoint
from policy_service.api.explain import EXPLAIN, answer_explain
from policy_service.api.incoming import BATCH_LIMIT, Incoming
from policy_service.api.openapi import (
    conditional_parameters,
    parameters,
    problem_responses,
    request_body,
    tagged_responses,
)
from policy_service.api.operations import health_reply, metrics_reply, readiness_reply
from policy_service.api.replies import Reply
from policy_service.api.shapes import BatchShape, DecisionShape, Envelope, ExplainedShape, Health, Readiness
from policy_service.api.site import Site
from policy_service.api.v1_routes import ENDPOINTS
from policy_service.model.names import DECISIONS_EVALUATE, DECISIONS_EXPLAIN
from policy_service.service.deciding.change_search import ChangeSearch

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Json = dict[str, Any]

_EVERYWHERE: Final = (400, 401, 403, 503)
_WITH_A_BODY: Final = (413, 415)


def add_decide_routes(app: FastAPI, site: Site, security: list[Json]) -> None:
    """`POST /decide`, `POST /decide/batch` and `POST /v1/explain`."""

    async def decided(incoming: Incoming) -> Reply:
        held = answer_decide(site.point, incoming)
        if held is None:
            return await answer_decide_later(site.point, site.services.follower, incoming)
        return await site.point.released(held, incoming)

    async def decided_together(incoming: Incoming) -> Reply:
        held = answer_batch(site.point, incoming)
        if held is None:
            return await answer_batch_later(site.point, site.services, incoming)
        return await site.point.released(held, incoming)

    async def decide(request: Request) -> Response:
        return await site.serve(request, lambda incoming: site.timed(DECIDE, decided(incoming)), DECISIONS_EVALUATE)

    async def decide_batch(request: Request) -> Response:
        return await site.serve(
            request,
            lambda incoming: site.timed(BATCH, decided_together(incoming)),
            DECISIONS_EVALUATE,
            BATCH_LIMIT,
        )

    search = ChangeSearch()

    async def explain(request: Request) -> Response:
        def answer(incoming: Incoming) -> Coroutine[Any, Any, Reply]:
            return site.timed(EXPLAIN, answer_explain(site.point, site.services.follower, search, incoming))

        return await site.serve(request, answer, DECISIONS_EXPLAIN)

    add = _adder(app, "decisions", security)
    add("/decide", decide, "Decide one request. A deny is a 200.", DecisionShape, DecideBody, ("explain",))
    add("/decide/batch", decide_batch, "Decide 1 to 1000 requests on one snapshot.", BatchShape, BatchBody, ())
    told = "Decide one request; say why in sentences, and what would turn a deny into an allow."
    add("/v1/explain", explain, told, Envelope[ExplainedShape], DecideBody, ())


def _adder(app: FastAPI, tag: str, security: list[Json]) -> Callable[..., None]:
    def add(
        path: str, handler: Handler, summary: str, shape: Any, body: type[BaseModel], query: tuple[str, ...]
    ) -> None:
        app.add_api_route(
            path,
            handler,
            methods=["POST"],
            tags=[tag],
            operation_id=handler.__name__,
            summary=summary,
            response_model=shape,
            responses=problem_responses((*_EVERYWHERE, *_WITH_A_BODY)),
            openapi_extra=_extra(path, security, query, body),
        )

    return add


def _extra(
    path: str, security: list[Json], query: tuple[str, ...], body: type[BaseModel] | None, required: bool = True
) -> Json:
    extra: Json = {"security": security, "parameters": parameters(path, query)}
    if body is not None:
        extra["requestBody"] = request_body(body, required)
    return extra


def add_v1_routes(app: FastAPI, site: Site, security: list[Json]) -> None:
    """Every row of the table."""
    for endpoint in ENDPOINTS:
        _add_endpoint(app, site, security, endpoint)


def _add_endpoint(app: FastAPI, site: Site, security: list[Json], endpoint: Endpoint) -> None:
    async def handler(request: Request) -> Response:
        async def answer(incoming: Incoming) -> Reply:
            reply = await site.office.answer(endpoint, incoming, request.path_params)
            return reply.with_headers(site.entrance.notices(incoming))

        return await site.serve(request, answer, endpoint.scope, endpoint.limit)

    usual, *others = endpoint.statuses
    with_body = _WITH_A_BODY if endpoint.body is not None else ()
    conditional = (412,) if endpoint.subject is not None and endpoint.method != "GET" else ()
    problems = sorted({*_EVERYWHERE, *endpoint.problems, *with_body, *conditional})
    answers = tagged_responses(endpoint.method, endpoint.statuses) if endpoint.subject is not None else {}
    for status in others:
        answers[status] = {**answers.get(status, {}), "model": endpoint.data, "description": "Created"}
    app.add_api_route(
        endpoint.path,
        handler,
        methods=[endpoint.method],
        tags=[endpoint.tag],
        operation_id=endpoint.name,
        summary=endpoint.summary,
        status_code=usual,
        response_model=endpoint.data,
        responses=answers | problem_responses(problems),
        openapi_extra=_endpoint_extra(endpoint, security),
    )


def _endpoint_extra(endpoint: Endpoint, security: list[Json]) -> Json:
    extra = _extra(endpoint.path, security, endpoint.parameters(), endpoint.body, required=endpoint.body_required)
    if endpoint.subject is not None:
        extra["parameters"] += conditional_parameters(endpoint.method)
    return extra


def add_operation_routes(app: FastAPI, site: Site) -> None:
    """The open paths, but for the documentation."""

    async def healthz() -> Response:
        return health_reply().response()

    async def readyz() -> Response:
        return readiness_reply(site.services, site.crew).response()

    async def metrics() -> Response:
        return (await metrics_reply(site.services, site.meters, site.crew)).response()

    def add(path: str, handler: Callable[..., Any], summary: str, **more: Any) -> None:
        app.add_api_route(
            path, handler, methods=["GET"], tags=["operations"], operation_id=path[1:], summary=summary, **more
        )

    text: dict[int | str, Json] = {
        200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": "policy_service_revision 42.0\n"}}}
    }
    add("/healthz", healthz, "The process lives.", response_model=Health)
    add("/readyz", readyz, "The process can decide.", response_model=Readiness, responses=problem_responses((503,)))
    add("/metrics", metrics, "Prometheus.", response_class=Response, responses=text)


def add_documentation(app: FastAPI, legacy_header: str | None) -> None:
    """`/docs` and `/openapi.json`. Both are made from what the application says of itself."""

    async def openapi_json(_: Request) -> Response:
        return JSONResponse(app.openapi())

    async def docs(_: Request) -> Response:
        return HTMLResponse(docs_page(app.openapi(), legacy_header))

    app.add_route("/openapi.json", openapi_json, include_in_schema=False)
    app.add_route("/docs", docs, include_in_schema=False)
