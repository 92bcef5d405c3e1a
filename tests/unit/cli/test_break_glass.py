"""Break-glass: whoever may read the data directory is the operator, needs no key, and is named in every change."""

from __future__ import annotations

from tests.unit.cli.terminal import Terminal


def test_an_operator_without_any_key_comes_back_in(terminal: Terminal) -> None:
    """Every key revoked, every address barred: a command on the data directory still makes a new operator's key."""
    house = terminal.house
    lost = house.key("system", principal="ops", scopes=("admin:organization",)).api_key.id
    assert terminal.run("keys", "revoke", lost, "--reason", "lost", "--workspace", "system").code == 0
    assert terminal.run("allowlist", "put", "--on", "--workspace", "system").code == 0
    made = terminal.run(
        "keys", "create", "--service", "ops", "--scope", "admin:organization", "--workspace", "system", "--json"
    )
    assert made.code == 0, made.err
    house.replica.catch_up()
    caller = house.gate.admit(made.json["data"]["key"], "admin:organization", "192.0.2.7")
    assert caller.is_operator


def test_all_that_is_done_so_is_recorded_under_the_local_user(terminal: Terminal) -> None:
    """Whatever the noun: the feed has `local:<uid>`, where nobody can take it out."""
    before = terminal.house.store.head()
    for command in (
        ("workspaces", "create", "new"),
        ("users", "put", "ada", "--workspace", "new"),
        ("teams", "put", "data", "--workspace", "new"),
        ("members", "add", "data", "ada", "--workspace", "new"),
        ("service-principals", "put", "ci", "--workspace", "new"),
        ("keys", "create", "--service", "ci", "--scope", "pipelines:run", "--workspace", "new"),
        ("resources", "put", "pipeline:etl", "--workspace", "new"),
        ("bindings", "create", "--role", "viewer", "--team", "data", "--workspace", "new"),
        ("allowlist", "put", "--on", "--workspace", "new"),
        ("users", "delete", "ada", "--workspace", "new"),
    ):
        printed = terminal.run(*command)
        assert printed.code == 0, (command, printed.err)
    made = terminal.run("changes", "list", "--after", str(before), "--json").json["data"]
    assert len(made) == 10
    assert {change["actor"] for change in made} == {"local:1000"}
    assert {change["workspace"] for change in made} == {"new"}
    assert made == terminal.run("changes", "list", "--actor", "local:1000", "--workspace", "new", "--json").json["data"]
