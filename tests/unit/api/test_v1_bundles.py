"""`/v1/bundles`: published, activated, shown; the operator's alone."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest

from policy_service.language.load import load_policy
from policy_service.service.policies.bundles import Bundles
from tests.unit.api.desk import Desk, problem_code
from tests.unit.api.test_openapi import validator
from tests.unit.service.house import OPERATOR, OTHER_FILES, RULE_FILES, House

DIGEST = load_policy(OTHER_FILES).digest
BROKEN = {**RULE_FILES, "roles.yaml": "roles:\n  a: {scopes: [no:such, nor:such]}\n"}


def test_publishing_decides_nothing_yet(operator: Desk) -> None:
    """201 for a new bundle, 200 for one of the same meaning; the note stands in the changes."""
    before = operator.house.bundles.active()
    made = operator.call("POST", "/v1/bundles", {"files": OTHER_FILES, "note": "CHG-1"})
    assert (made.status_code, made.json()["data"]["digest"]) == (201, DIGEST)
    assert operator.house.store.changes[-1].note == "CHG-1"
    again = operator.call("POST", "/v1/bundles", {"files": {**OTHER_FILES, "roles.yaml": RULE_FILES["roles.yaml"]}})
    assert (again.status_code, again.json()["revision"]) == (200, made.json()["revision"])
    assert operator.house.bundles.active() == before
    assert operator.call("GET", f"/v1/bundles/{DIGEST}").json()["data"]["files"] == OTHER_FILES


def test_activating_decides_at_once(operator: Desk) -> None:
    """The worker that answered has applied it; the actor is the key."""
    key = operator.house.key().text
    locked = {"type": "pipeline", "id": "locked-1", "workspace": "acme"}
    operator.call("POST", "/v1/bundles", {"files": OTHER_FILES})
    assert operator.decide(key=key, resource=locked).json()["reason"] == "locked"
    answer = operator.call("POST", f"/v1/bundles/{DIGEST}/activate", {"note": "go"})
    assert answer.json() == {"data": {"digest": DIGEST}, "revision": operator.head(), "next_cursor": None}
    decided = operator.decide(key=key, resource=locked).json()
    assert (decided["decision"], decided["bundle"], decided["revision"]) == ("allow", DIGEST, operator.head())
    active = operator.call("GET", "/v1/active-bundle").json()["data"]
    assert (active["digest"], active["files"]) == (DIGEST, OTHER_FILES)
    last = operator.call("GET", "/v1/changes?action=bundle.activate&order=newest&limit=1").json()["data"][0]
    assert (last["subject"], last["note"], last["actor"][:4]) == (DIGEST, "go", "key:")
    assert operator.call("POST", f"/v1/bundles/{DIGEST}/activate").json()["revision"] == operator.head()


def test_mistakes_are_told_with_their_places(operator: Desk) -> None:
    """400, all of them, as `policy check --json` tells them; nothing is stored."""
    before = operator.head()
    answer = operator.call("POST", "/v1/bundles", {"files": BROKEN})
    assert problem_code(answer, 400) == "invalid_policy"
    found = answer.json()["diagnostics"]
    assert [(one["file"], one["line"], one["severity"]) for one in found] == [("roles.yaml", 2, "error")] * 2
    assert "roles.yaml:2:" in answer.json()["detail"]
    assert "(and 1 more" in answer.json()["detail"]
    assert operator.head() == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/bundles", {"files": OTHER_FILES}),
        ("POST", f"/v1/bundles/{DIGEST}/activate", {}),
        ("GET", "/v1/active-bundle", None),
        ("GET", f"/v1/bundles/{DIGEST}", None),
    ],
)
def test_a_tenant_has_no_bundles(tenant: Desk, method: str, path: str, body: Any) -> None:
    """However much it may do at home."""
    assert problem_code(tenant.call(method, path, body), 403) == "operator_only"


def test_what_was_never_published_is_not_found(operator: Desk) -> None:
    """And nothing is active before the first activation."""
    assert problem_code(operator.call("POST", f"/v1/bundles/{DIGEST}/activate", {}), 404) == "not_found"
    with Desk(House(), local_actor="local:0") as bare:
        assert problem_code(bare.call("GET", "/v1/active-bundle"), 404) == "not_found"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_field"),
        ({"files": []}, "wrong_type"),
        ({"files": {"chain.yaml": 1}}, "wrong_type"),
        ({"files": {"a\n.yaml": ""}}, "control_character"),
        ({"files": OTHER_FILES, "note": "a\nb"}, "control_character"),
        ({"files": OTHER_FILES, "extra": 1}, "unknown_field"),
        ({"files": {"chain.yaml": "\ud800"}}, "lone_surrogate"),
        ({"files": {"chain.yaml": "chain:\0"}}, "invalid_policy"),
        ({"files": {"../up.yaml": "a: 1"}}, "invalid_policy"),
    ],
)
def test_a_body_is_read_as_strictly_as_any(operator: Desk, body: Any, code: str) -> None:
    """But that texts of files have lines."""
    assert problem_code(operator.call("POST", "/v1/bundles", body), 400) == code


def test_a_bundle_may_be_larger_than_a_question(operator: Desk) -> None:
    """Up to 4 MiB; the other routes keep to 64 KiB."""
    files = {**OTHER_FILES, "chain.yaml": OTHER_FILES["chain.yaml"] + "# long\n" * 20_000}
    assert operator.call("POST", "/v1/bundles", {"files": files}).status_code == 201
    files["chain.yaml"] += "# long\n" * 600_000
    assert problem_code(operator.call("POST", "/v1/bundles", {"files": files}), 413) == "body_too_large"


def test_activating_what_would_lock_its_author_out_needs_force(house: House) -> None:
    """A key whose scope for this service is only implied, by a bundle that implies it no more."""
    implied = {**RULE_FILES, "scopes.yaml": RULE_FILES["scopes.yaml"] + "  all:of_it:\n    on: [organization]\n"}
    implied["scopes.yaml"] += "    implies: [admin:organization]\n"
    before = house.bundles.publish(OPERATOR, implied).fact
    assert before is not None
    house.bundles.activate(OPERATOR, before.digest)
    key = house.key("system", principal="ops", scopes=("all:of_it",)).text
    with Desk(house, key=key) as desk:
        assert desk.call("POST", "/v1/bundles", {"files": OTHER_FILES}).status_code == 201
        refused = desk.call("POST", f"/v1/bundles/{DIGEST}/activate", {})
        assert problem_code(refused, 409) == "would_lock_out"
        assert house.bundles.active() == before.digest
        assert desk.call("POST", f"/v1/bundles/{DIGEST}/activate?force=true", {}).status_code == 200
        assert problem_code(desk.call("GET", "/v1/active-bundle"), 403) == "insufficient_scope"


def test_compiling_holds_up_no_other_change(operator: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation that comes while a bundle is being read is made, applied and answered meanwhile."""
    house = operator.house
    key = house.key()
    begun, go_on = threading.Event(), threading.Event()
    publish = Bundles.publish

    def slow(*arguments: Any, **more: Any) -> Any:
        begun.set()
        assert go_on.wait(60)
        return publish(*arguments, **more)

    monkeypatch.setattr(Bundles, "publish", slow)

    async def both() -> tuple[httpx.Response, Any]:
        client = operator._client
        headers = {"Authorization": f"Bearer {operator.key}"}
        publishing = asyncio.create_task(client.post("/v1/bundles", json={"files": OTHER_FILES}, headers=headers))
        await asyncio.to_thread(begun.wait, 10)
        revoke = f"/v1/keys/{key.api_key.id}/revoke?workspace=acme"
        assert (await client.post(revoke, headers=headers)).status_code == 201
        question = {"key": key.text, "scope": "pipelines:run", "resource": "pipeline:etl"}
        decided = (await client.post("/decide", json=question, headers=headers)).json()
        go_on.set()
        return await publishing, decided

    published, decided = operator._runner.run(both())
    assert decided["reason"] == "revoked_key"
    assert published.status_code == 201


def test_the_answers_are_as_documented(operator: Desk) -> None:
    """Each member, with nothing beside it."""
    document = operator.call("GET", "/openapi.json", key=None).json()
    calls: list[tuple[str, str, str, Any]] = [
        ("post", "/v1/bundles", "/v1/bundles", {"files": OTHER_FILES}),
        ("post", "/v1/bundles", "/v1/bundles", {"files": BROKEN}),
        ("post", "/v1/bundles/{digest}/activate", f"/v1/bundles/{DIGEST}/activate", {}),
        ("get", "/v1/active-bundle", "/v1/active-bundle", None),
    ]
    for method, path, target, body in calls:
        answer = operator.call(method.upper(), target, body)
        media = answer.headers["content-type"]
        validator(document, path, method, answer.status_code, media).validate(answer.json())


def test_a_bundle_in_shadow_is_compared_and_shown(operator: Desk) -> None:
    """Flips in `GET /v1/shadow` and in the metrics; the answers stay the active policy's; ended, it is gone."""
    key = operator.house.key().text
    document = operator.call("GET", "/openapi.json", key=None).json()
    locked = {"type": "pipeline", "id": "locked-1", "workspace": "acme"}
    assert operator.call("GET", "/v1/shadow").json()["data"]["state"] == "off"
    assert "policy_service_shadow_running 0.0" in operator.call("GET", "/metrics", key=None).text
    operator.call("POST", "/v1/bundles", {"files": OTHER_FILES})
    started = operator.call("POST", "/v1/shadow", {"digest": DIGEST, "note": "try"})
    assert (started.status_code, started.json()["data"]) == (201, {"digest": DIGEST})
    assert operator.decide(key=key, resource=locked).json()["reason"] == "locked"
    shown = operator.call("GET", "/v1/shadow")
    validator(document, "/v1/shadow", "get", 200).validate(shown.json())
    data = shown.json()["data"]
    assert (data["digest"], data["state"], data["compared"]) == (DIGEST, "running", 1)
    assert data["flips"] == [{"change": "deny_to_allow", "reason": "locked", "rule": "no-locked-ones", "count": 1}]
    assert data["examples"][0]["request"]["resource"]["id"] == "locked-1"
    assert key not in shown.text
    metrics = operator.call("GET", "/metrics", key=None).text
    flips = 'policy_service_shadow_flips_total{change="deny_to_allow",reason="locked",rule="no-locked-ones"} 1.0'
    for line in ("policy_service_shadow_running 1.0", "policy_service_shadow_compared_total 1.0", flips):
        assert line in metrics
    ended = operator.call("DELETE", "/v1/shadow")
    validator(document, "/v1/shadow", "delete", 200).validate(ended.json())
    assert operator.call("GET", "/v1/shadow").json()["data"]["state"] == "off"


def test_shadow_is_the_operators(tenant: Desk) -> None:
    """A tenant sees nothing of others' requests."""
    for method, body in (("GET", None), ("DELETE", None), ("POST", {"digest": DIGEST})):
        assert problem_code(tenant.call(method, "/v1/shadow", body), 403) == "operator_only"


def test_what_is_put_in_shadow_must_be_published(operator: Desk) -> None:
    """And be named whole."""
    assert problem_code(operator.call("POST", "/v1/shadow", {"digest": DIGEST}), 404) == "not_found"
    assert problem_code(operator.call("POST", "/v1/shadow", {"digest": "sha256:1"}), 400) == "invalid_value"
