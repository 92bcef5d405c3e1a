"""A walk through any list of `/v1`, over HTTP, while others write: no item twice, none skipped, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.api.desk import ADMIN_SCOPES, Desk
from tests.unit.service.house import House

NAMES = st.sampled_from(["A", "B", "a", "a.b", "a-b", "a@c", "b", "b0", "c", "zz", "zz9"])
Item = dict[str, Any]


class Kind(NamedTuple):
    """One list, and how its items come and go. `drop` None: its items stay for ever."""

    path: str
    make: Callable[[Desk, str], object]
    drop: Callable[[Desk, str], object] | None
    key: Callable[[Item], tuple[Any, ...]]


def put(path: str) -> Callable[[Desk, str], object]:
    """Make by name."""
    return lambda desk, name: desk.call("PUT", f"/v1/{path}/{name}?workspace=acme", {})


def delete(path: str) -> Callable[[Desk, str], object]:
    """Take away by name; where there is none, nothing happens."""
    return lambda desk, name: desk.call("DELETE", f"/v1/{path}/{name}?workspace=acme")


def member(desk: Desk, name: str) -> None:
    """A user of this name, and its membership."""
    desk.call("PUT", "/v1/teams/data?workspace=acme", {})
    desk.call("PUT", f"/v1/users/{name}?workspace=acme", {})
    desk.call("PUT", f"/v1/teams/data/members/{name}?workspace=acme", {})


def binding(desk: Desk, name: str) -> None:
    """A role for a team of this name."""
    desk.call("PUT", f"/v1/teams/{name}?workspace=acme", {})
    desk.call("POST", "/v1/role-bindings?workspace=acme", {"role": "viewer", "team": name})


def key(desk: Desk, name: str) -> None:
    """Another key of the service principal of this name."""
    desk.call("PUT", f"/v1/service-principals/{name}?workspace=acme", {})
    body = {"principal": {"kind": "service", "id": name}, "scopes": ["pipelines:read"]}
    desk.call("POST", "/v1/keys?workspace=acme", body)


def workspace(desk: Desk, name: str) -> None:
    """A workspace of this name."""
    desk.call("POST", "/v1/workspaces", {"id": name})


def by_id(item: Item) -> tuple[Any, ...]:
    """Most lists are in the order of ids."""
    return (item["id"],)


KINDS = {
    "users": Kind("users?workspace=acme&", put("users"), delete("users"), by_id),
    "teams": Kind("teams?workspace=acme&", put("teams"), delete("teams"), by_id),
    "service-principals": Kind(
        "service-principals?workspace=acme&", put("service-principals"), delete("service-principals"), by_id
    ),
    "resources": Kind(
        "resources?workspace=acme&",
        put("resources/pipeline"),
        delete("resources/pipeline"),
        lambda item: (item["type"], item["id"]),
    ),
    "members": Kind(
        "teams/data/members?workspace=acme&", member, delete("teams/data/members"), lambda item: (item["user"],)
    ),
    "role-bindings": Kind("role-bindings?workspace=acme&", binding, delete("teams"), by_id),
    "keys": Kind("keys?workspace=acme&", key, None, by_id),
    "workspaces": Kind("workspaces?", workspace, None, by_id),
    "changes": Kind("changes?", put("users"), delete("users"), lambda item: (item["revision"],)),
    "changes, newest first": Kind(
        "changes?order=newest&", put("users"), delete("users"), lambda item: (-item["revision"],)
    ),
}

EDITS = st.lists(st.tuples(st.booleans(), NAMES), max_size=4)


@pytest.mark.parametrize("name", KINDS)
@given(before=st.sets(NAMES, min_size=3), size=st.integers(1, 4), edits=st.lists(EDITS, min_size=2, max_size=6))
@settings(max_examples=max(settings.default.max_examples // 5, 1))
def test_a_walk_sees_each_item_that_stays_once(
    name: str, before: set[str], size: int, edits: list[list[tuple[bool, str]]]
) -> None:
    """Whatever is made and taken away between two pages."""
    kind = KINDS[name]
    house = House().furnish()
    with Desk(house, key=house.key("system", principal="ops", scopes=ADMIN_SCOPES).text) as desk:
        for made in sorted(before):
            kind.make(desk, made)
        walk(desk, kind, size, edits)


def walk(desk: Desk, kind: Kind, size: int, edits: list[list[tuple[bool, str]]]) -> None:
    """Go from page to page, others writing in between, and hold what was seen against what was there."""
    there = everything(desk, kind)
    stayed, ever = set(there), set(there)
    seen: list[tuple[Any, ...]] = []
    cursor = ""
    for turn in [*edits, *[[]] * 100]:
        answer = desk.call("GET", f"/v1/{kind.path}limit={size}{cursor}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["data"]) <= size
        seen += [kind.key(item) for item in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        for is_made, other in turn:
            act = kind.make if is_made or kind.drop is None else kind.drop
            act(desk, other)
        now = set(everything(desk, kind))
        stayed &= now
        ever |= now
    assert seen == sorted(set(seen)), "an item twice, or out of order"
    assert stayed <= set(seen) <= ever


def everything(desk: Desk, kind: Kind) -> list[tuple[Any, ...]]:
    """The whole list on one page."""
    return [kind.key(item) for item in desk.call("GET", f"/v1/{kind.path}limit=1000").json()["data"]]
