"""`/v1/changes`: filters, order, paging, walls, and that no secret is ever in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.desk import Desk, problem_code
from tests.unit.service.house import OPERATOR


def found(desk: Desk, **query: str) -> list[Any]:
    """All changes that fit, page by page."""
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        answer = desk.call("GET", "/v1/changes", params={"limit": "3", **query, **cursor})
        assert answer.status_code == 200, answer.text
        items += answer.json()["data"]
        if answer.json()["next_cursor"] is None:
            return items
        cursor = {"cursor": answer.json()["next_cursor"]}


def test_the_trail_of_one_user(tenant: Desk) -> None:
    """Made, renamed, suspended, deleted: who, when, from what to what; in either order."""
    for body in ({"name": "Mira"}, {"name": "M."}, {"suspended": True}):
        tenant.call("PUT", "/v1/users/mira", body)
    tenant.call("DELETE", "/v1/users/mira")
    trail = found(tenant, subject="mira")
    assert [change["action"] for change in trail] == ["user.put"] * 3 + ["user.delete"]
    actor = trail[0]["actor"]
    assert actor.startswith("key:")
    assert {change["actor"] for change in trail} == {actor}
    effect = trail[1]["effects"][0]
    assert (effect["before"]["name"], effect["after"]["name"]) == ("Mira", "M.")
    assert found(tenant, subject="mira", order="newest") == trail[::-1]
    assert found(tenant, entity="user") == trail
    assert found(tenant, actor=actor, action="user.delete") == trail[-1:]
    assert found(tenant, subject="acme/mira", after=str(trail[1]["revision"])) == trail[2:]
    assert found(tenant, since="2027-01-15T08:00:00Z", until="2027-01-15T08:00:00Z") == []
    assert trail[0] in found(tenant, since="2027-01-15T09:00:00+01:00")
    one = tenant.call("GET", f"/v1/changes/{trail[2]['revision']}")
    assert one.json()["data"] == trail[2]


def test_a_tenant_sees_its_own_alone(tenant: Desk) -> None:
    """Whatever it asks for; another workspace's change is not to be told from none."""
    house = tenant.house
    house.admin.put_user(OPERATOR, "zeta", "eve")
    foreign = house.store.head()
    for query in ({}, {"subject": "zeta/eve"}, {"actor": OPERATOR.actor}, {"entity": "user"}, {"order": "newest"}):
        assert {change["workspace"] for change in found(tenant, **query)} <= {"acme"}
    assert problem_code(tenant.call("GET", f"/v1/changes/{foreign}"), 404) == "not_found"
    assert problem_code(tenant.call("GET", f"/v1/changes/{foreign + 1}"), 404) == "not_found"
    assert problem_code(tenant.call("GET", "/v1/changes?workspace=zeta"), 403) == "workspace_mismatch"
    assert problem_code(tenant.call("GET", f"/v1/changes/{foreign}?workspace=zeta"), 403) == "workspace_mismatch"


def test_the_operator_sees_all_and_any(operator: Desk) -> None:
    """Bundles too, which belong to no workspace; and one workspace's where the query names it."""
    everything = found(operator)
    assert [change["revision"] for change in everything] == list(range(1, operator.head() + 1))
    assert {"bundle", "active_bundle"} & {change["action"].split(".")[0] for change in everything}
    assert {change["workspace"] for change in found(operator, workspace="acme")} == {"acme"}
    assert operator.call("GET", "/v1/changes/1").json()["data"] == everything[0]
    assert problem_code(operator.call("GET", "/v1/changes/1?workspace=acme"), 404) == "not_found"


def test_no_secret_is_ever_in_it(operator: Desk) -> None:
    """Neither a key's text nor its verifier, in any change, however it is asked for."""
    text = operator.house.key().text
    sealed = [change.sealed for change in operator.house.store.changes if change.sealed]
    assert sealed
    bodies = [operator.call("GET", f"/v1/changes/{revision}").text for revision in range(1, operator.head() + 1)]
    bodies += [operator.call("GET", f"/v1/changes?order={order}").text for order in ("oldest", "newest")]
    for body in bodies:
        assert text[16:38] not in body
        assert "verifier" not in body
        assert not any(secret in body for secret in sealed)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/changes?order=sideways", "invalid_parameter"),
        ("/v1/changes?entity=usr", "invalid_parameter"),
        ("/v1/changes?since=yesterday", "invalid_parameter"),
        ("/v1/changes?until=2027-01-15", "invalid_parameter"),
        ("/v1/changes?after=-1", "invalid_parameter"),
        ("/v1/changes?after=99999999999999999999999999", "invalid_parameter"),
        ("/v1/changes/9223372036854775808", "invalid_parameter"),
        ("/v1/changes/one", "invalid_parameter"),
        ("/v1/changes?actor=%1b", "invalid_parameter"),
        ("/v1/changes?subject=" + "a" * 600, "invalid_text"),
        ("/v1/changes?whose=mine", "unknown_parameter"),
        ("/v1/changes?cursor=x", "invalid_cursor"),
    ],
)
def test_what_cannot_be_asked_is_400(tenant: Desk, path: str, code: str) -> None:
    """With the name of what is wrong."""
    assert problem_code(tenant.call("GET", path), 400) == code


def test_a_cursor_belongs_to_its_order(tenant: Desk) -> None:
    """Going on in the other direction would skip."""
    for number in range(3):
        tenant.call("PUT", f"/v1/users/u{number}", {})
    cursor = tenant.call("GET", "/v1/changes?limit=1&order=newest").json()["next_cursor"]
    answer = tenant.call("GET", "/v1/changes", params={"cursor": cursor})
    assert problem_code(answer, 400) == "invalid_cursor"


def test_the_largest_revision_is_merely_not_there(tenant: Desk) -> None:
    """What a database can hold is no error of anybody."""
    assert problem_code(tenant.call("GET", "/v1/changes/9223372036854775807"), 404) == "not_found"
    assert found(tenant, after="9223372036854775807") == []
