"""Every route of `/openapi.json` that is not open refuses whoever may not use it. No route can be forgotten here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.api.desk import ADMIN_SCOPES, Desk, problem_code
from tests.unit.service.house import OPERATOR, House

OPEN = {"/healthz", "/readyz", "/metrics"}
FILLED = {"digest": "sha256:" + "0" * 64, "type": "pipeline"}


def guarded_routes(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Method and a path that fits, of every route that is not open."""
    for path, methods in document["paths"].items():
        for method in methods:
            if path not in OPEN:
                yield method.upper(), re.sub(r"\{(\w+)(:path)?\}", lambda m: FILLED.get(m[1], "AAAAAAAAAAAA"), path)


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    """A client without a key."""
    with Desk(house) as desk:
        yield desk


def refused(desk: Desk, key: str | None, status: int, code: str) -> int:
    """Show a key on every guarded route; all must refuse it and change nothing. How many there are."""
    desk.house.replica.catch_up()
    before = desk.head()
    routes = list(guarded_routes(desk.app.openapi()))
    for method, path in routes:
        for body in (b"", b"{}", b"not json"):
            answer = desk.call(method, path, key=key, content=body)
            assert problem_code(answer, status) == code, (method, path)
            assert answer.headers["www-authenticate"].startswith('Bearer realm="policy-service"')
    assert desk.head() == before
    return len(routes)


def test_every_route_refuses_a_caller_without_a_key(desk: Desk) -> None:
    """401, whatever else is wrong with the request."""
    assert refused(desk, None, 401, "missing_credentials") >= 36


def test_every_route_refuses_a_key_that_is_none(desk: Desk) -> None:
    """401 as well."""
    refused(desk, "psx_AAAAAAAAAAAA", 401, "malformed_key")


def test_every_route_refuses_a_revoked_key(desk: Desk) -> None:
    """Though it had every scope."""
    issued = desk.house.key("system", principal="old", scopes=ADMIN_SCOPES)
    desk.house.admin.revoke_key(OPERATOR, "system", issued.api_key.id)
    refused(desk, issued.text, 401, "revoked_key")


def test_every_route_refuses_a_key_without_the_scope(desk: Desk) -> None:
    """403, before anything is said of what exists."""
    key = desk.house.key("acme", principal="weak", scopes=("pipelines:run",)).text
    refused(desk, key, 403, "insufficient_scope")


def test_every_route_refuses_a_user_whose_roles_do_not_grant_the_scope(desk: Desk) -> None:
    """A user key never exceeds its user."""
    key = desk.house.key("acme", "user", "mira", scopes=ADMIN_SCOPES).text
    refused(desk, key, 403, "role_not_granted")


def test_every_route_refuses_a_suspended_user(desk: Desk) -> None:
    """Every key of theirs."""
    key = desk.house.key("acme", "user", "mira", scopes=ADMIN_SCOPES).text
    desk.house.admin.put_user(OPERATOR, "acme", "mira", suspended=True)
    refused(desk, key, 403, "principal_suspended")


def test_every_route_holds_a_key_to_its_own_addresses(desk: Desk) -> None:
    """The workspace's allowlist never does."""
    key = desk.house.key("system", principal="ops", scopes=ADMIN_SCOPES, cidrs=("203.0.113.0/24",)).text
    refused(desk, key, 403, "ip_not_allowed")


def test_deciding_and_administering_are_different_scopes(house: House) -> None:
    """A caller's key opens nothing of `/v1` but `/v1/explain`; an administrator's decides and explains nothing."""
    caller = house.key("acme", principal="gw", scopes=("decisions:evaluate", "decisions:explain")).text
    admin = house.key("acme", principal="admin", scopes=("admin:organization",)).text
    house.replica.catch_up()
    with Desk(house) as desk:
        for method, path in guarded_routes(desk.app.openapi()):
            wrong = caller if path.startswith("/v1") and path != "/v1/explain" else admin
            assert problem_code(desk.call(method, path, key=wrong, content=b"{}"), 403) == "insufficient_scope"


def test_what_exists_is_not_told_to_whoever_may_not_see_it(house: House) -> None:
    """Permission is judged before existence: another workspace's user and none give the same answer."""
    house.admin.put_user(OPERATOR, "zeta", "mira")
    with Desk(house, key=house.key("acme", principal="admin", scopes=ADMIN_SCOPES).text) as desk:
        for query in ("?workspace=zeta", "?workspace=none"):
            answers = [desk.call("GET", f"/v1/users/{user}{query}") for user in ("mira", "nobody")]
            assert {problem_code(answer, 403) for answer in answers} == {"workspace_mismatch"}
        assert problem_code(desk.call("GET", "/v1/users/mira"), 404) == "not_found"


def test_another_workspaces_key_is_not_to_be_told_from_none(house: House) -> None:
    """Key ids are public, whose they are is not."""
    other = house.key("zeta").api_key.id
    with Desk(house, key=house.key("acme", principal="admin", scopes=ADMIN_SCOPES).text) as desk:
        for path in (f"/v1/keys/{other}", "/v1/keys/AAAAAAAAAAAA"):
            answer = desk.call("GET", path)
            assert problem_code(answer, 404) == "not_found"
        assert problem_code(desk.call("POST", f"/v1/keys/{other}/revoke"), 404) == "not_found"
    assert house.stored_key(other).revoked_at is None
