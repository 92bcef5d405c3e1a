"""The open paths: no key needed, no tenant named; and what nobody foresaw."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policy_service.api.operations import metrics_reply, readiness_reply
from policy_service.model.errors import StoreError
from policy_service.service.policies.folder_watch import FolderWatch
from tests.unit.api.desk import Desk, problem_code, question
from tests.unit.service.house import OPERATOR, House


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    """A client without a key, of an application that has its facts."""
    house.replica.catch_up()
    with Desk(house) as desk:
        yield desk


def test_a_living_process_says_ok(desk: Desk) -> None:
    """Whatever else is wrong."""
    desk.house.store.broken = StoreError("store_unreachable", "gone")
    assert desk.call("GET", "/healthz").json() == {"status": "ok"}


def test_a_ready_process_tells_its_revision_and_bundle(desk: Desk) -> None:
    """And that the policy folder is in order."""
    answer = desk.call("GET", "/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "revision": desk.head(),
        "bundle": desk.house.bundles.active(),
        "policy": {"error": None},
        "ledger": {"durability": "off", "warnings": ["ledger_off"]},
    }


def test_without_facts_or_policy_it_is_not_ready() -> None:
    """503 with the reason."""
    house = House()
    with Desk(house) as desk:
        assert problem_code(desk.call("GET", "/readyz"), 503) == "starting"
        house.admin.create_workspace(OPERATOR, "system")
        house.replica.catch_up()
        assert problem_code(desk.call("GET", "/readyz"), 503) == "no_policy"


def test_a_store_that_diverged_ends_the_worker_for_good(desk: Desk) -> None:
    """Neither ready nor deciding any more."""
    desk.house.key()
    desk.house.store.changes[-1] = desk.house.store.changes[0]
    with pytest.raises(StoreError):
        desk.house.replica.catch_up()
    assert problem_code(desk.call("GET", "/readyz"), 503) == "store_diverged"
    answer = desk.decide()
    assert problem_code(answer, 503) == "store_diverged"
    assert "retry-after" not in answer.headers


def test_facts_of_unknown_age_are_not_decided_on(operator: Desk) -> None:
    """503 `stale` for every question, one in a batch too, and for `/readyz`; all of it passes with the next look."""
    key = operator.house.key().text
    operator.house.replica.catch_up()
    operator.house.replica.fresh_until(float("-inf"))
    batch = {"requests": [question(key=key)]}
    for answer in (
        operator.decide(key=key),
        operator.decide(key=key, min_revision=1),
        operator.call("POST", "/decide/batch", batch),
        operator.call("GET", "/v1/users?workspace=acme"),
        operator.call("GET", "/readyz", key=None),
    ):
        assert problem_code(answer, 503) == "stale"
        assert answer.headers["retry-after"] == "5"
    operator.house.replica.fresh_until(float("inf"))
    assert operator.decide(key=key).json()["decision"] == "allow"
    assert operator.call("GET", "/readyz", key=None).status_code == 200


def test_a_broken_edit_of_the_watched_folder_is_shown_and_harms_nobody(house: House) -> None:
    """`/readyz` stays 200 with `policy.error`, and a metric tells it; mended, both are as before."""
    with Desk(house) as desk:
        watch = FolderWatch(Path("nowhere"), house.bundles, OPERATOR)
        site = msgspec.structs.replace(
            desk.app.state.site, services=msgspec.structs.replace(desk.services, watch=watch)
        )
        house.replica.catch_up()
        for error in ("resources/pipeline.yaml:8:13: no reason", None):
            watch.error = error
            told = json.loads(readiness_reply(site.services).body)
            assert (told["status"], told["policy"]) == ("ready", {"error": error})
            text = asyncio.run(metrics_reply(site.services, site.meters)).body.decode()
            assert f"policy_service_policy_folder_broken {1.0 if error else 0.0}\n" in text


def test_metrics_count_decisions_and_refusals(operator: Desk) -> None:
    """By reason; lag and reachability are measured when asked."""
    operator.decide(key=operator.house.key().text)
    operator.decide()
    operator.call("POST", "/decide/batch", {"requests": [question()]})
    operator.call("GET", "/v1/users", key=None)
    operator.house.key()
    text = operator.call("GET", "/metrics", key=None).text
    for line in (
        'policy_service_decisions_total{decision="allow",reason="allowed"} 1.0',
        'policy_service_decisions_total{decision="deny",reason="missing_credentials"} 2.0',
        'policy_service_refused_callers_total{reason="missing_credentials"} 1.0',
        'policy_service_decide_seconds_count{route="decide"} 2.0',
        'policy_service_decide_seconds_count{route="batch"} 1.0',
        "policy_service_store_reachable 1.0",
        f"policy_service_lag_revisions {operator.head() - operator.house.replica.revision}.0",
    ):
        assert line in text
    operator.house.store.broken = StoreError("store_unreachable", "gone")
    assert "policy_service_store_reachable 0.0" in operator.call("GET", "/metrics", key=None).text


def test_open_paths_name_no_tenant(operator: Desk) -> None:
    """Neither workspaces nor principals nor keys."""
    key = operator.house.key("acme", principal="very-secret-bot")
    operator.decide(key=key.text)
    for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        answer = operator.call("GET", path, key=None)
        assert answer.status_code == 200
        assert not any(word in answer.text for word in ("acme", "zeta", "very-secret-bot", key.api_key.id))


def test_an_unknown_path_is_a_problem(desk: Desk) -> None:
    """404; a trailing slash makes another path, and nobody is sent elsewhere."""
    for path in ("/", "/nothing", "/v1", "/v1/users/", "/decide/", "/v1/users/a/b"):
        assert problem_code(desk.call("GET", path), 404) == "not_found"


def test_a_wrong_method_is_a_problem_that_lists_the_right_ones(desk: Desk) -> None:
    """All of them, though several routes share the path."""
    answer = desk.call("PATCH", "/v1/users/mira")
    assert problem_code(answer, 405) == "method_not_allowed"
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PUT"
    assert desk.call("GET", "/decide").headers["allow"] == "POST"
    assert desk.call("POST", "/v1/resources/pipeline/a/b").headers["allow"] == "DELETE, GET, HEAD, PUT"
    assert desk.call("PUT", "/docs").status_code == 405


def test_head_is_get_without_the_body(desk: Desk) -> None:
    """Probes and proxies ask so."""
    for path, status in (("/healthz", 200), ("/docs", 200), ("/v1/users", 401), ("/decide", 405), ("/nothing", 404)):
        whole, head = desk.call("GET", path), desk.call("HEAD", path)
        assert (head.status_code, head.content) == (status, b"")
        assert head.headers["content-length"] == whole.headers["content-length"]


def test_a_bug_is_a_500_without_a_trace(operator: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells the kind and the place, never the text: that may hold a secret."""

    def buggy(*_: Any) -> None:
        raise ZeroDivisionError(f"while looking at {operator.key}")

    operator.house.sink.record = buggy  # type: ignore[method-assign]  # the bug to be
    with caplog.at_level(logging.DEBUG):
        answer = operator.decide()
    assert problem_code(answer, 500) == "internal_error"
    assert "ZeroDivision" not in answer.text
    assert "Traceback" not in answer.text
    assert "unexpected ZeroDivisionError" in caplog.text
    assert "test_operations.py" in caplog.text
    assert str(operator.key) not in caplog.text


def test_no_log_entry_holds_a_key(operator: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Of good, bad and refused requests, at every level."""
    key = operator.house.key().text
    with caplog.at_level(logging.DEBUG):
        operator.decide(key=key)
        operator.decide(key=key + "x")
        operator.call("POST", "/decide", {"key": key, "scope": 1})
        operator.call("GET", "/v1/users", key=key)
        operator.call("GET", "/v1/users", key=None, headers=[("X-Planasonix-Api-Key", key)])
    assert key not in caplog.text
    assert str(operator.key) not in caplog.text
