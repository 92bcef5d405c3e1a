"""The client of `/v1` behind the nouns: over HTTP with a key, or on the ASGI application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlsplit

from policy_service.cli.shared.environment import AsgiApp, Session
from policy_service.model.errors import RequestError, StoreError, UsageError
from policy_service.settings import load_settings

if TYPE_CHECKING:
    # Imported by the functions that ask: a server loads this module too, and never asks anybody.
    import httpx

_TIMEOUT_S: Final = 30.0
_PAGE: Final = 1000
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
Params = Mapping[str, str | int | bool | None]


class Transport(Protocol):
    """One exchange: a request of `/v1` and its answer."""

    def __call__(self, method: str, path: str, params: Mapping[str, str], body: Any) -> httpx.Response: ...


class Api:
    """`/v1`, with answers as parsed JSON and refusals as errors.

    Args:
        workspace: added to every request as `?workspace=`; None leaves it to the key.
    """

    def __init__(self, transport: Transport, workspace: str | None) -> None:
        self._transport = transport
        self._workspace = workspace

    def call(self, method: str, path: str, *, params: Params | None = None, body: Any = None) -> dict[str, Any]:
        """The parsed answer of a 2xx.

        Raises:
            RequestError: the server refused; code, message and details are the problem's.
            StoreError: the server cannot answer now (5xx).
            UsageError: no server, or not this service.
        """
        given = {"workspace": self._workspace, **(params or {})}
        sent = {name: _text(value) for name, value in given.items() if value is not None}
        response = self._transport(method, f"/v1/{path}", sent, body)
        if response.is_success:
            return _parsed(response)
        raise _refusal(response)

    def find(self, path: str) -> dict[str, Any] | None:
        """The answer, or None where there is nothing of that name."""
        try:
            return self.call("GET", path)
        except RequestError as error:
            if error.status == 404:
                return None
            raise

    def pages(self, path: str, *, params: Params | None = None, limit: int | None = None) -> dict[str, Any]:
        """A whole list, page after page, as one answer; `next_cursor` stays set where `limit` cut it short."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            size = _PAGE if limit is None else min(_PAGE, limit - len(items))
            answer = self.call("GET", path, params={**(params or {}), "limit": size, "cursor": cursor})
            items.extend(answer["data"])
            cursor = answer.get("next_cursor")
            if cursor is None or (limit is not None and len(items) >= limit):
                return {**answer, "data": items, "next_cursor": cursor}


def segment(text: str) -> str:
    """One part of a path, with everything escaped that could end it."""
    return quote(text, safe="")


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parsed(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UsageError("not_this_service", f"`{response.url.host}` answered, but not as this service does")
    return answer


def _refusal(response: httpx.Response) -> Exception:
    problem = _parsed(response)
    code, detail = str(problem.get("code", "refused")), str(problem.get("detail") or problem.get("title", ""))
    details = {name: problem[name] for name in problem.keys() - {"type", "title", "status", "detail", "code"}}
    if response.status_code >= 500:
        return StoreError(code, detail, details)
    return RequestError(code, detail, details, status=response.status_code)


@contextmanager
def connect(
    session: Session, *, data_dir: Path | None, url: str | None, workspace: str | None, of_workspace: bool = True
) -> Iterator[Api]:
    """The API that the options name.

    Args:
        of_workspace: what is asked for belongs to one workspace, which a local command has to name: it has no key
            that would settle it.

    Raises:
        UsageError: both places were named, no key is in the environment, or no workspace was named; also whatever
            opening the data directory raises.
    """
    if url is not None and data_dir is not None:
        raise UsageError("two_places", "`--url` and `--data-dir` name two places; give one of them")
    transport = _remote(session, url) if url is not None else _local(session, data_dir)
    with transport as exchange:
        api = Api(exchange, workspace)
        if url is None and workspace is None and of_workspace:
            raise _no_workspace(api)
        yield api


def _no_workspace(api: Api) -> UsageError:
    known = ", ".join(f"`{item['id']}`" for item in api.pages("workspaces", limit=20)["data"])
    return UsageError("no_workspace", f"name the workspace with `--workspace`; there are {known or 'none yet'}")


def _remote(session: Session, url: str) -> AbstractContextManager[Transport]:
    settings = load_settings()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise UsageError("invalid_url", f"`{url}` is not a server's address such as https://policy.example.com")
    if settings.key is None:
        raise UsageError("no_key", "`--url` needs a key; put it into the environment as POLICY_SERVICE_KEY")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        session.screen.note("the key crosses the network unencrypted; use https")
    return _remote_exchange(url, settings.key.get_secret_value())


@contextmanager
def _remote_exchange(url: str, key: str) -> Iterator[Transport]:
    if not key.isascii() or not key.isprintable():
        raise UsageError("malformed_key", "POLICY_SERVICE_KEY does not hold a key: it has characters no key has")
    import httpx  # noqa: PLC0415 - see above

    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=_TIMEOUT_S) as client:

        def exchange(method: str, path: str, params: Mapping[str, str], body: Any) -> httpx.Response:
            try:
                return client.request(method, path, params=params, json=body)
            except httpx.TransportError as error:
                reason = str(error).lower() or "the connection broke"
                raise UsageError("unreachable", f"cannot reach `{url}`: {reason}") from None

        yield exchange


@contextmanager
def _local(session: Session, data_dir: Path | None) -> Iterator[Transport]:
    environment = session.environment
    with environment.services(load_settings(data_dir=data_dir)) as services, asyncio.Runner() as runner:
        app = environment.local_app(services)

        def exchange(method: str, path: str, params: Mapping[str, str], body: Any) -> httpx.Response:
            return runner.run(_in_process(app, method, path, params, body))

        yield exchange


async def _in_process(app: AsgiApp, method: str, path: str, params: Mapping[str, str], body: Any) -> httpx.Response:
    import httpx  # noqa: PLC0415 - see above

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(method, path, params=params, json=body)
