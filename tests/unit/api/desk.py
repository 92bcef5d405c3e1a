"""The whole application over a furnished house, in process: no socket, one event loop, one client."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any

import httpx

from policy_service.api.app import create_app
from policy_service.api.entrance import EntranceSettings
from policy_service.service.auditing.decision_log import DecisionLog
from policy_service.service.following.follower import Follower
from policy_service.service.services import Services
from tests.unit.service.house import House

PEER = "192.0.2.7"
ADMIN_SCOPES = ("admin:organization", "decisions:evaluate", "decisions:explain", "decisions:read")
PROBLEM = "application/problem+json"


def services_of(house: House) -> Services:
    """The house's use cases, bundled as bootstrap bundles them."""
    return Services(
        store=house.store,
        clock=house.clock,
        bundles=house.bundles,
        replica=house.replica,
        follower=Follower(house.replica, house.store),
        credentials=house.credentials,
        gate=house.gate,
        decisions=house.decisions,
        administration=house.admin,
        decision_log=DecisionLog(house.ledger_folder, house.store),
        shadow=house.shadow,
        recorder=house.recorder,
        uses=house.uses,
        peppers=house.peppers,
    )


class Desk:
    """A client of the application. `key` is shown as Bearer unless a call says otherwise."""

    def __init__(
        self,
        house: House,
        *,
        key: str | None = None,
        peer: str = PEER,
        settings: EntranceSettings | None = None,
        local_actor: str | None = None,
    ) -> None:
        self.house = house
        self.key = key
        self.services = services_of(house)
        self.app = create_app(self.services, settings=settings, local_actor=local_actor)
        transport = httpx.ASGITransport(app=self.app, client=(peer, 40000), raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://test")
        self._runner = asyncio.Runner()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()
        self.app.state.site.office.close()

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = "", content: Any = None, **more: Any
    ) -> httpx.Response:
        """One request. `body` is sent as JSON; `content` as it is. `key` None: none is shown."""
        headers = [*more.pop("headers", [])]
        shown = self.key if key == "" else key
        if shown is not None:
            headers.append(("Authorization", f"Bearer {shown}"))
        if body is not None:
            content = json.dumps(body).encode()
        return self._runner.run(self._client.request(method, path, content=content, headers=headers, **more))

    def decide(self, **more: Any) -> httpx.Response:
        """One question about a pipeline of `acme`."""
        return self.call("POST", "/decide", question(**more))

    def head(self) -> int:
        """The last revision of the store."""
        found: int = self.house.store.head()
        return found


def question(**more: Any) -> dict[str, Any]:
    """A well-formed question."""
    resource = {"type": "pipeline", "id": "etl", "workspace": "acme"}
    return {"scope": "pipelines:run", "resource": resource, **more}


def problem_code(response: httpx.Response, status: int) -> str:
    """The code of a problem answer, after a look at its form."""
    assert response.headers["content-type"] == PROBLEM, response.text
    document = response.json()
    assert response.status_code == status == document["status"], response.text
    assert {"type", "title", "detail", "code"} <= set(document)
    code = document["code"]
    assert document["type"] == f"/docs#{code}"
    assert isinstance(code, str)
    return code


def ok(response: httpx.Response, status: int = 200) -> Any:
    """The data of a good answer, after a look at its envelope."""
    assert response.status_code == status, response.text
    document = response.json()
    assert list(document) == ["data", "revision", "next_cursor"]
    return document["data"]


def key_of(tenant: Desk, *scopes: str, **more: Any) -> Any:
    body = {"principal": {"kind": "service", "id": "admin"}, "scopes": list(scopes or ("pipelines:run",)), **more}
    return ok(tenant.call("POST", "/v1/keys", body), 201)
