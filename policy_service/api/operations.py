"""The open paths of operators: is the process alive, can it decide, how is it doing. They name no tenant."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from policy_service.api.crew import CrewDesk
from policy_service.api.ledger_state import ledger_document, ledger_trouble
from policy_service.api.meters import Meters
from policy_service.api.problems import problem_reply
from policy_service.api.replies import Reply, json_reply
from policy_service.model.errors import StoreError
from policy_service.service.services import Services

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def health_reply() -> Reply:
    """The process lives; nothing more is said."""
    return json_reply({"status": "ok"})


def readiness_reply(services: Services, crew: CrewDesk | None = None) -> Reply:
    """Whether this process can decide: 200, or a 503 problem whose code is the reason.

    A worker that is down makes no other unready: it is shown in `workers`, and in the metrics.
    """
    try:
        document = readiness(services)
    except StoreError as error:
        return problem_reply(error)
    if crew is not None:
        document |= {"worker": crew.number, "workers": crew.workers(), "policy": {"error": crew.policy_error()}}
    return json_reply(document)


def readiness(services: Services) -> dict[str, Any]:
    """What a process that can decide says of itself.

    Raises:
        StoreError: it cannot, and why.
    """
    snapshot = services.replica.view()
    trouble = services.follower.trouble
    if trouble is not None:
        raise StoreError(trouble, "the store cannot be followed; see the log of this process", _seen(snapshot.revision))
    if snapshot.revision == 0:
        raise StoreError("starting", "this process has not read the facts yet", _seen(0))
    if snapshot.bundle is None:
        raise StoreError(
            "no_policy", "no policy is active yet; run `init` or `policy activate`", _seen(snapshot.revision)
        )
    unwritable = ledger_trouble(services)
    if unwritable is not None:
        raise StoreError(unwritable.code, unwritable.message, _seen(snapshot.revision))
    return {
        "status": "ready",
        "revision": snapshot.revision,
        "bundle": snapshot.bundle,
        "policy": {"error": None if services.watch is None else services.watch.error},
        "ledger": ledger_document(services),
    }


def _seen(revision: int) -> dict[str, Any]:
    return {"revision": revision}


async def metrics_reply(services: Services, meters: Meters, crew: CrewDesk | None = None) -> Reply:
    """Prometheus' text, with the lag measured now; of all workers, where there are several."""
    if services.shadow is not None:
        services.shadow.follow()
    meters.folder(is_broken=services.watch is not None and services.watch.error is not None)
    head = await _head(services)
    meters.freshness(services.replica.revision, head)
    headers = (("content-type", METRICS_TYPE), ("cache-control", "no-store"))
    return Reply(200, headers, meters.text() if crew is None else crew.text(head))


async def _head(services: Services) -> int | None:
    try:
        return await asyncio.to_thread(services.store.head)
    except StoreError:
        return None
