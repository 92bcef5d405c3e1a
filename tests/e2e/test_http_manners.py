"""HTTP manners on a real server and a real store: tags, names, challenges, the audit trail, and what its log says."""

from __future__ import annotations

import concurrent.futures
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.processes import Server, answer
from tests.waiting import until

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class House:
    """A demonstration on a fresh store, its server, and a client of its administrator."""

    def __init__(self, data_dir: Path, variables: dict[str, str]) -> None:
        self.data_dir = data_dir
        self.variables = variables
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir, **variables)
        self.server = Server(data_dir, **variables)

    def admin(self) -> httpx.Client:
        """Shows the administrator's key with each request."""
        headers = {"Authorization": f"Bearer {self.keys['admin_key']}"}
        return httpx.Client(base_url=self.server.url, headers=headers, timeout=60)


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """On both databases."""
    variables = {}
    if request.param == "postgresql":
        variables["POLICY_SERVICE_DATABASE_URL"] = request.getfixturevalue("empty_postgres_url")
    house = House(tmp_path / "data", variables)
    with house.server:
        yield house


def test_the_manners_of_one_house(house: House) -> None:
    """One server, one walk through all of them."""
    with house.admin() as client:
        one_of_many_writers_wins(client)
        a_reader_is_told_that_nothing_changed(client)
        names_are_taken_up_and_returned(client)
        the_trail_tells_it_all(house, client)
    refused_callers_are_logged_within_bounds(house)


def one_of_many_writers_wins(client: httpx.Client) -> None:
    """Several that saw the same: one writes, the others are told, and nothing is lost."""
    tag = client.put("/v1/users/ida", json={"name": "Ida"}).headers["etag"]

    def write(number: int) -> int:
        return client.put("/v1/users/ida", json={"name": f"n{number}"}, headers={"If-Match": tag}).status_code

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        statuses = sorted(threads.map(write, range(6)))
    assert statuses == [200] + [412] * 5


def a_reader_is_told_that_nothing_changed(client: httpx.Client) -> None:
    """304 has no body, and the connection goes on."""
    tag = client.get("/v1/users/ida").headers["etag"]
    same = client.get("/v1/users/ida", headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert client.get("/v1/users/ida").json()["data"]["id"] == "ida"


def names_are_taken_up_and_returned(client: httpx.Client) -> None:
    """On the wire, too."""
    told = client.get("/healthz", headers={"X-Request-Id": "mine-1", "traceparent": PARENT, "tracestate": "a=1"})
    assert (told.headers["x-request-id"], told.headers["tracestate"]) == ("mine-1", "a=1")
    assert told.headers["traceparent"].startswith(PARENT[:36])


def the_trail_tells_it_all(house: House, client: httpx.Client) -> None:
    """The winner's change, and who made it; a command's is the local user's."""
    trail = client.get("/v1/changes", params={"subject": "ida", "order": "newest", "limit": 1}).json()["data"][0]
    assert trail["effects"][0]["before"]["name"] == "Ida"
    assert client.get(f"/v1/changes/{trail['revision']}").json()["data"] == trail
    place = ("--data-dir", house.data_dir)
    answer("users", "put", "ida", "--suspended", "--workspace", "demo", *place, **house.variables)
    local = answer("changes", "list", "--newest", "--limit", "1", *place, **house.variables)["data"][0]
    assert (local["actor"], local["subject"]) == (f"local:{os.getuid()}", "demo/ida")
    found = answer(
        "changes", "list", "--since", "1h", "--entity", "user", "--subject", "demo/ida", *place, **house.variables
    )
    assert [change["actor"].split(":")[0] for change in found["data"]] == ["key", "key", "local"]


def refused_callers_are_logged_within_bounds(house: House) -> None:
    """A hundred at once leave some ten lines, each with the names of its request, none with a key."""
    wrong = house.keys["admin_key"][:-1]
    began = time.monotonic()
    with httpx.Client(base_url=house.server.url, timeout=60) as client:
        for _ in range(100):
            refused = client.get("/v1/users", headers={"Authorization": f"Bearer {wrong}", "X-Request-Id": "mine-2"})
            assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    took_s = time.monotonic() - began

    def told() -> list[str]:
        return [line for line in house.server.text().splitlines() if "refused a caller: malformed_key" in line]

    until(lambda: len(told()) >= 10)
    lines = told()
    assert len(lines) <= 10 * (took_s + 2), "ten a second"
    assert all("request_id=mine-2 " in line for line in lines)
    assert wrong[16:38] not in house.server.text()
