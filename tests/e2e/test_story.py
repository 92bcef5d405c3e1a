"""The main job, end to end: a real server on a fresh store, on SQLite and on PostgreSQL."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import Server, answer, command

SANDBOX = {"type": "pipeline", "id": "etl-sandbox"}
ETL = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}


class House:
    """A demonstration on a fresh store, and its running server."""

    def __init__(self, data_dir: Path, variables: dict[str, str]) -> None:
        self.data_dir = data_dir
        self.variables = variables
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir, **variables)
        self.server = Server(data_dir, **variables)

    def decide(self, holder: str = "service_key", scope: str = "pipelines:run", **more: Any) -> Any:
        """Ask as the demo gateway, for one of the demo's keys."""
        question = {"key": self.keys[holder], "scope": scope, "resource": ETL, **more}
        return self.server.decide(self.keys["caller_key"], **question)

    def administer(self, method: str, path: str, body: Any = None) -> Any:
        """Change something as the administrator of workspace demo."""
        return self.server.change(method, f"/v1/{path}", self.keys["admin_key"], body)

    def command(self, *arguments: str) -> Any:
        """Run a noun on the same store, beside the server."""
        return answer(*arguments, "--data-dir", self.data_dir, **self.variables)


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """The same story on both databases."""
    variables = {}
    if request.param == "postgresql":
        variables["POLICY_SERVICE_DATABASE_URL"] = request.getfixturevalue("empty_postgres_url")
    house = House(tmp_path / "data", variables)
    with house.server:
        yield house
    for name, key in house.keys.items():
        if name.endswith("_key"):
            assert key not in house.server.text(), f"the server's log shows {name}"


def test_the_story_of_a_demonstration(house: House) -> None:
    """Decide; then take access away in each of the ways there are, and be denied with its reason at once."""
    allowed = house.decide("user_key", resource=SANDBOX)
    assert (allowed["decision"], allowed["reason"], allowed["principal"]["id"]) == ("allow", "allowed", "ada")

    removed = house.administer("DELETE", "teams/pipeline-runners/members/ada")
    denied = house.decide("user_key", resource=SANDBOX)
    assert (denied["decision"], denied["reason"], denied["check"]) == ("deny", "role_not_granted", "rbac")
    assert denied["revision"] >= removed["revision"]

    house.administer("PUT", "teams/pipeline-runners/members/ada")
    assert house.decide("user_key", resource=SANDBOX)["reason"] == "allowed"

    house.administer("PUT", "users/ada", {"name": "Ada", "suspended": True})
    suspended = house.decide("user_key", resource=SANDBOX)
    assert (suspended["reason"], suspended["http_status"]) == ("principal_suspended", 403)
    house.administer("PUT", "users/ada", {"name": "Ada", "suspended": False})
    assert house.decide("user_key", resource=SANDBOX)["reason"] == "allowed"

    assert house.decide()["reason"] == "allowed"
    house.administer("PUT", "ip-allowlist", {"enabled": True, "entries": [{"cidr": "203.0.113.0/24"}]})
    assert house.decide(source_ip="198.51.100.7")["reason"] == "ip_not_allowed"
    assert house.decide(source_ip="203.0.113.7")["reason"] == "allowed"
    assert house.decide()["reason"] == "invalid_source_ip"
    house.administer("PUT", "ip-allowlist", {"enabled": False, "entries": []})

    key_id = house.decide()["key_id"]
    house.administer("POST", f"keys/{key_id}/revoke", {"reason": "leaked"})
    revoked = house.decide()
    assert (revoked["reason"], revoked["http_status"]) == ("revoked_key", 401)
    assert "invalid_token" in revoked["www_authenticate"]


def test_each_deny_of_the_printed_examples_has_its_reason(house: House) -> None:
    """What `init --demo` prints is true: the examples are asked of the very server that they name."""
    assert house.decide()["reason"] == "allowed"
    connection = {"scope": "connections:write", "resource": "connection:warehouse"}
    assert house.decide(**connection)["reason"] == "insufficient_scope"
    assert house.decide(resource={**ETL, "workspace": "acme"})["reason"] == "workspace_mismatch"
    locked = house.decide("user_key", resource="pipeline:etl-nightly")
    assert (locked["reason"], locked["rule"]) == ("production_locked", "production-runs-are-for-operators")
    lost = house.decide("user_key", scope="connections:read", resource="connection:lost")
    assert lost["reason"] == "unknown_resource"
    assert house.decide(key="psx_nonsense")["reason"] == "malformed_key"


def test_a_change_made_by_a_command_reaches_the_running_server(house: House) -> None:
    """The command writes to the store as `local:<uid>`; the server follows. `min_revision` makes it certain."""
    changed = house.command("users", "put", "ada", "--suspended", "--workspace", "demo")
    assert changed["data"]["suspended"] is True
    assert changed["data"]["name"].startswith("Ada"), "what was not given stays"
    denied = house.decide("user_key", resource=SANDBOX, min_revision=changed["revision"])
    assert denied["reason"] == "principal_suspended"
    assert denied["revision"] >= changed["revision"]
    last = house.command("changes", "list")["data"][-1]
    assert (last["action"], last["subject"]) == ("user.put", "demo/ada")
    assert last["actor"].startswith("local:")


def test_a_command_over_http_speaks_with_a_key_from_the_environment(house: House) -> None:
    """`--url` and POLICY_SERVICE_KEY do what `--data-dir` does, as far as the key reaches."""
    variables = {"POLICY_SERVICE_KEY": house.keys["admin_key"]}
    users = answer("users", "list", "--url", house.server.url, **variables)
    assert [user["id"] for user in users["data"]] == ["ada", "boris"]
    made = answer(
        "keys", "create", "--service", "ci", "--scope", "pipelines:read", "--url", house.server.url, **variables
    )
    assert (
        house.server.decide(house.keys["caller_key"], key=made["data"]["key"], scope="pipelines:read", resource=ETL)[
            "decision"
        ]
        == "allow"
    )
    refused = command("workspaces", "list", "--url", house.server.url, **variables)
    assert refused.returncode == 2
    assert "[operator_only]" in refused.stderr


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_cleanly(tmp_path: Path, with_signal: signal.Signals) -> None:
    """Exit code 0, no traceback."""
    answer("init", "--data-dir", tmp_path / "data")
    server = Server(tmp_path / "data")
    assert server.call("GET", "/healthz", None).status_code == 200
    assert server.stop(with_signal) == 0
    assert "Traceback" not in server.text()
    assert server.output[-1] == "stopped\n"
