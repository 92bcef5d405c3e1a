"""Workspaces and the operator: `system` covers all, every other key its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.api.desk import Desk, problem_code, question
from tests.unit.service.house import House

EVALUATE = ("decisions:evaluate",)


@pytest.fixture
def callers(house: House) -> Iterator[dict[str, Desk]]:
    """A caller that may decide, of each workspace."""
    keys = {name: house.key(name, principal="gw", scopes=EVALUATE).text for name in ("system", "acme", "zeta")}
    with (
        Desk(house, key=keys["system"]) as system,
        Desk(house, key=keys["acme"]) as acme,
        Desk(house, key=keys["zeta"]) as zeta,
    ):
        yield {"system": system, "acme": acme, "zeta": zeta}


def test_callers_of_system_decide_for_all_others_for_their_own(callers: dict[str, Desk]) -> None:
    """Another workspace's key is unknown to a tenant's gateway: neither what it may do nor that it is."""
    house = callers["system"].house
    keys = {name: house.key(name, principal="ci").text for name in ("acme", "zeta")}
    house.replica.catch_up()
    for caller, desk in callers.items():
        for owner, key in keys.items():
            resource = {"type": "pipeline", "id": "etl", "workspace": owner}
            answer = desk.call("POST", "/decide", {**question(key=key), "resource": resource}).json()
            if caller in ("system", owner):
                assert (answer["decision"], answer["workspace"]) == ("allow", owner), (caller, owner)
            else:
                assert (answer["reason"], answer["key_id"], answer["workspace"]) == ("unknown_key", None, None)


def test_a_batch_draws_the_same_line(callers: dict[str, Desk]) -> None:
    """Item by item."""
    house = callers["system"].house
    questions = []
    for name in ("acme", "zeta"):
        resource = {"type": "pipeline", "id": "x", "workspace": name}
        questions.append({**question(key=house.key(name, principal="ci").text), "resource": resource})
    house.replica.catch_up()
    for caller, expected in (
        ("system", ["allowed", "allowed"]),
        ("acme", ["allowed", "unknown_key"]),
        ("zeta", ["unknown_key", "allowed"]),
    ):
        results = callers[caller].call("POST", "/decide/batch", {"requests": questions}).json()["results"]
        assert [result["reason"] for result in results] == expected


def test_workspaces_are_the_operators_to_make_and_list(operator: Desk, tenant: Desk) -> None:
    """An administrator of a tenant makes none, not even its own; and learns of none but its own."""
    made = operator.call("POST", "/v1/workspaces", {"id": "new", "name": "New"})
    assert (made.status_code, made.json()["data"]["name"]) == (201, "New")
    assert problem_code(operator.call("POST", "/v1/workspaces", {"id": "new"}), 409) == "conflict"
    assert problem_code(operator.call("POST", "/v1/workspaces", {"id": "system"}), 409) == "conflict"
    assert problem_code(tenant.call("POST", "/v1/workspaces", {"id": "mine"}), 403) == "operator_only"
    assert problem_code(tenant.call("GET", "/v1/workspaces"), 403) == "operator_only"
    assert [item["id"] for item in operator.call("GET", "/v1/workspaces").json()["data"]] == [
        "acme",
        "new",
        "system",
        "zeta",
    ]


def test_a_workspace_is_shown_to_its_own_and_to_the_operator(operator: Desk, tenant: Desk) -> None:
    """With its tag; to others one that is there and one that is not are the same."""
    own = tenant.call("GET", "/v1/workspaces/acme")
    assert own.json()["data"]["id"] == "acme"
    assert (
        tenant.call("GET", "/v1/workspaces/acme", headers=[("If-None-Match", own.headers["etag"])]).status_code == 304
    )
    for name in ("zeta", "system", "nowhere"):
        assert problem_code(tenant.call("GET", f"/v1/workspaces/{name}"), 403) == "workspace_mismatch"
    assert operator.call("GET", "/v1/workspaces/zeta").status_code == 200
    assert problem_code(operator.call("GET", "/v1/workspaces/nowhere"), 404) == "not_found"


def test_a_new_workspace_is_administered_by_the_operator_until_it_has_its_own(operator: Desk) -> None:
    """From nothing to an administrator of its own, who then covers it and nothing else."""
    operator.call("POST", "/v1/workspaces", {"id": "new"})
    operator.call("PUT", "/v1/service-principals/admin?workspace=new", {})
    body = {"principal": {"kind": "service", "id": "admin"}, "scopes": ["admin:organization"]}
    key = operator.call("POST", "/v1/keys?workspace=new", body).json()["data"]["key"]
    assert operator.call("PUT", "/v1/users/mira", {}, key=key).json()["data"]["workspace"] == "new"
    assert problem_code(operator.call("GET", "/v1/users?workspace=acme", key=key), 403) == "workspace_mismatch"
    assert problem_code(operator.call("GET", "/v1/workspaces", key=key), 403) == "operator_only"


def test_an_operators_change_of_a_tenant_is_in_the_tenants_trail(operator: Desk, tenant: Desk) -> None:
    """Under the operator's name: tenants see who reached into theirs."""
    operator.call("PUT", "/v1/users/mira?workspace=acme", {})
    last = tenant.call("GET", "/v1/changes?order=newest&limit=1").json()["data"][0]
    assert (last["action"], last["subject"]) == ("user.put", "acme/mira")
    shown = {key["id"] for key in tenant.call("GET", "/v1/keys").json()["data"]}
    assert last["actor"].startswith("key:")
    assert last["actor"].removeprefix("key:") not in shown
