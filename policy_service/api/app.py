"""The FastAPI application: it routes, and turns every error into a problem document. The work is done elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from policy_service.api.crew import CrewDesk
from policy_service.api.decide import DecisionPoint
from policy_service.api.entrance import Entrance, EntranceSettings
from policy_service.api.meters import Meters
from policy_service.api.names import RandomNames
from policy_service.api.office import Office
from policy_service.api.openapi import document, security
from policy_service.api.operations import readiness
from policy_service.api.routes import add_decide_routes, add_documentation, add_operation_routes, add_v1_routes
from policy_service.api.site import Site
from policy_service.api.tracing import Tracing
from policy_service.api.trouble import Bugs, Heads, http_problem
from policy_service.model.errors import StoreError
from policy_service.model.names import SYSTEM_WORKSPACE
from policy_service.service.caller import Caller
from policy_service.service.services import Services

_LOG: Final = logging.getLogger(__name__)
_DESCRIPTION: Final = "A policy decision point for API keys. A deny is a 200: act on `decision`."
_NO_TELEMETRY: Final[Any] = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI's own telemetry nearly doubles the cost of a request; ours is `/metrics`."""


class Application(FastAPI):
    """FastAPI, with the OpenAPI document that our own reading of bodies needs."""

    legacy_header: str | None = None

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = document(self, self.legacy_header)
        return self.openapi_schema


def create_app(
    services: Services,
    *,
    local_actor: str | None = None,
    settings: EntranceSettings | None = None,
    make_name: Callable[[int], str] | None = None,
) -> FastAPI:
    """The whole application.

    Args:
        services: built by bootstrap, for the event loop that will run this.
        local_actor: `local:<uid>` for an application inside a local command: it asks for no keys, and whoever speaks
            to it is the operator. Never serve such an application on a socket.
        settings: the older header and trusted proxies; None for the defaults.
        make_name: names for requests that came without: so many random bytes in hexadecimal; None for random ones.
    """
    chosen = settings or EntranceSettings()
    name = make_name or RandomNames()
    legacy = chosen.legacy.name if chosen.legacy else None
    site = _site(services, chosen, local_actor, name)
    app = _bare(site, legacy)
    app.add_middleware(Heads)
    app.add_middleware(Bugs)
    app.add_middleware(Tracing, make=name)
    app.add_exception_handler(HTTPException, http_problem)
    needed = security(legacy)
    add_decide_routes(app, site, needed)
    add_v1_routes(app, site, needed)
    add_operation_routes(app, site)
    add_documentation(app, legacy)
    return app


def _bare(site: Site, legacy: str | None) -> Application:
    """The application without a route."""
    app = Application(
        title="policy-service",
        version=_version(),
        description=_DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
        lifespan=lambda _: _following(site),
    )
    app.legacy_header = legacy
    app.state.site = site
    return app


def _site(
    services: Services, settings: EntranceSettings, local_actor: str | None, make_name: Callable[[int], str]
) -> Site:
    local = None if local_actor is None else Caller(actor=local_actor, workspace=SYSTEM_WORKSPACE, is_operator=True)
    meters = Meters()
    meters.shadow.shadow = services.shadow
    meters.ledger.services = services
    entrance = Entrance(services.gate, services.replica, settings, local)
    point = DecisionPoint(entrance, services.decisions, services.replica, meters)
    return Site(services, entrance, point, Office(entrance, services), meters, make_name, _crew(services, meters))


def _crew(services: Services, meters: Meters) -> CrewDesk | None:
    if services.member is None:
        return None
    desk = CrewDesk(services.member, services, meters, lambda: readiness(services))
    services.follower.told = desk.tell
    return desk


@contextlib.asynccontextmanager
async def _following(site: Site) -> AsyncIterator[None]:
    """Read the facts before the first request where that is possible, and follow the changes until the end."""
    follower = site.services.follower
    try:
        await follower.catch_up()
    except StoreError as error:
        _LOG.error("cannot read the facts yet: %s [%s]", error.message, error.code)
    tasks = [asyncio.create_task(follower.run()), asyncio.create_task(site.services.uses.run())]
    if site.crew is not None:
        tasks.append(asyncio.create_task(site.crew.run()))
    if site.services.snapshots is not None:
        tasks.append(asyncio.create_task(site.services.snapshots.run()))
    if site.services.watch is not None:
        tasks.append(asyncio.create_task(site.services.watch.run(follower)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await site.services.uses.flush()
        site.office.close()


def _version() -> str:
    try:
        return version("policy-service")
    except PackageNotFoundError:
        return "0"
