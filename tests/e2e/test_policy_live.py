"""Policies go live on a running server: activated, rolled back, served from a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import ROOT, Server, answer, command
from tests.waiting import until

RULE = """\
  - name: closed-for-now
    effect: deny
    reason: closed_for_now
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory's place."""
    return tmp_path / "data"


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A copy of the shipped rule files."""
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    return tmp_path / "policies"


def close_pipelines(policies: Path) -> None:
    """One rule more: every pipeline is closed."""
    file = policies / "resources/pipeline.yaml"
    file.write_text(file.read_text().rstrip() + "\n" + RULE)


def test_activate_history_and_rollback_over_http(data: Path, policies: Path) -> None:
    """By a key of `system`; the next decision is by the other bundle, and by the first again."""
    keys = answer("init", "--demo", "--data-dir", data)
    close_pipelines(policies)
    with Server(data) as server:
        question = {"key": keys["service_key"], "scope": "pipelines:run"}
        question["resource"] = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}
        remote = {"POLICY_SERVICE_KEY": keys["system_key"]}

        def run(*arguments: str | Path) -> Any:
            return answer("policy", *arguments, "--url", server.url, **remote)

        told = run("activate", policies, "--dry-run")
        assert [(one["kind"], one["part"], one["name"]) for one in told["differences"]] == [
            ("added", "rule", "pipeline/closed-for-now")
        ]
        assert server.decide(keys["caller_key"], **question)["reason"] == "allowed"
        made = run("activate", policies, "--note", "CHG-1")
        denied = server.decide(keys["caller_key"], **question)
        assert (denied["reason"], denied["bundle"]) == ("closed_for_now", made["after"])
        assert denied["revision"] >= made["revision"]
        run("rollback")
        assert server.decide(keys["caller_key"], **question)["reason"] == "allowed"
        listed = run("history")["data"]
        assert [one["note"] for one in listed] == ["rollback", "CHG-1", "init"]
        assert [one["actor"].partition(":")[0] for one in listed] == ["key", "key", "local"]
        refused = command("policy", "activate", policies, "--url", server.url, POLICY_SERVICE_KEY=keys["admin_key"])
        assert refused.returncode == 2
        assert "[operator_only]" in refused.stderr


def test_a_command_beside_the_server_activates_for_it(data: Path, policies: Path) -> None:
    """The server follows; `min_revision` makes it certain."""
    keys = answer("init", "--demo", "--data-dir", data)
    close_pipelines(policies)
    with Server(data) as server:
        made = answer("policy", "activate", policies, "--data-dir", data)

        def is_closed() -> bool:
            question = {"key": keys["service_key"], "scope": "pipelines:run", "resource": "pipeline:etl-nightly"}
            decided = server.decide(keys["caller_key"], **question)
            return bool(decided["bundle"] == made["after"] and decided["reason"] == "closed_for_now")

        until(is_closed)


def test_an_old_bundle_that_no_longer_loads_stops_no_start(data: Path, policies: Path) -> None:
    """Only the active one must; and a rollback on the data directory mends that."""
    import sqlite3

    answer("init", "--data-dir", data)
    first = answer("policy", "history", "--data-dir", data)["data"][0]["digest"]
    close_pipelines(policies)
    second = answer("policy", "activate", policies, "--data-dir", data)["after"]

    def damage(digest: str) -> None:
        with sqlite3.connect(data / "policy.db") as connection:
            connection.execute("UPDATE bundle_files SET files = '{}' WHERE digest = ?", (digest,))

    damage(first)
    with Server(data) as server:
        assert server.call("GET", "/readyz", None).json()["bundle"] == second
    third = policies / "roles.yaml"
    third.write_text(third.read_text() + "  nothing_much:\n    scopes: []\n")
    answer("policy", "activate", policies, "--data-dir", data)
    with sqlite3.connect(data / "policy.db") as connection:
        connection.execute("UPDATE bundle_files SET files = '{}' WHERE digest <> ?", (second,))
    refused = command("serve", "--port", "0", "--data-dir", data)
    assert refused.returncode == 2
    assert "[store_damaged]" in refused.stderr
    assert answer("policy", "rollback", "--data-dir", data)["data"]["digest"] == second
    with Server(data) as server:
        assert server.call("GET", "/readyz", None).json()["bundle"] == second


def test_a_folder_is_served_as_it_is_saved(data: Path, policies: Path) -> None:
    """Live within two seconds; a broken edit changes nothing and is told in the log, `/readyz` and a metric."""
    keys = answer("init", "--demo", "--data-dir", data)
    file = policies / "resources/pipeline.yaml"
    good = file.read_text()
    with Server(data, "--policies", policies) as server:

        def reason() -> str:
            resource = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}
            question = {"key": keys["service_key"], "scope": "pipelines:run", "resource": resource}
            return str(server.decide(keys["caller_key"], **question)["reason"])

        def error() -> str | None:
            ready = server.call("GET", "/readyz", None)
            assert ready.status_code == 200
            told: str | None = ready.json()["policy"]["error"]
            return told

        def metric() -> bool:
            return "policy_service_policy_folder_broken 1.0" in server.call("GET", "/metrics", None).text

        assert reason() == "allowed"
        close_pipelines(policies)
        until(lambda: reason() == "closed_for_now")
        until(lambda: error() is None)
        line = len(file.read_text().splitlines()) + 1
        file.write_text(file.read_text() + "    when: resource.attr.nothing\n")
        until(lambda: str(error()).startswith(f"resources/pipeline.yaml:{line}:"))
        until(metric)
        assert reason() == "closed_for_now"
        file.write_text(good)
        until(lambda: reason() == "allowed")
        until(lambda: error() is None)
        until(lambda: not metric())
    assert f"{policies}/resources/pipeline.yaml:{line}:" in server.text()
    assert "Traceback" not in server.text()


def test_a_candidate_in_shadow_on_a_running_server(data: Path, policies: Path) -> None:
    """Put there by a command beside the server, or over HTTP; after a restart it is there still."""
    keys = answer("init", "--demo", "--data-dir", data)
    close_pipelines(policies)
    remote = {"POLICY_SERVICE_KEY": keys["system_key"]}
    question = {"key": keys["service_key"], "scope": "pipelines:run"}
    question["resource"] = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}
    for turn in range(2):
        with Server(data) as server:
            if turn == 0:
                answer("policy", "shadow", policies, "--data-dir", data)

            def report(server: Server = server) -> Any:
                assert server.decide(keys["caller_key"], **question)["reason"] == "allowed"
                return answer("policy", "shadow", "--url", server.url, **remote)["data"]

            until(lambda report=report: report()["compared"] > 0)  # type: ignore[misc]  # bound in the loop
            told = report()
            assert told["flips"][0]["rule"] == "closed-for-now"
            assert told["flips"][0]["change"] == "allow_to_deny"
            assert keys["service_key"] not in str(told)
            if turn == 1:
                answer("policy", "shadow", "--off", "--url", server.url, **remote)
                assert report()["state"] == "off"
