"""`POST /v1/explain`: why, and what would change it; and what it tells nobody."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from policy_service.analysis.situation import Situation
from policy_service.analysis.why_not import Flip
from policy_service.model.facts import Resource
from policy_service.model.request import Credential, Request, ResourceRef
from policy_service.service.deciding import change_search
from policy_service.service.deciding.change_search import MAX_WAITING, ChangeSearch
from policy_service.service.deciding.situations import situation_of
from tests.unit.api.desk import Desk, problem_code, question
from tests.unit.service.house import OPERATOR, House


@pytest.fixture
def explainer(house: House) -> Iterator[Desk]:
    """A caller of `acme` who may explain, and nothing else."""
    with Desk(house, key=house.key(principal="support", scopes=("decisions:explain",)).text) as desk:
        yield desk


def explained(desk: Desk, **more: Any) -> dict[str, Any]:
    """What is told of a question."""
    response = desk.call("POST", "/v1/explain", question(**more))
    assert response.status_code == 200, response.text
    envelope = response.json()
    assert envelope["next_cursor"] is None
    assert envelope["revision"] == envelope["data"]["decision"]["revision"]
    data: dict[str, Any] = envelope["data"]
    return data


def changes(found: dict[str, Any]) -> set[tuple[str, ...]]:
    return {(one["who"], *one["steps"]) for one in found["changes"]}


def test_a_deny_is_told_with_what_would_flip_it(explainer: Desk, house: House) -> None:
    """In sentences, with every check, and by who can change something; the key's text is nowhere."""
    key = house.key(scopes=("pipelines:read",))
    found = explained(explainer, key=key.text)
    assert (found["decision"]["decision"], found["decision"]["reason"]) == ("deny", "insufficient_scope")
    assert found["decision"]["checks"][3]["outcome"] == "failed"
    assert found["sentences"][-1].startswith("So it is denied, with insufficient_scope: ")
    assert changes(found) == {
        ("caller", "ask for pipelines:read instead"),
        ("administrator", "issue a key with the scope pipelines:run"),
    }
    assert key.text not in json.dumps(found)


def test_an_author_is_told_of_the_rule(explainer: Desk, house: House) -> None:
    """What neither caller nor administrator can do."""
    asked = {"resource": {"type": "pipeline", "id": "locked-1", "workspace": "acme"}}
    found = explained(explainer, key=house.key().text, **asked)
    assert found["decision"]["reason"] == "locked"
    assert changes(found) == {("author", "take the rule `no-locked-ones` out")}


def test_each_change_flips_the_decision_in_truth(explainer: Desk, house: House) -> None:
    """The role that is named is given; then the same question is allowed."""
    key = house.key(kind="user", principal="mira").text
    found = explained(explainer, key=key)
    assert ("administrator", "give mira the role operator") in changes(found)
    house.admin.create_binding(OPERATOR, "acme", "operator", user="mira")
    house.replica.catch_up()
    assert explained(explainer, key=key)["decision"]["decision"] == "allow"


def test_an_allow_needs_no_change(explainer: Desk, house: House) -> None:
    """The sentences say so; nobody searches."""
    found = explained(explainer, key=house.key().text)
    assert (found["decision"]["decision"], found["changes"]) == ("allow", [])
    assert found["sentences"][-1] == "So it is allowed"


@pytest.mark.parametrize("key", [None, "no key at all", "psx_7Jq2wK0cXv5Txxxxxxxxxxxxxxxxxxxxxxxxxxxx"])
def test_nobody_is_told_how_to_become_somebody(explainer: Desk, key: str | None) -> None:
    """Without a verified key there is nothing to be changed."""
    found = explained(explainer, **({} if key is None else {"key": key}))
    assert (found["decision"]["decision"], found["changes"]) == ("deny", [])
    assert found["sentences"][0].startswith("Nobody asks for ")


def test_it_is_recorded_as_explained(explainer: Desk, house: House) -> None:
    """A decision like any other, before it is told."""
    found = explained(explainer, key=house.key().text)
    [recorded] = house.sink.decided
    assert (recorded.decision_id, recorded.explained) == (found["decision"]["decision_id"], True)


def test_only_explainers_may_ask(house: House) -> None:
    """`decisions:evaluate` is not enough; without a key it is 401."""
    with Desk(house, key=house.key(scopes=("decisions:evaluate",)).text) as desk:
        assert problem_code(desk.call("POST", "/v1/explain", question()), 403) == "insufficient_scope"
        assert problem_code(desk.call("POST", "/v1/explain", question(), key=None), 401) == "missing_credentials"
        assert house.sink.decided == []


@pytest.mark.parametrize(
    ("content", "query", "code"),
    [
        (b"{", "", "invalid_json"),
        (b'{"scope": "a", "scope": "b", "resource": "pipeline:x"}', "", "duplicate_member"),
        (b'{"scope": "pipelines:run", "resource": "pipeline:x"}', "?explain=true", "unknown_parameter"),
    ],
)
def test_its_body_is_that_of_a_decision(explainer: Desk, content: bytes, query: str, code: str) -> None:
    """Read as strictly; it takes no parameter."""
    response = explainer.call("POST", f"/v1/explain{query}", content=content)
    assert problem_code(response, 400) == code


def test_keys_of_others_are_unknown(explainer: Desk, house: House) -> None:
    """Not a word of them, their resources, or what would help them."""
    theirs = house.key("zeta", kind="user", principal="victim", scopes=("pipelines:read",))
    house.admin.put_resource(OPERATOR, "zeta", "pipeline", "etl", attributes={}, owner="victim")
    house.replica.catch_up()
    found = explained(explainer, key=theirs.text)
    assert (found["decision"]["reason"], found["changes"]) == ("unknown_key", [])
    assert "victim" not in json.dumps(found)
    assert "zeta" not in json.dumps(found)


def test_a_resource_of_others_is_never_looked_at(explainer: Desk, house: House) -> None:
    """Whether it is there or not, whatever is claimed: the same answer, byte for byte but for names and times."""
    key = house.key(scopes=("pipelines:read",)).text
    claimed = {"type": "pipeline", "id": "theirs", "workspace": "zeta"}
    before = explained(explainer, key=key, resource=claimed)
    house.admin.put_resource(OPERATOR, "zeta", "pipeline", "theirs", attributes={}, owner="victim")
    house.replica.catch_up()
    after = explained(explainer, key=key, resource=claimed)
    assert before["changes"] == after["changes"]
    assert "victim" not in json.dumps(after)
    assert [check["values"] for check in before["decision"]["checks"]] == [
        check["values"] for check in after["decision"]["checks"]
    ]


def test_a_situation_holds_facts_of_one_workspace(house: House) -> None:
    """However alike the names in others are."""
    for workspace in ("acme", "zeta"):
        house.key(workspace, kind="user", principal="mira")
        house.admin.put_team(OPERATOR, workspace, "ops")
        house.admin.add_member(OPERATOR, workspace, "ops", "mira")
        house.admin.create_binding(OPERATOR, workspace, "operator", team="ops")
        house.admin.put_resource(OPERATOR, workspace, "pipeline", "etl", attributes={}, owner=workspace)
    issued = house.key("acme", kind="user", principal="mira")
    house.replica.catch_up()
    assert issued.written.fact is not None
    request = Request(
        Credential("verified", issued.written.fact.id, 1), "pipelines:run", ResourceRef("pipeline", "etl"), None
    )
    situation = situation_of(request, house.replica.view(), 0)
    assert situation is not None
    assert {getattr(fact, "workspace", "acme") for fact in situation.facts} == {"acme"}
    assert {fact.entity for fact in situation.facts} >= {"api_key", "user", "team", "membership", "role_binding"}
    assert [fact.owner for fact in situation.facts if isinstance(fact, Resource)] == ["acme"]


def test_a_long_search_holds_nobody_up_and_too_many_are_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on; those who come while eight wait get no search, and their decision all the same."""

    ticks = 0

    def slow(_situation: Situation, _program: object) -> list[Flip]:
        before, deadline = ticks, time.monotonic() + 60
        while ticks <= before + 1:
            assert time.monotonic() < deadline, "the loop stands still"
            time.sleep(0.001)
        return []

    monkeypatch.setattr(change_search, "_search", slow)
    search: Any = ChangeSearch()

    async def many() -> list[Any]:
        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        answers = await asyncio.gather(*(search.changes(None, None) for _ in range(MAX_WAITING + 3)))
        ticking.cancel()
        return answers

    answers = asyncio.run(many())
    assert (answers.count(None), answers.count([])) == (3, MAX_WAITING)


def test_a_search_ends_in_time(explainer: Desk, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found by then is told."""
    monkeypatch.setattr(change_search, "MAX_SECONDS", -1.0)
    assert explained(explainer, key=house.key(scopes=("pipelines:read",)).text)["changes"] == []
