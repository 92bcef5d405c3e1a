"""The client over HTTP: where the key comes from, and what a strange answer means."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from policy_service.cli.shared.client import Api, segment
from policy_service.model.errors import PolicyServiceError, RequestError, StoreError, UsageError
from tests.unit.cli.terminal import Terminal


class Answers:
    """A transport that gives prepared answers and keeps what was asked."""

    def __init__(self, *answers: httpx.Response) -> None:
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self._answers = list(answers)

    def __call__(self, method: str, path: str, params: Mapping[str, str], body: Any) -> httpx.Response:
        self.asked.append((method, path, dict(params), body))
        response = self._answers.pop(0)
        response.request = httpx.Request(method, f"http://server{path}")
        return response


def page(items: list[int], cursor: str | None) -> httpx.Response:
    """One page of a list."""
    return httpx.Response(200, json={"data": items, "revision": 1, "next_cursor": cursor})


def test_a_list_is_followed_to_its_end() -> None:
    """An empty page in the middle is no end: the cursor says."""
    answers = Answers(page([1], "a"), page([], "b"), page([2], None))
    assert Api(answers, "demo").pages("users")["data"] == [1, 2]
    assert [params.get("cursor") for _, _, params, _ in answers.asked] == [None, "a", "b"]
    assert {params["workspace"] for _, _, params, _ in answers.asked} == {"demo"}


def test_a_list_ends_at_the_limit() -> None:
    """No more is asked for than is to be shown."""
    answers = Answers(page([1, 2], "a"), page([3], "b"))
    found = Api(answers, None).pages("users", limit=3)
    assert (found["data"], found["next_cursor"]) == ([1, 2, 3], "b")
    assert [params["limit"] for _, _, params, _ in answers.asked] == ["3", "1"]


@pytest.mark.parametrize(
    ("response", "error", "code"),
    [
        (httpx.Response(404, json={"code": "not_found", "detail": "none"}), RequestError, "not_found"),
        (httpx.Response(503, json={"code": "stale", "detail": "wait"}), StoreError, "stale"),
        (httpx.Response(200, text="<html>"), UsageError, "not_this_service"),
        (httpx.Response(502, text="Bad Gateway"), UsageError, "not_this_service"),
        (httpx.Response(200, json=[]), UsageError, "not_this_service"),
    ],
)
def test_a_refusal_keeps_its_code(response: httpx.Response, error: type[PolicyServiceError], code: str) -> None:
    """The server's word, or that this is no such server."""
    with pytest.raises(error) as caught:
        Api(Answers(response), None).call("GET", "users")
    assert caught.value.code == code


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    """Slashes, dots and question marks are part of the name."""
    assert segment("../a?b#c") == "..%2Fa%3Fb%23c"


@pytest.mark.parametrize(
    ("arguments", "key", "code"),
    [
        (("--url", "http://localhost:1"), None, "no_key"),
        (("--url", "localhost:1"), "psx_x", "invalid_url"),
        (("--url", "http://user:secret@localhost"), "psx_x", "invalid_url"),
        (("--url", "http://localhost:1", "--data-dir", "data"), "psx_x", "two_places"),
        (("--url", "http://localhost:1"), "psx_\nX: y", "malformed_key"),
    ],
)
def test_where_and_with_which_key_must_be_clear(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], key: str | None, code: str
) -> None:
    """The key comes from the environment alone, and nothing is sent before all is clear."""
    if key is not None:
        monkeypatch.setenv("POLICY_SERVICE_KEY", key)
    printed = terminal.run("users", "list", *arguments)
    assert printed.code == 2
    assert printed.err.endswith(f"[{code}]\n")
    assert key is None or key not in printed.err


def test_a_server_that_is_not_there_is_one_line(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on the port."""
    monkeypatch.setenv("POLICY_SERVICE_KEY", "psx_x")
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    printed = terminal.run("users", "list", "--url", f"http://127.0.0.1:{port}")
    assert printed.code == 2
    assert len(printed.err.splitlines()) == 1
    assert "[unreachable]" in printed.err
