"""`ETag`, `If-Match` and `If-None-Match` on every single fact of `/v1`."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from policy_service.api.conditional import read_tags
from policy_service.api.incoming import Incoming
from policy_service.model.errors import RequestError
from policy_service.model.facts import ENTITIES, Team, User
from policy_service.service.preconditions import Tags, fact_tag
from tests.unit.api.desk import ADMIN_SCOPES, Desk, problem_code
from tests.unit.service.house import OPERATOR, House

FACTS: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("/v1/users/mira", {"name": "Mira"}, {"name": "M."}),
    ("/v1/service-principals/bot", {"name": "Bot"}, {"name": "B."}),
    ("/v1/teams/data", {"name": "Data"}, {"name": "D."}),
    ("/v1/resources/pipeline/a/b:c", {"attributes": {"n": 1}}, {"attributes": {"n": 1.0}}),
    ("/v1/ip-allowlist", {"enabled": False, "entries": []}, {"enabled": True, "entries": [{"cidr": "any"}]}),
)
"""A path and two bodies whose facts differ."""

PATHS = [path for path, _, _ in FACTS]


def tag_of(response: httpx.Response) -> str:
    """The strong entity tag of a good answer."""
    assert response.status_code in (200, 201), response.text
    tag = response.headers["etag"]
    assert tag.startswith('"')
    assert tag.endswith('"')
    assert len(tag) == 34
    return str(tag)


def if_match(tag: str) -> dict[str, Any]:
    """Only while it is this."""
    return {"headers": [("If-Match", tag)]}


def if_none_match(tag: str) -> dict[str, Any]:
    """Only if it is not this."""
    return {"headers": [("If-None-Match", tag)]}


@pytest.mark.parametrize(("path", "first", "second"), FACTS, ids=PATHS)
def test_the_tag_is_the_facts_own(tenant: Desk, path: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    """Whatever else changes; and what returns to what it was has the tag that it had."""
    made = tag_of(tenant.call("PUT", path, first))
    tenant.call("PUT", "/v1/users/somebody-else", {})
    assert tag_of(tenant.call("GET", path)) == made
    changed = tag_of(tenant.call("PUT", path, second))
    assert changed != made
    assert tag_of(tenant.call("GET", path)) == changed
    assert tag_of(tenant.call("PUT", path, first)) == made


@pytest.mark.parametrize(("path", "first", "second"), FACTS, ids=PATHS)
def test_an_update_is_never_lost(tenant: Desk, path: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    """Two who read the same: the first to write wins, the other is told, and may do it again on what is there now."""
    seen = tag_of(tenant.call("PUT", path, first))
    now = tag_of(tenant.call("PUT", path, second, **if_match(seen)))
    before = tenant.head()
    late = tenant.call("PUT", path, first, **if_match(seen))
    assert problem_code(late, 412) == "precondition_failed"
    assert f'"{late.json()["current"]}"' == now
    assert tenant.head() == before
    assert tag_of(tenant.call("PUT", path, first, **if_match(f'"else", {now}'))) == seen


@pytest.mark.parametrize(("path", "first", "second"), FACTS, ids=PATHS)
def test_a_reader_who_has_it_is_told_so(tenant: Desk, path: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    """304 without a body and with the tag; weakly compared, as caches on the way may have weakened it."""
    seen = tag_of(tenant.call("PUT", path, first))
    for told in (seen, f"W/{seen}", f'"else" , {seen}', "*"):
        same = tenant.call("GET", path, **if_none_match(told))
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", seen)
    tenant.call("PUT", path, second)
    assert tenant.call("GET", path, **if_none_match(seen)).status_code == 200
    assert problem_code(tenant.call("GET", path, **if_match(seen)), 412) == "precondition_failed"


@pytest.mark.parametrize(("path", "first", "second"), FACTS[:4], ids=PATHS[:4])
def test_a_put_may_be_for_making_only(tenant: Desk, path: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    """`If-None-Match: *`: 201, or 412 where there is one; never replaced."""
    assert tenant.call("PUT", path, first, **if_none_match("*")).status_code == 201
    assert problem_code(tenant.call("PUT", path, second, **if_none_match("*")), 412) == "precondition_failed"
    assert tag_of(tenant.call("GET", path)) == tag_of(tenant.call("PUT", path, first))


def test_an_allowlist_is_there_before_it_was_put(tenant: Desk) -> None:
    """Off and empty: its tag protects the first PUT too, and `If-None-Match: *` never passes."""
    seen = tag_of(tenant.call("GET", "/v1/ip-allowlist"))
    body = {"enabled": True, "entries": []}
    assert problem_code(tenant.call("PUT", "/v1/ip-allowlist", body, **if_none_match("*")), 412)
    assert tenant.call("PUT", "/v1/ip-allowlist", body, **if_match(seen)).status_code == 201
    assert problem_code(tenant.call("PUT", "/v1/ip-allowlist", body, **if_match(seen)), 412)


def test_a_put_on_what_is_gone_is_refused(tenant: Desk) -> None:
    """Else an update would make anew what somebody just deleted."""
    seen = tag_of(tenant.call("PUT", "/v1/users/mira", {}))
    tenant.call("DELETE", "/v1/users/mira")
    for tag in (seen, "*"):
        late = tenant.call("PUT", "/v1/users/mira", {}, **if_match(tag))
        assert problem_code(late, 412) == "precondition_failed"
        assert late.json()["current"] is None


@pytest.mark.parametrize("path", PATHS[:4])
def test_a_delete_is_held_to_what_was_seen(tenant: Desk, path: str) -> None:
    """412 when it changed; 404, not 412, when there is nothing."""
    body = dict(zip(PATHS, FACTS, strict=True))[path]
    seen = tag_of(tenant.call("PUT", path, body[1]))
    now = tag_of(tenant.call("PUT", path, body[2]))
    assert problem_code(tenant.call("DELETE", path, **if_match(seen)), 412) == "precondition_failed"
    gone = tenant.call("DELETE", path, **if_match(now))
    assert gone.status_code == 200
    assert "etag" not in gone.headers
    assert problem_code(tenant.call("DELETE", path, **if_match(now)), 404) == "not_found"


def test_members_bindings_and_keys_have_tags(tenant: Desk) -> None:
    """Whatever one path names."""
    tenant.call("PUT", "/v1/users/mira", {})
    tenant.call("PUT", "/v1/teams/data", {})
    member = tag_of(tenant.call("PUT", "/v1/teams/data/members/mira", {}, **if_none_match("*")))
    assert tag_of(tenant.call("GET", "/v1/teams/data/members/mira")) == member
    bound = tenant.call("POST", "/v1/role-bindings", {"role": "viewer", "team": "data"})
    binding = f"/v1/role-bindings/{bound.json()['data']['id']}"
    assert tag_of(tenant.call("GET", binding)) == tag_of(bound)
    assert problem_code(tenant.call("DELETE", binding, **if_match('"old"')), 412) == "precondition_failed"
    assert tenant.call("DELETE", binding, **if_match(tag_of(bound))).status_code == 200


def test_a_key_is_revoked_only_as_it_was_seen(tenant: Desk) -> None:
    """The tag moves with the revocation."""
    new = {"principal": {"kind": "service", "id": "admin"}, "scopes": ["pipelines:run"]}
    path = f"/v1/keys/{tenant.call('POST', '/v1/keys', new).json()['data']['id']}"
    seen = tag_of(tenant.call("GET", path))
    assert problem_code(tenant.call("POST", f"{path}/revoke", {}, **if_match('"old"')), 412) == "precondition_failed"
    revoked = tag_of(tenant.call("POST", f"{path}/revoke", {}, **if_match(seen)))
    assert revoked == tag_of(tenant.call("GET", path)) != seen


def test_a_tag_tells_nothing_of_what_may_not_be_seen(house: House) -> None:
    """Permission and existence are judged first: another workspace's key and none give the same answer."""
    other = house.key("zeta").api_key.id
    with Desk(house, key=house.key("acme", principal="admin", scopes=ADMIN_SCOPES).text) as desk:
        for name in (other, "AAAAAAAAAAAA"):
            for header in (if_match("*"), if_match('"x"'), if_none_match("*")):
                answer = desk.call("POST", f"/v1/keys/{name}/revoke", {}, **header)
                assert problem_code(answer, 404) == "not_found"
    assert house.stored_key(other).revoked_at is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/keys", {"principal": {"kind": "service", "id": "admin"}, "scopes": ["pipelines:run"]}),
        ("POST", "/v1/role-bindings", {"role": "viewer", "user": "mira"}),
        ("POST", "/v1/workspaces", {"id": "new"}),
    ],
)
def test_a_precondition_is_never_passed_over(operator: Desk, method: str, path: str, body: dict[str, Any]) -> None:
    """Where nothing could be compared, the write is refused: its author believes in a protection."""
    before = operator.head()
    answer = operator.call(method, path, body, **if_match("*"))
    assert problem_code(answer, 400) == "invalid_precondition"
    assert operator.head() == before


@pytest.mark.parametrize(
    "header", ["", "x", '"x', 'x"', '"a" "b"', '"a",', ",", '*, "a"', "W/x", 'w/"x"', '"a b"', ",".join(['"a"'] * 101)]
)
def test_a_precondition_that_cannot_be_read_is_400(tenant: Desk, header: str) -> None:
    """And nothing changed."""
    before = tenant.head()
    for name in ("If-Match", "If-None-Match"):
        answer = tenant.call("PUT", "/v1/users/mira", {}, headers=[(name, header)])
        assert problem_code(answer, 400) == "invalid_precondition"
    assert tenant.head() == before


def test_if_match_never_holds_weakly(tenant: Desk) -> None:
    """A weak tag may stand for more than one state."""
    seen = tag_of(tenant.call("PUT", "/v1/users/mira", {}))
    assert problem_code(tenant.call("PUT", "/v1/users/mira", {}, **if_match(f"W/{seen}")), 412)


def test_tags_of_several_headers_are_one_list() -> None:
    """RFC 9110 section 5.3."""
    headers = ((b"if-match", b'"a", W/"b"'), (b"if-match", b'"c,d"'))
    incoming = Incoming(headers, None, b"")
    assert read_tags(incoming, "if-match", weak=False) == Tags(frozenset({"a", "c,d"}))
    assert read_tags(incoming, "if-match", weak=True) == Tags(frozenset({"a", "b", "c,d"}))
    assert read_tags(incoming, "if-none-match", weak=True) is None
    with pytest.raises(RequestError):
        read_tags(Incoming(((b"if-match", b"nonsense"),), None, b""), "if-match", weak=False)


def test_no_two_kinds_share_a_tag() -> None:
    """A team and a user with equal members are different facts."""
    assert fact_tag(User(workspace="acme", id="a")) != fact_tag(Team(workspace="acme", id="a"))
    assert len(ENTITIES) == len(set(ENTITIES))


def test_of_writes_on_one_tag_one_is_made(house: House) -> None:
    """However many come at once: the precondition is judged under the lock that the write holds."""
    house.admin.put_user(OPERATOR, "acme", "mira")
    with Desk(house, key=house.key("acme", principal="admin", scopes=ADMIN_SCOPES).text) as desk:
        seen = tag_of(desk.call("GET", "/v1/users/mira"))
        headers = {"Authorization": f"Bearer {desk.key}", "If-Match": seen}

        async def race() -> list[httpx.Response]:
            client = desk._client
            bodies = [{"name": f"n{number}"} for number in range(8)]
            return await asyncio.gather(*(client.put("/v1/users/mira", json=body, headers=headers) for body in bodies))

        statuses = sorted(answer.status_code for answer in desk._runner.run(race()))
    assert statuses == [200] + [412] * 7
