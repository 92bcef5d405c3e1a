"""`/v1`: every noun by its routes, the envelope, workspaces, and that a change holds where it was answered."""

from __future__ import annotations

from typing import Any

import pytest

from policy_service.model.errors import StoreError
from tests.unit.api.desk import Desk, ok, problem_code


def test_a_user_from_put_to_delete(tenant: Desk) -> None:
    """201 when new, 200 when replaced; without `suspended` it is kept; after DELETE it is gone."""
    made = ok(tenant.call("PUT", "/v1/users/mira", {"name": "Mira"}), 201)
    assert made == {"id": "mira", "workspace": "acme", "name": "Mira", "suspended": False}
    assert ok(tenant.call("PUT", "/v1/users/mira", {"suspended": True}))["suspended"] is True
    assert ok(tenant.call("PUT", "/v1/users/mira", {"name": "M."})) == {**made, "name": "M.", "suspended": True}
    assert ok(tenant.call("GET", "/v1/users/mira"))["name"] == "M."
    assert [user["id"] for user in ok(tenant.call("GET", "/v1/users"))] == ["mira"]
    assert ok(tenant.call("DELETE", "/v1/users/mira")) is None
    assert problem_code(tenant.call("GET", "/v1/users/mira"), 404) == "not_found"
    assert problem_code(tenant.call("DELETE", "/v1/users/mira"), 404) == "not_found"


def test_a_service_principal_from_put_to_delete(tenant: Desk) -> None:
    """It shares the id space of users."""
    assert ok(tenant.call("PUT", "/v1/service-principals/bot", {"name": "Bot"}), 201)["name"] == "Bot"
    assert problem_code(tenant.call("PUT", "/v1/users/bot", {}), 409) == "conflict"
    assert {"bot", "admin"} == {item["id"] for item in ok(tenant.call("GET", "/v1/service-principals"))}
    assert ok(tenant.call("GET", "/v1/service-principals/bot"))["workspace"] == "acme"
    assert ok(tenant.call("DELETE", "/v1/service-principals/bot")) is None


def test_teams_nest_and_have_members(tenant: Desk) -> None:
    """A member of a child team is no direct member of the parent."""
    tenant.call("PUT", "/v1/users/mira", {})
    ok(tenant.call("PUT", "/v1/teams/data", {}), 201)
    assert ok(tenant.call("PUT", "/v1/teams/etl", {"parent": "data"}), 201)["parent"] == "data"
    member = {"workspace": "acme", "team": "etl", "user": "mira"}
    assert ok(tenant.call("PUT", "/v1/teams/etl/members/mira"), 201) == member
    assert ok(tenant.call("PUT", "/v1/teams/etl/members/mira", {})) == member
    assert ok(tenant.call("GET", "/v1/teams/etl/members/mira")) == member
    assert ok(tenant.call("GET", "/v1/teams/etl/members")) == [member]
    assert ok(tenant.call("GET", "/v1/teams/data/members")) == []
    assert problem_code(tenant.call("PUT", "/v1/teams/data", {"parent": "etl"}), 409) == "team_cycle"
    assert problem_code(tenant.call("PUT", "/v1/teams/etl/members/mira", {"since": 1}), 400) == "unknown_field"
    assert ok(tenant.call("DELETE", "/v1/teams/etl/members/mira")) is None
    assert ok(tenant.call("DELETE", "/v1/teams/data")) is None
    assert ok(tenant.call("GET", "/v1/teams/etl"))["parent"] is None
    assert len(ok(tenant.call("GET", "/v1/teams"))) == 1


@pytest.mark.parametrize("name", ["etl-42", "a/b/c", "a:b", "s3:bucket/2026:x", "A@b.c"])
def test_a_resource_id_may_hold_slashes_and_colons(tenant: Desk, name: str) -> None:
    """It is all that follows the type."""
    path = f"/v1/resources/pipeline/{name}"
    body = {"owner": "mira", "attributes": {"env": "prod", "tags": ["a"], "size": 1.5}}
    expected = {"type": "pipeline", "id": name, "workspace": "acme", **body}
    assert ok(tenant.call("PUT", path, body), 201) == expected
    assert ok(tenant.call("GET", path)) == expected
    assert ok(tenant.call("GET", "/v1/resources/pipeline")) == [expected]
    assert ok(tenant.call("GET", "/v1/resources")) == [expected]
    assert ok(tenant.call("DELETE", path)) is None
    assert problem_code(tenant.call("GET", path), 404) == "not_found"


def test_a_percent_encoded_slash_is_a_slash(tenant: Desk) -> None:
    """Clients that encode the whole id mean the same resource."""
    ok(tenant.call("PUT", "/v1/resources/pipeline/a%2Fb%3Ac", {}), 201)
    assert ok(tenant.call("GET", "/v1/resources/pipeline/a/b:c"))["id"] == "a/b:c"


def test_role_bindings_in_all_their_forms(tenant: Desk) -> None:
    """For a team or a user, over the workspace or one resource, named in either form."""
    tenant.call("PUT", "/v1/users/mira", {})
    tenant.call("PUT", "/v1/teams/data", {})
    tenant.call("PUT", "/v1/resources/pipeline/etl", {})
    bound = {"type": "pipeline", "id": "etl"}
    first = ok(tenant.call("POST", "/v1/role-bindings", {"role": "viewer", "team": "data"}), 201)
    assert first == {
        "id": first["id"],
        "workspace": "acme",
        "role": "viewer",
        "team": "data",
        "user": None,
        "resource": None,
    }
    one = ok(tenant.call("POST", "/v1/role-bindings", {"role": "operator", "user": "mira", "resource": bound}), 201)
    assert one["resource"] == bound
    again = {"role": "operator", "user": "mira", "resource": "pipeline:etl"}
    assert problem_code(tenant.call("POST", "/v1/role-bindings", again), 409) == "conflict"
    assert ok(tenant.call("GET", f"/v1/role-bindings/{one['id']}")) == one
    assert ok(tenant.call("GET", "/v1/role-bindings?team=data")) == [first]
    assert ok(tenant.call("GET", "/v1/role-bindings?user=mira")) == [one]
    assert problem_code(tenant.call("POST", "/v1/role-bindings", {"role": "viewer"}), 400) == "invalid_binding"
    assert (
        problem_code(tenant.call("POST", "/v1/role-bindings", {"role": "vewer", "user": "mira"}), 400) == "unknown_role"
    )
    assert ok(tenant.call("DELETE", f"/v1/role-bindings/{one['id']}")) is None
    assert ok(tenant.call("GET", "/v1/role-bindings?user=mira")) == []


def test_the_allowlist_is_replaced_whole(tenant: Desk) -> None:
    """Off and empty before it was ever put; CIDRs are told in canonical spelling."""
    assert ok(tenant.call("GET", "/v1/ip-allowlist")) == {"workspace": "acme", "enabled": False, "entries": []}
    body = {"enabled": True, "entries": [{"cidr": "2001:DB8::/32", "label": "office"}, {"cidr": "any"}]}
    entries = [{"cidr": "2001:db8::/32", "label": "office"}, {"cidr": "any", "label": ""}]
    assert ok(tenant.call("PUT", "/v1/ip-allowlist", body), 201)["entries"] == entries
    assert ok(tenant.call("PUT", "/v1/ip-allowlist", {"enabled": False}))["entries"] == []
    bad = {"enabled": True, "entries": [{"cidr": "10.0.0.1/8"}]}
    assert problem_code(tenant.call("PUT", "/v1/ip-allowlist", bad), 400) == "invalid_cidr"


def test_a_key_is_shown_once(tenant: Desk) -> None:
    """`data.key` in the answer that made it; nowhere else, ever."""
    body = {
        "principal": {"kind": "service", "id": "admin"},
        "scopes": ["pipelines:run", "pipelines:read"],
        "not_before": "2027-01-15T09:00:00+01:00",
        "expires_at": "2027-06-01T00:00:00Z",
        "cidrs": ["203.0.113.0/24"],
        "labels": {"team": "data"},
    }
    made = ok(tenant.call("POST", "/v1/keys", body), 201)
    text = made.pop("key")
    assert made == {
        "id": made["id"],
        "workspace": "acme",
        "principal": body["principal"],
        "scopes": ["pipelines:read", "pipelines:run"],
        "status": "active",
        "created_at": "2027-01-15T08:00:00Z",
        "not_before": "2027-01-15T08:00:00Z",
        "expires_at": "2027-06-01T00:00:00Z",
        "revoked_at": None,
        "revoke_reason": None,
        "last_used_at": None,
        "cidrs": ["203.0.113.0/24"],
        "labels": {"team": "data"},
        "secrets": [
            {"number": 1, "status": "current", "created_at": "2027-01-15T08:00:00Z", "expires_at": None},
        ],
    }
    assert ok(tenant.call("GET", f"/v1/keys/{made['id']}")) == made
    assert made in ok(tenant.call("GET", "/v1/keys"))
    assert made in ok(tenant.call("GET", "/v1/keys?principal=service:admin"))
    everything = "".join(
        tenant.call("GET", path).text for path in ("/v1/keys", "/v1/changes", f"/v1/keys/{made['id']}")
    )
    assert text not in everything
    assert text[16:38] not in everything


def test_a_revoked_key_stays_revoked(tenant: Desk) -> None:
    """Twice is as good as once; the reason of the first time stays; the body may be left out."""
    key = ok(
        tenant.call("POST", "/v1/keys", {"principal": {"kind": "service", "id": "admin"}, "scopes": ["keys:own"]}), 201
    )
    path = f"/v1/keys/{key['id']}/revoke"
    revoked = ok(tenant.call("POST", path, {"reason": "leaked"}), 201)
    assert (revoked["revoked_at"], revoked["revoke_reason"]) == ("2027-01-15T08:00:00Z", "leaked")
    assert ok(tenant.call("POST", path)) == revoked
    assert problem_code(tenant.call("POST", "/v1/keys/AAAAAAAAAAAA/revoke"), 404) == "not_found"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scopes": []}, "invalid_value"),
        ({"scopes": ["pipelines:rum"]}, "unknown_scope"),
        ({"principal": {"kind": "user", "id": "nobody"}}, "unknown_principal"),
        ({"expires_at": "tomorrow"}, "invalid_value"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_expiry"),
        ({"expires_at": 1}, "wrong_type"),
        ({"cidrs": ["10.0.0.1"] * 2}, "duplicate_cidr"),
        ({"labels": {"x": 1}}, "wrong_type"),
        ({"key": "psx_mine"}, "unknown_field"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(tenant: Desk, change: dict[str, Any], code: str) -> None:
    """And nothing changed."""
    body = {"principal": {"kind": "service", "id": "admin"}, "scopes": ["pipelines:run"], **change}
    before = tenant.head()
    assert problem_code(tenant.call("POST", "/v1/keys", body), 400) == code
    assert tenant.head() == before


def test_lists_go_on_by_cursor(tenant: Desk) -> None:
    """Every user once, in order; the cursor is null at the end."""
    names = [f"user-{number}" for number in range(7)]
    for name in names:
        tenant.call("PUT", f"/v1/users/{name}", {})
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = tenant.call("GET", "/v1/users", params={"limit": "3", **more}).json()
        assert len(page["data"]) <= 3
        seen += [user["id"] for user in page["data"]]
        cursor = page["next_cursor"]
    assert seen == names
    for query, code in (
        ("limit=0", "invalid_limit"),
        ("limit=1001", "invalid_limit"),
        ("limit=x", "invalid_parameter"),
        ("cursor=x", "invalid_cursor"),
        ("page=2", "unknown_parameter"),
    ):
        assert problem_code(tenant.call("GET", f"/v1/users?{query}"), 400) == code
    assert problem_code(tenant.call("GET", "/v1/keys?principal=robot:x"), 400) == "invalid_parameter"


def test_changes_tell_who_did_what_and_no_secret(tenant: Desk) -> None:
    """Those of the caller's workspace, oldest first; the hash chain can be followed."""
    ok(tenant.call("PUT", "/v1/users/mira", {"name": "Mira"}), 201)
    changes = ok(tenant.call("GET", "/v1/changes"))
    assert {change["workspace"] for change in changes} == {"acme"}
    last = changes[-1]
    assert last["action"] == "user.put"
    assert last["actor"].startswith("key:")
    assert last["effects"][0]["before"] is None
    assert last["effects"][0]["after"]["name"] == "Mira"
    assert last["at"] == "2027-01-15T08:00:00Z"
    assert all("sealed" not in change for change in changes)
    assert any(change["sealed_sha256"] for change in changes)


def test_the_operator_sees_every_change_or_one_workspaces(operator: Desk) -> None:
    """Bundles included, which belong to no workspace."""
    everything = ok(operator.call("GET", "/v1/changes"))
    assert [change["revision"] for change in everything] == list(range(1, operator.head() + 1))
    assert {change["workspace"] for change in ok(operator.call("GET", "/v1/changes?workspace=acme"))} == {"acme"}


def test_the_operator_names_the_workspace(operator: Desk) -> None:
    """Without it, its own is meant."""
    ok(operator.call("PUT", "/v1/users/mira?workspace=zeta", {}), 201)
    assert ok(operator.call("GET", "/v1/users")) == []
    assert [user["id"] for user in ok(operator.call("GET", "/v1/users?workspace=zeta"))] == ["mira"]
    assert problem_code(operator.call("GET", "/v1/users?workspace=nowhere"), 404) == "not_found"


def test_others_cannot_name_another_workspace(tenant: Desk) -> None:
    """403, whether it exists or not; naming one's own is fine."""
    for workspace in ("zeta", "nowhere", "system"):
        for method, path in (("GET", "users"), ("PUT", "users/x"), ("GET", "changes"), ("GET", "keys/AAAAAAAAAAAA")):
            body = {} if method == "PUT" else None
            answer = tenant.call(method, f"/v1/{path}?workspace={workspace}", body)
            assert problem_code(answer, 403) == "workspace_mismatch"
            assert "www-authenticate" in answer.headers
    assert ok(tenant.call("GET", "/v1/users?workspace=acme")) == []


def test_workspaces_are_the_operators(operator: Desk, tenant: Desk) -> None:
    """A tenant sees its own and makes none."""
    made = ok(operator.call("POST", "/v1/workspaces", {"id": "new", "name": "New"}), 201)
    assert (made["id"], made["name"]) == ("new", "New")
    assert {"acme", "new", "system", "zeta"} == {item["id"] for item in ok(operator.call("GET", "/v1/workspaces"))}
    assert problem_code(operator.call("POST", "/v1/workspaces", {"id": "new"}), 409) == "conflict"
    assert problem_code(tenant.call("POST", "/v1/workspaces", {"id": "mine"}), 403) == "operator_only"
    assert problem_code(tenant.call("GET", "/v1/workspaces"), 403) == "operator_only"
    assert ok(tenant.call("GET", "/v1/workspaces/acme"))["id"] == "acme"
    assert problem_code(tenant.call("GET", "/v1/workspaces/zeta"), 403) == "workspace_mismatch"


def test_a_bundle_is_shown_with_its_files(operator: Desk) -> None:
    """By the digest that decisions name."""
    digest = operator.house.bundles.active()
    bundle = ok(operator.call("GET", f"/v1/bundles/{digest}"))
    assert bundle["digest"] == digest
    assert "chain.yaml" in bundle["files"]
    assert problem_code(operator.call("GET", "/v1/bundles/sha256:0"), 404) == "not_found"


def test_the_answering_worker_has_applied_the_change(tenant: Desk) -> None:
    """Every answer to a change carries its revision, and the very next decision stands on it."""
    key = ok(
        tenant.call("POST", "/v1/keys", {"principal": {"kind": "service", "id": "admin"}, "scopes": ["pipelines:run"]}),
        201,
    )
    assert tenant.decide(key=key["key"]).json()["decision"] == "allow"
    revoked = tenant.call("POST", f"/v1/keys/{key['id']}/revoke")
    decision = tenant.decide(key=key["key"]).json()
    assert (decision["reason"], decision["revision"]) == ("revoked_key", revoked.json()["revision"])


def test_a_change_that_could_not_be_applied_here_is_told_as_committed(tenant: Desk) -> None:
    """503, with its revision: the caller must not think that nothing happened."""
    tenant.decide()

    def broken(revision: int, limit: int) -> list[Any]:
        raise StoreError("store_unreachable", "the database cannot be reached")

    tenant.house.store.changes_after = broken
    answer = tenant.call("PUT", "/v1/users/mira", {})
    assert problem_code(answer, 503) == "store_unreachable"
    assert answer.json()["revision"] == tenant.head()
    assert "is committed" in answer.json()["detail"]


def test_a_store_out_of_reach_is_503(tenant: Desk) -> None:
    """With the store's code, for reads and writes."""
    tenant.decide()
    tenant.house.store.broken = StoreError("store_locked", "the database is locked")
    for method, path in (("GET", "/v1/users"), ("DELETE", "/v1/users/mira")):
        answer = tenant.call(method, path)
        assert problem_code(answer, 503) == "store_locked"
        assert answer.headers["retry-after"] == "1"


def test_a_local_application_asks_for_no_key(tenant: Desk) -> None:
    """Whoever speaks to it is the operator; changes name the local actor."""
    with Desk(tenant.house, local_actor="local:1000") as local:
        ok(local.call("PUT", "/v1/users/mira?workspace=acme", {}), 201)
        assert ok(local.call("GET", "/v1/changes"))[-1]["actor"] == "local:1000"
        assert local.decide().json()["reason"] == "missing_credentials"


def test_a_change_that_would_lock_its_author_out_is_a_409_until_it_is_forced(tenant: Desk) -> None:
    """`?force=true`; on the routes where it could matter, and on no others."""
    key_id = (tenant.key or "")[4:16]
    assert problem_code(tenant.call("POST", f"/v1/keys/{key_id}/revoke"), 409) == "would_lock_out"
    assert problem_code(tenant.call("DELETE", "/v1/service-principals/admin?force=false"), 409) == "would_lock_out"
    assert problem_code(tenant.call("DELETE", "/v1/service-principals/admin?force=1"), 400) == "invalid_parameter"
    assert (
        problem_code(tenant.call("PUT", "/v1/ip-allowlist?force=true", {"enabled": True}), 400) == "unknown_parameter"
    )
    assert ok(tenant.call("DELETE", "/v1/service-principals/admin?force=true")) is None
    assert problem_code(tenant.call("GET", "/v1/users"), 401) == "revoked_key"
