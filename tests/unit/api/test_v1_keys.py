"""`/v1/keys`: secrets that overlap, keys of one's own, what a key tells of itself."""

from __future__ import annotations

from tests.unit.api.desk import Desk, key_of, ok, problem_code


def test_a_rotated_key_has_two_secrets_until_its_grace_ends(tenant: Desk) -> None:
    """201 and the new text, once; the body may be left out, and then the old one ends at once."""
    key = key_of(tenant)
    path = f"/v1/keys/{key['id']}/rotate"
    first = ok(tenant.call("POST", path, {"grace_s": 60}), 201)
    assert first["id"] == key["id"]
    reasons = [tenant.decide(key=text).json()["reason"] for text in (key["key"], first["key"])]
    assert reasons == ["allowed", "allowed"]
    second = ok(tenant.call("POST", path), 201)
    reasons = [tenant.decide(key=text).json()["reason"] for text in (key["key"], first["key"], second["key"])]
    assert reasons == ["expired_key", "expired_key", "allowed"]
    for wrong in (-1, 7_776_001, 1.5, "60", None, True):
        problem_code(tenant.call("POST", path, {"grace_s": wrong}), 400)
    tenant.call("POST", f"/v1/keys/{key['id']}/revoke")
    assert problem_code(tenant.call("POST", path), 409) == "key_ended"


def test_a_person_keeps_their_own_keys(tenant: Desk) -> None:
    """The routes of keys are open to `keys:own`, and no others; what is not theirs is 403, there or not."""
    tenant.call("PUT", "/v1/users/ada", {})
    tenant.call("POST", "/v1/role-bindings", {"role": "keeper", "user": "ada"})
    me = {"kind": "user", "id": "ada"}
    mine = key_of(tenant, "keys:own", "pipelines:read", principal=me)
    other = key_of(tenant)
    show = {"key": mine["key"]}
    made = ok(tenant.call("POST", "/v1/keys", {"principal": me, "scopes": ["pipelines:read"]}, **show), 201)
    assert {key["id"] for key in ok(tenant.call("GET", "/v1/keys", **show))} == {mine["id"], made["id"]}
    ok(tenant.call("POST", f"/v1/keys/{made['id']}/rotate", **show), 201)
    assert ok(tenant.call("POST", f"/v1/keys/{made['id']}/revoke", **show), 201)["revoked_at"]
    for key_id in (other["id"], "AAAAAAAAAAAA"):
        for method, path in (("GET", ""), ("POST", "/rotate"), ("POST", "/revoke")):
            answer = tenant.call(method, f"/v1/keys/{key_id}{path}", **show)
            assert problem_code(answer, 403) == "own_keys_only"
    beyond = {"principal": me, "scopes": ["pipelines:run"]}
    assert problem_code(tenant.call("POST", "/v1/keys", beyond, **show), 403) == "exceeds_own_key"
    assert problem_code(tenant.call("GET", "/v1/users", **show), 403) == "insufficient_scope"


def test_a_key_tells_its_state_and_last_use(tenant: Desk) -> None:
    """As seen now: the answering worker knows of uses that are not written yet; none is a change."""
    key = key_of(tenant, expires_at="2027-02-01T00:00:00Z")
    path = f"/v1/keys/{key['id']}"
    ok(tenant.call("POST", f"{path}/rotate", {"grace_s": 60}), 201)
    tenant.house.clock.advance(5)
    before = tenant.head()
    assert ok(tenant.call("GET", path))["last_used_at"] is None
    tenant.decide(key=key["key"])
    seen = ok(tenant.call("GET", path))
    assert seen["last_used_at"] == "2027-01-15T08:00:05Z"
    assert [secret["status"] for secret in seen["secrets"]] == ["in_grace", "current"]
    assert seen["secrets"][0]["expires_at"] == "2027-01-15T08:01:00Z"
    assert tenant.head() == before
    mine = next(item for item in ok(tenant.call("GET", "/v1/keys")) if item["id"] == (tenant.key or "")[4:16])
    assert mine["last_used_at"] == "2027-01-15T08:00:05Z"
    tenant.house.clock.advance(60)
    assert [secret["status"] for secret in ok(tenant.call("GET", path))["secrets"]] == ["ended", "current"]
    tenant.house.clock.advance(30 * 86_400)
    assert ok(tenant.call("GET", path))["status"] == "expired"
