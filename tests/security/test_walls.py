"""Tenants are walls: by every endpoint, in every answer, and in what the answers do not say."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from policy_service.model.api_key import format_api_key
from tests.security.counting import Attacks
from tests.security.house import CANARY, NEVER, VICTIM, VICTIM_ID, House
from tests.security.routes import Route, documented

WRITING = {"POST", "PUT", "DELETE"}
SPELLINGS = [
    VICTIM,
    VICTIM.upper(),
    f"{VICTIM} ",
    f" {VICTIM}",
    f"{VICTIM}/",
    f"./{VICTIM}",
    f"{VICTIM}%00",
    "*",
    "system",
]


def _administrative(house: House) -> list[Route]:
    return [route for route in documented(house) if "admin:organization" in route.scopes]


def test_no_endpoint_reaches_into_another_workspace(house: House, attacks: Attacks) -> None:
    """Named in the query, in every spelling: `workspace_mismatch` before anything else; the victim stays as it was."""
    before = house.victim_facts()
    for route in _administrative(house):
        for name in SPELLINGS:
            response = house.call(
                route.method, route.path_for(house, "rival"), house.keys["admin"], json=route.body,
                params={"workspace": name},
            )  # fmt: skip
            attacks("cross-workspace: by the query")
            assert response.status_code in (400, 403, 404), (route, name, response.text)
            if "workspace" in route.parameters:
                assert (response.status_code, response.json()["code"]) == (403, "workspace_mismatch"), (route, name)
            assert CANARY not in response.text
    assert house.victim_facts() == before


def test_naming_the_victims_facts_is_like_naming_nothing(house: House, attacks: Attacks) -> None:
    """By every route that names an id: the same answer, byte for byte but for the id, as for one that never was."""
    before = house.victim_facts()
    for route in _administrative(house):
        if not route.names_an_id or (route.method == "PUT" and route.noun != "teams"):
            continue  # a PUT makes a fact of that name in one's own workspace; see the test below
        answers = []
        for whose in ("rival", "never"):
            path = route.path_for(house, whose)
            response = house.call(route.method, path, house.keys["admin"], json=route.body)
            attacks("cross-workspace: by an id")
            assert CANARY not in response.text
            assert response.status_code in (200, 201, 400, 403, 404), (route, response.text)
            answers.append((response.status_code, _nameless(response.text, house), _headers(response)))
        assert answers[0] == answers[1], route
    for name in (VICTIM_ID, NEVER):
        house.call("DELETE", f"/v1/teams/{name}", house.keys["admin"])
    assert house.victim_facts() == before


def _nameless(text: str, house: House) -> str:
    """An answer without ids, revisions and instants."""
    text = re.sub("`[0-9]+`", "`…`", text)
    for name in sorted({NEVER, *house.victims.values()}, key=len, reverse=True):
        text = text.replace(name, "…")
    return re.sub(r'"(revision|now)":("[^"]*"|\d+)', r'"\1":0', text)


def _headers(response: Any) -> list[str]:
    return sorted(name for name, _ in response.headers.items())


def test_facts_of_ones_own_with_the_victims_names_touch_no_others(house: House, attacks: Attacks) -> None:
    """The same ids in `demo` are other facts: making and deleting them changes nothing there."""
    before = house.victim_facts()
    own = [
        ("users", {"name": "mine"}),
        ("teams", {"name": "mine"}),
        ("resources/pipeline", {"owner": None, "attributes": {}}),
    ]
    for noun, body in own:
        path = f"/v1/{noun}/{VICTIM_ID}"
        assert house.call("PUT", path, house.keys["admin"], json=body).status_code == 201
        assert CANARY not in house.call("GET", path, house.keys["admin"]).text
        if noun == "teams":
            # Membership and binding of the victim's team of that name are not this team's.
            listed = house.call("GET", f"{path}/members", house.keys["admin"]).json()
            assert listed["data"] == []
        attacks("cross-workspace: by a name of one's own", 3)
    for noun, _ in reversed(own):
        assert house.call("DELETE", f"/v1/{noun}/{VICTIM_ID}", house.keys["admin"]).status_code == 200
    assert house.victim_facts() == before


REFERENCES: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "keys", {"principal": {"kind": "user", "id": "…"}, "scopes": ["pipelines:run"]}, "unknown_principal"),
    ("POST", "keys", {"principal": {"kind": "service", "id": "…"}, "scopes": ["pipelines:run"]}, "unknown_principal"),
    ("POST", "role-bindings", {"role": "operator", "user": "…"}, "unknown_user"),
    ("POST", "role-bindings", {"role": "operator", "team": "…"}, "unknown_team"),
    ("POST", "role-bindings", {"role": "operator", "user": "ada", "resource": "pipeline:…"}, "unknown_resource"),
    ("PUT", "teams/x", {"parent": "…"}, "unknown_team"),
    ("PUT", "teams/data/members/…", {}, "unknown_user"),
]


@pytest.mark.parametrize(("method", "path", "body", "code"), REFERENCES)
def test_a_reference_to_the_victims_facts_is_like_one_to_nothing(
    house: House, method: str, path: str, body: dict[str, Any], code: str, attacks: Attacks
) -> None:
    """No binding, team, membership or key can be tied to another workspace's fact, nor tell that it is there."""
    before = house.revision()
    answers = []
    for name in (VICTIM_ID, NEVER):
        filled = json.loads(json.dumps(body, ensure_ascii=False).replace("…", name))
        response = house.call(method, f"/v1/{path.replace('…', name)}", house.keys["admin"], json=filled)
        attacks("cross-workspace: by a reference in a body")
        answers.append((response.status_code, response.json()["code"], _nameless(response.text, house)))
    assert answers[0] == answers[1]
    assert answers[0][1] in (code, "not_found")
    assert house.revision() == before


def test_no_list_shows_a_fact_of_another_workspace(house: House, attacks: Attacks) -> None:
    """Every list, with every filter that names the victim, page by page of one."""
    for route in documented(house):
        if route.method != "GET" or "admin:organization" not in route.scopes or "cursor" not in route.parameters:
            continue
        path = route.path_for(house, "demo")
        names = sorted(route.parameters - {"limit", "cursor", "workspace"})
        for query in ({}, *({name: VICTIM_ID} for name in names), *({name: f"user:{VICTIM_ID}"} for name in names)):
            cursor: str | None = None
            for _ in range(60):
                page = {**query, "limit": "1", **({"cursor": cursor} if cursor else {})}
                response = house.call("GET", path, house.keys["admin"], params=page)
                attacks("cross-workspace: by a list")
                assert CANARY not in response.text
                cursor = response.json().get("next_cursor")
                if cursor is None:
                    break


def test_a_cursor_made_by_hand_shows_nothing_of_others(house: House, attacks: Attacks) -> None:
    """Cursors of another workspace's list, sent with one's own key."""
    for noun in ("users", "keys", "resources", "role-bindings", "teams"):
        theirs = house.call("GET", f"/v1/{noun}", house.keys["victim's admin"], params={"limit": "1"}).json()
        own = house.call("GET", f"/v1/{noun}", house.keys["admin"], params={"limit": "1"}).json()
        for cursor in (theirs["next_cursor"], own["next_cursor"], "AAAA", "", "e30"):
            if cursor is None:
                continue
            response = house.call("GET", f"/v1/{noun}", house.keys["admin"], params={"cursor": cursor})
            attacks("cross-workspace: by a cursor")
            assert response.status_code in (200, 400), response.text
            assert CANARY not in response.text


# decisions


def _decide(house: House, kind: str, **question: Any) -> dict[str, Any]:
    body = {
        "scope": "pipelines:run",
        "resource": {"type": "pipeline", "id": VICTIM_ID, "workspace": VICTIM},
        **question,
    }
    response = house.call("POST", "/decide", house.keys[kind], json=body)
    assert response.status_code == 200, response.text
    decision: dict[str, Any] = response.json()
    return decision


CHANGING = ("decision_id", "decided_at", "revision")


@pytest.mark.parametrize("presented", ["victim", "victim's admin", "system", "caller"])
def test_a_foreign_key_is_like_one_that_never_was(house: House, presented: str, attacks: Attacks) -> None:
    """Through `/decide`, with explain and in a batch: the same answer in every member."""
    never = format_api_key("psx", NEVER, "A" * 22)
    for resource in ("pipeline:x", {"type": "pipeline", "id": VICTIM_ID, "workspace": VICTIM}, "x:y"):
        for explain in ("false", "true"):
            answers = []
            for key in (house.keys[presented], never):
                body = {"key": key, "scope": "pipelines:run", "resource": resource}
                response = house.call(
                    "POST", "/decide", house.keys["explainer"], json=body, params={"explain": explain}
                )
                attacks("enumeration: a foreign key against an unknown one")
                answer = response.json()
                answers.append({name: answer[name] for name in answer if name not in CHANGING})
            assert answers[0] == answers[1]
            assert answers[0]["reason"] == "unknown_key"


@pytest.mark.parametrize("presented", ["victim", "victim's admin", "system", "caller"])
def test_a_foreign_key_is_not_explained(house: House, presented: str, attacks: Attacks) -> None:
    """Through `/v1/explain`: the same sentences as for a key that never was, and no change that would help."""
    never = format_api_key("psx", NEVER, "A" * 22)
    for resource in ("pipeline:x", {"type": "pipeline", "id": VICTIM_ID, "workspace": VICTIM}, "x:y"):
        told = []
        for key in (house.keys[presented], never):
            body = {"key": key, "scope": "pipelines:run", "resource": resource}
            response = house.call("POST", "/v1/explain", house.keys["explainer"], json=body)
            attacks("enumeration: a foreign key against an unknown one")
            data = response.json()["data"]
            decision = {name: value for name, value in data["decision"].items() if name not in CHANGING}
            told.append((decision, data["sentences"][1:], data["sentences"][0].rpartition(" at ")[0], data["changes"]))
        assert told[0] == told[1]
        assert (told[0][0]["reason"], told[0][3]) == ("unknown_key", [])


def test_a_batch_tells_no_foreign_key_from_an_unknown_one(house: House, attacks: Attacks) -> None:
    """Nor in a crowd."""
    never = format_api_key("psx", NEVER, "A" * 22)
    questions = [
        {"key": key, "scope": "pipelines:run", "resource": "pipeline:x"}
        for key in (house.keys["victim"], never, house.keys["system"], house.keys["wrong secret"])
    ]
    results = house.batch(questions, house.keys["decider"])
    attacks("enumeration: a foreign key against an unknown one", len(questions))
    stripped = [{name: item[name] for name in item if name not in CHANGING} for item in results]
    assert all(item == stripped[0] for item in stripped)


def test_no_decision_crosses_workspaces(house: House, attacks: Attacks) -> None:
    """A key of `demo` on the victim's resource, however it is claimed: never allowed, and no fact of it shown."""
    claims: list[Any] = [
        f"pipeline:{VICTIM_ID}",
        {"type": "pipeline", "id": VICTIM_ID, "workspace": VICTIM},
        {"type": "pipeline", "id": VICTIM_ID, "workspace": VICTIM, "owner": "ada"},
        {"type": "pipeline", "id": VICTIM_ID, "workspace": VICTIM, "attributes": {"env": "dev"}},
        {"type": "pipeline", "id": VICTIM_ID, "workspace": "system"},
        {"type": "pipeline", "id": VICTIM_ID, "workspace": "Demo"},
        {"type": "pipeline", "id": VICTIM_ID, "workspace": ""},
        {"type": "organization", "id": VICTIM, "workspace": "demo"},
        {"type": "organization", "id": VICTIM, "workspace": VICTIM},
        {"type": "organization", "id": VICTIM},
    ]
    scopes = ("pipelines:run", "pipelines:read", "admin:organization")
    keys = [house.init["service_key"], house.init["user_key"], house.keys["admin"], house.keys["admin by role"]]
    for claim in claims:
        for scope in scopes:
            for key in keys:
                body = {"key": key, "scope": scope, "resource": claim}
                response = house.call(
                    "POST", "/decide", house.init["caller_key"], json=body, params={"explain": "true"}
                )
                attacks("cross-workspace: by a decision")
                assert response.json()["decision"] == "deny", (claim, scope)
                assert CANARY not in response.text


def test_a_resource_of_others_is_like_none(house: House, attacks: Attacks) -> None:
    """To a key of `demo`, the victim's resource and one that nobody registered give one answer."""
    for key in (house.init["service_key"], house.init["user_key"], house.keys["admin"]):
        for workspace in (None, "demo", VICTIM):
            answers = []
            for name in (VICTIM_ID, NEVER):
                resource = {"type": "pipeline", "id": name, "workspace": workspace}
                body = {"key": key, "scope": "pipelines:run", "resource": resource}
                response = house.call(
                    "POST", "/decide", house.init["caller_key"], json=body, params={"explain": "true"}
                )
                attacks("enumeration: a foreign resource against none")
                answer = json.loads(_nameless(response.text, house))
                answers.append({member: answer[member] for member in answer if member not in CHANGING})
            assert answers[0] == answers[1], answers


def test_what_the_service_says_openly_names_no_tenant(house: House, attacks: Attacks) -> None:
    """Health, readiness, metrics, documentation: no workspace, no id, no name."""
    ids = [house.victims[noun] for noun in ("keys", "role-bindings", "service-principals")]
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        text = house.call("GET", path, None).text
        attacks("enumeration: by an open path")
        for name in (CANARY, f'"{VICTIM}"', VICTIM_ID, *ids, "etl-nightly"):
            assert name not in text, (path, name)
