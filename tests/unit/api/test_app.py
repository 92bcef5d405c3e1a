"""The application's own life: start-up, following, shut-down, and callers who leave."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from policy_service.api.app import create_app
from policy_service.api.trouble import Bugs, http_problem
from policy_service.model.errors import StoreError
from tests.unit.api.desk import ADMIN_SCOPES, question, services_of
from tests.unit.service.house import OPERATOR, House


def test_an_application_reads_its_facts_first_and_then_follows(house: House) -> None:
    """A change of another process arrives without anybody asking for it; shut-down ends everything."""
    key = house.key("system", principal="ops", scopes=ADMIN_SCOPES).text

    async def live() -> list[int]:
        app = create_app(services_of(house))
        seen = []
        async with app.router.lifespan_context(app):
            seen.append(house.replica.revision)
            changed = house.admin.put_user(OPERATOR, "acme", "mira").revision
            async with asyncio.timeout(60):
                while house.replica.revision < changed:
                    await asyncio.sleep(0.01)
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                bearer = {"Authorization": f"Bearer {key}"}
                answer = await client.post("/decide", json=question(), headers=bearer)
                assert answer.json()["revision"] == changed
        assert {task for task in asyncio.all_tasks() if not task.done()} == {asyncio.current_task()}
        return seen

    head = house.store.head()
    assert asyncio.run(live()) == [head]


def test_an_application_starts_without_its_store_and_says_so(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """It keeps trying: once the store is there, it is ready."""

    async def live() -> None:
        house.store.broken = StoreError("store_unreachable", "the database cannot be reached")
        app = create_app(services_of(house))
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            async with asyncio.timeout(60):
                while (await client.get("/readyz")).json()["code"] != "store_unreachable":
                    await asyncio.sleep(0.01)
            assert (await client.post("/decide", json=question())).json()["code"] == "store_unreachable"
            house.store.broken = None
            async with asyncio.timeout(60):
                while (await client.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.01)

    with caplog.at_level(logging.ERROR):
        asyncio.run(live())
    assert "cannot read the facts yet" in caplog.text


def test_a_caller_who_leaves_is_no_bug(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """The body never comes; nothing is logged, nothing is decided."""
    key = house.key("system", principal="ops", scopes=ADMIN_SCOPES).text.encode()
    house.replica.catch_up()
    app = create_app(services_of(house))
    scope = {
        "type": "http", "method": "POST", "path": "/decide", "raw_path": b"/decide", "query_string": b"",
        "headers": [(b"authorization", b"Bearer " + key)], "client": None, "server": ("test", 80), "scheme": "http",
        "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 400
    assert caplog.text == ""
    app.state.site.office.close()


def test_a_bug_after_the_answer_began_is_logged_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A second answer cannot be given."""

    async def buggy(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Bugs(buggy)({"type": "http"}, None, send))  # type: ignore[arg-type]  # never received from
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert "unexpected ZeroDivisionError" in caplog.text


def test_bugs_leaves_other_protocols_alone() -> None:
    """Start-up is no request."""
    seen = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Bugs(inner)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]  # neither is used
    assert seen == ["lifespan"]


def test_whatever_else_the_router_refuses_is_a_problem_too() -> None:
    """Not that it does today."""
    answer = asyncio.run(http_problem(Request({"type": "http"}), HTTPException(431)))
    assert (answer.status_code, answer.headers["content-type"]) == (431, "application/problem+json")
