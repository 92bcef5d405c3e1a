"""Paging: every item once, whatever changes meanwhile."""

from __future__ import annotations

import base64
import json

import pytest

from policy_service.service.administration.paging import MAX_LIMIT, decode_cursor, encode_cursor
from tests.unit.service.house import OPERATOR, TENANT, House
from tests.unit.service.refusals import refused


def _walk(house: House, limit: int) -> list[str]:
    seen, cursor = [], None
    while True:
        page = house.admin.list_users(TENANT, "acme", cursor=cursor, limit=limit)
        assert len(page.items) <= limit
        seen += [user.id for user in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return seen


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, MAX_LIMIT])
def test_pages_of_any_size_make_the_whole_list(house: House, limit: int) -> None:
    """Each user once, in order; no cursor after the last."""
    for number in range(7):
        house.admin.put_user(TENANT, "acme", f"u{number}")
    assert _walk(house, limit) == [f"u{number}" for number in range(7)]


def test_a_walk_is_stable_while_the_list_changes(house: House) -> None:
    """What is deleted or added before the cursor moves nothing; what is added after it is seen."""
    for name in ("b", "d", "f"):
        house.admin.put_user(TENANT, "acme", name)
    first = house.admin.list_users(TENANT, "acme", limit=2)
    house.admin.delete_user(TENANT, "acme", "d")
    house.admin.put_user(TENANT, "acme", "a")
    house.admin.put_user(TENANT, "acme", "e")
    rest = house.admin.list_users(TENANT, "acme", limit=2, cursor=first.next_cursor)
    assert [user.id for user in rest.items] == ["e", "f"]
    assert rest.next_cursor is None


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1])
def test_a_limit_out_of_bounds_is_refused(house: House, limit: int) -> None:
    """From 1 to 1000."""
    with refused(house, "invalid_limit"):
        house.admin.list_users(TENANT, "acme", limit=limit)


def _raw(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("store_kind", ["memory"], indirect=True)
@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "ü",
        "a",
        "x" * 5000,
        _raw({"a": 1}),
        _raw(["user", "acme"]),
        _raw(["user", "acme", "ada", "more"]),
        _raw(["user", "acme", 7]),
        _raw(["user", "acme", "a\0"]),
        encode_cursor("team", ("acme", "ops")),
        "//79",
    ],
)
def test_a_cursor_of_another_make_is_refused(house: House, cursor: str) -> None:
    """Garbage, another list's cursor, another shape."""
    with refused(house, "invalid_cursor"):
        house.admin.list_users(TENANT, "acme", cursor=cursor)


def test_a_cursor_brings_its_key_back() -> None:
    """Encoding and decoding are inverse; none is none."""
    key = ("acme", "pipeline", "a/b:c ü")
    assert decode_cursor("resource", encode_cursor("resource", key), 3) == key
    assert decode_cursor("resource", None, 3) is None


def test_a_cursor_of_another_workspace_shows_nothing_of_it(house: House) -> None:
    """A cursor only says where to go on; the wall stands."""
    house.admin.put_user(OPERATOR, "zeta", "eve")
    page = house.admin.list_users(TENANT, "acme", cursor=encode_cursor("user", ("aaaa", "x")))
    assert page.items == ()


def test_every_list_pages(house: House) -> None:
    """Workspaces, members, bindings, keys, resources, teams and services go on where they stopped."""
    admin = house.admin
    admin.put_team(TENANT, "acme", "t1")
    admin.put_team(TENANT, "acme", "t2")
    for name in ("a", "b"):
        admin.put_user(TENANT, "acme", name)
        admin.add_member(TENANT, "acme", "t1", name)
        admin.create_binding(TENANT, "acme", "viewer", user=name)
        admin.put_resource(TENANT, "acme", "pipeline", name)
        house.key(principal=f"s{name}")
    lists = [
        lambda cursor: admin.list_workspaces(OPERATOR, cursor=cursor, limit=1),
        lambda cursor: admin.list_service_principals(TENANT, "acme", cursor=cursor, limit=1),
        lambda cursor: admin.list_teams(TENANT, "acme", cursor=cursor, limit=1),
        lambda cursor: admin.list_members(TENANT, "acme", "t1", cursor=cursor, limit=1),
        lambda cursor: admin.list_bindings(TENANT, "acme", cursor=cursor, limit=1),
        lambda cursor: admin.list_resources(TENANT, "acme", cursor=cursor, limit=1),
        lambda cursor: admin.list_keys(TENANT, "acme", cursor=cursor, limit=1),
    ]
    for listing in lists:
        first = listing(None)
        second = listing(first.next_cursor)
        assert first.items
        assert second.items
        assert first.items != second.items
