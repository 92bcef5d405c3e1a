"""Every kind of key on every documented route: nobody gets further than their scope, and nothing changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.security.counting import Attacks
from tests.security.house import House
from tests.security.routes import Route, documented

KIND = "escalation: a key on a route beyond it"
REFUSALS = {
    "none": (401, "missing_credentials"),
    "malformed": (401, "malformed_key"),
    "unknown": (401, "unknown_key"),
    "wrong secret": (401, "unknown_key"),
    "revoked": (401, "revoked_key"),
    "expired": (401, "expired_key"),
    "not yet valid": (401, "key_not_yet_valid"),
    "suspended user": (403, "principal_suspended"),
    "from elsewhere": (403, "ip_not_allowed"),
    "pipelines only": (403, "insufficient_scope"),
    "log reader": (403, "insufficient_scope"),
    "decider": (403, "insufficient_scope"),
    "explainer": (403, "insufficient_scope"),
    "user's own keys": (403, "insufficient_scope"),
    "user without the role": (403, "role_not_granted"),
    "user with the role over one resource": (403, "role_not_granted"),
}
"""What each kind of key is told where it does not belong."""
MAY = {
    "decisions:evaluate": {"decider", "explainer"},
    "decisions:explain": {"explainer"},
    "decisions:read": {"log reader"},
    "keys:own": {"user's own keys", "user without the role"},
}
"""Kinds that a scope, where a route takes it, lets in."""


def expected(kind: str, route: Route) -> tuple[int, str] | None:
    """How a key is refused on a route; None where it may come in."""
    if any(kind in MAY.get(scope, ()) for scope in route.scopes):
        return None
    return REFUSALS[kind]


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_key_gets_no_further_than_its_scope(house: House, kind: str, attacks: Attacks) -> None:
    """By status and code, on every route, with and without another workspace named; and no change is made."""
    before = house.revision()
    for route in documented(house):
        refusal = expected(kind, route)
        if refusal is None:
            continue
        for query in ({}, {"workspace": "demo"}, {"workspace": "rival"}, {"force": "true"}, {"x": "y"}):
            response = house.call(
                route.method, route.path_for(house, "demo"), house.keys[kind], json=route.body, params=query
            )
            attacks(KIND)
            found = response.status_code, response.json()["code"]
            assert found == refusal, (route, query, response.text)
            assert response.headers["www-authenticate"].startswith("Bearer ")
    assert house.revision() == before


def test_explaining_needs_its_own_scope(house: House, attacks: Attacks) -> None:
    """`decisions:evaluate` alone shows no checks."""
    body = {"scope": "pipelines:run", "resource": "pipeline:x"}
    for kind in ("decider", "pipelines only", "admin"):
        response = house.call("POST", "/decide", house.keys[kind], json=body, params={"explain": "true"})
        attacks(KIND)
        assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")
        assert "checks" not in response.json()


@pytest.mark.parametrize("kind", ["admin", "admin by role", "victim's admin"])
def test_an_administrator_of_a_workspace_is_no_operator(house: House, kind: str, attacks: Attacks) -> None:
    """What is the operator's, and every other workspace, is refused; no change is made."""
    before = house.revision()
    foreign = "demo" if kind == "victim's admin" else "rival"
    for route in documented(house):
        if "admin:organization" not in route.scopes:
            continue
        named = {"workspace": foreign}
        for method_override in (None, "PUT", "DELETE"):
            headers = {} if method_override is None else {"X-HTTP-Method-Override": method_override}
            response = house.call(
                route.method, route.path_for(house, foreign), house.keys[kind], json=route.body, params=named,
                headers=headers,
            )  # fmt: skip
            attacks(KIND)
            assert response.status_code in (400, 403, 404), (route, response.text)
            if "workspace" in route.parameters:
                assert response.json()["code"] == "workspace_mismatch", (route, response.text)
    assert house.revision() == before


PRIVILEGES: list[dict[str, Any]] = [
    {"actor": "local:0"},
    {"is_operator": True},
    {"workspace": "system"},
    {"scope": "admin:organization"},
    {"revoked_at": None},
    {"__proto__": {"is_operator": True}},
    {"id": "chosen"},
    {"secret": "chosen"},
    {"slots": []},
]


def test_members_that_a_body_does_not_have_give_nothing(house: House, attacks: Attacks) -> None:
    """Mass assignment: each is `unknown_field`, on every route that takes a body."""
    before = house.revision()
    for route in documented(house):
        if route.body is None:
            continue
        for more in PRIVILEGES:
            body = {**route.body, **more}
            if body == route.body or set(more) & set(route.members):
                continue
            path = route.path_for(house, "demo")
            response = house.call(route.method, path, house.keys["system"], json=body, params=route.needed("demo"))
            attacks("mass assignment")
            codes = {mistake["code"] for mistake in response.json().get("errors", [])}
            assert (response.status_code, "unknown_field" in codes) == (400, True), (route, more, response.text)
    assert house.revision() == before


GRABS: list[dict[str, Any]] = [
    {"scopes": ["admin:organization"]},
    {"scopes": ["pipelines:read", "admin:organization"]},
    {"scopes": ["pipelines:run"]},
    {"scopes": ["decisions:explain"]},
    {"scopes": ["connections:write"]},
    {"principal": {"kind": "user", "id": "adam"}},
    {"principal": {"kind": "user", "id": "ada"}},
    {"principal": {"kind": "service", "id": "admin"}},
    {"principal": {"kind": "service", "id": "operator"}},
    {"principal": {"kind": "service", "id": "viv"}},
]


@pytest.mark.parametrize("kind", ["user's own keys", "user without the role", "pipelines only", "decider"])
def test_nobody_issues_a_key_beyond_themselves(house: House, kind: str, attacks: Attacks) -> None:
    """More scopes than one's own, or another principal: refused, whether the key may issue some or none."""
    fair = {"principal": {"kind": "user", "id": "viv"}, "scopes": ["pipelines:read"]}
    before = house.revision()
    for grab in GRABS:
        for query in ({}, {"workspace": "demo"}, {"workspace": "system"}, {"workspace": "rival"}):
            response = house.call("POST", "/v1/keys", house.keys[kind], json={**fair, **grab}, params=query)
            attacks("escalation: issuing beyond oneself")
            assert response.status_code in (400, 403, 404), (grab, response.text)
    assert house.revision() == before


def test_nobody_ends_or_renews_the_keys_of_others(house: House, attacks: Attacks) -> None:
    """Keys that may look after their own find every other one closed."""
    before = house.revision()
    ids = [house.init[name].split("_")[1][:12] for name in ("admin_key", "user_key", "service_key", "system_key")]
    for name in [*ids, house.victims["keys"]]:
        for verb in ("rotate", "revoke"):
            response = house.call("POST", f"/v1/keys/{name}/{verb}", house.keys["user's own keys"], json={})
            attacks("escalation: the keys of others")
            assert response.status_code in (403, 404), response.text
    assert house.revision() == before
