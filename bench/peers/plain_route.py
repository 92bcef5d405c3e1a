"""What anybody would write first: a FastAPI route with pydantic models in front of our engine. It records nothing.

    python -m bench.peers.plain_route PORT WORLD-AS-JSON

It does what `POST /decide` must: authenticates the caller, validates the body, checks the presented key's secret,
decides, and answers with a validated model. Set-up: uvicorn with uvloop and httptools, no access log, and FastAPI's own
telemetry off, which would nearly double its cost.

Source: FastAPI's documentation, "Tutorial: Request Body" and "Response Model"; uvicorn's, "Settings".
"""

from __future__ import annotations

import hmac
import sys
from typing import Annotated, Any, Final

import msgspec
import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from bench.peers.ours import PEPPERS, folded
from bench.workloads import NOW, World
from policy_service.engine.decide import decide
from policy_service.engine.snapshot import Snapshot
from policy_service.model.request import Request, ResourceRef
from policy_service.service.deciding.credentials import Credentials

CALLER: Final = "psx_the-plain-route-has-one-caller"
_NO_TELEMETRY: Final[Any] = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)


class Place(BaseModel):
    """The resource asked for."""

    model_config = ConfigDict(extra="forbid")
    type: str = Field(max_length=64)
    id: str = Field(max_length=256)
    workspace: str | None = None


class Asked(BaseModel):
    """The body."""

    model_config = ConfigDict(extra="forbid")
    key: str | None = None
    scope: str = Field(max_length=128)
    resource: Place
    source_ip: str | None = None
    context: dict[str, Any] = {}


class Answer(BaseModel):
    """The answer; the members that a caller acts on."""

    decision: str
    reason: str
    http_status: int
    message: str
    key_id: str | None
    workspace: str | None
    revision: int


def create_app(snapshot: Snapshot) -> FastAPI:
    """The application on a folded world."""
    app = FastAPI(telemetry=_NO_TELEMETRY)
    credentials = Credentials(PEPPERS)

    @app.post("/decide")
    async def answer(asked: Asked, authorization: Annotated[str, Header()]) -> Answer:
        if not hmac.compare_digest(authorization, f"Bearer {CALLER}"):
            raise HTTPException(401)
        place = ResourceRef(asked.resource.type, asked.resource.id, asked.resource.workspace)
        credential = credentials.check(asked.key, snapshot)
        decision = decide(Request(credential, asked.scope, place, asked.source_ip, asked.context), snapshot, NOW)
        return Answer(
            decision="allow" if decision.allowed else "deny",
            reason=decision.reason,
            http_status=decision.http_status,
            message=decision.message,
            key_id=decision.key_id,
            workspace=decision.workspace,
            revision=decision.revision,
        )

    return app


def main(port: str, world: str) -> None:
    """Serve a world."""
    described = msgspec.json.decode(world, type=World)
    app = create_app(folded(described))
    uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", access_log=False, log_level="error")


if __name__ == "__main__":
    main(*sys.argv[1:])
