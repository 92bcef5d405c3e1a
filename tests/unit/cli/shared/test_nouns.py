"""Each noun is a thin client of `/v1`: what it changes and shows, for people and for programs."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from policy_service.model.api_key import format_api_key
from policy_service.model.facts import IpAllowlist, Membership, RoleBinding, User
from tests.unit.cli.terminal import Printed, Terminal
from tests.unit.service.house import OPERATOR

ACME = ("--workspace", "acme")


def good(printed: Printed) -> Printed:
    """The same, which must have gone well."""
    assert printed.code == 0, printed.err
    return printed


def rows(printed: Printed) -> list[list[str]]:
    """The cells of a table in a pipe."""
    return [line.split() for line in good(printed).out.splitlines()]


def test_a_user_is_made_listed_shown_and_deleted(terminal: Terminal) -> None:
    """The whole life of one, as a person sees it."""
    assert good(terminal.run("users", "put", "ada", "--name", "Ada", *ACME)).out == "user ada saved (revision 6)\n"
    assert rows(terminal.run("users", "list", *ACME)) == [["id", "name", "suspended"], ["ada", "Ada", "no"]]
    assert ["name", "Ada"] in rows(terminal.run("users", "get", "ada", *ACME))
    assert "user ada deleted" in good(terminal.run("users", "delete", "ada", *ACME)).out
    assert terminal.run("users", "list", *ACME).err == "none\n"
    gone = terminal.run("users", "get", "ada", *ACME)
    assert gone.code == 2
    assert "[not_found]" in gone.err


def test_changes_are_made_as_the_local_user(terminal: Terminal) -> None:
    """Whoever ran the command is in the feed for ever."""
    terminal.run("users", "put", "ada", *ACME)
    last = terminal.run("changes", "list", "--json").json["data"][-1]
    assert (last["actor"], last["action"], last["workspace"]) == ("local:1000", "user.put", "acme")


def test_put_keeps_what_is_not_given(terminal: Terminal) -> None:
    """PUT replaces; a command that suspends somebody must not take the name away."""
    terminal.run("users", "put", "ada", "--name", "Ada", *ACME)
    assert "suspended" in good(terminal.run("users", "put", "ada", "--suspended", *ACME)).out
    stored = terminal.house.store.read(lambda reader: reader.get(User, ("acme", "ada")))
    assert (stored.name, stored.suspended) == ("Ada", True)
    terminal.run("users", "put", "ada", "--active", "--name", "", *ACME)
    stored = terminal.house.store.read(lambda reader: reader.get(User, ("acme", "ada")))
    assert (stored.name, stored.suspended) == ("", False)


def test_json_is_the_answer_of_the_api(terminal: Terminal) -> None:
    """Envelope and all."""
    answer = good(terminal.run("users", "put", "ada", "--json", *ACME)).json
    assert answer["data"]["id"] == "ada"
    assert answer["revision"] == terminal.house.store.head()
    assert set(terminal.run("users", "list", "--json", *ACME).json) == {"data", "revision", "next_cursor"}


def test_lists_are_read_to_their_end_or_to_the_limit(terminal: Terminal) -> None:
    """A page of the API is nothing that a person should have to know of."""
    for number in range(5):
        terminal.house.admin.put_user(terminal.environment.local_caller, "acme", f"u{number}")
    assert len(terminal.run("users", "list", "--json", *ACME).json["data"]) == 5
    cut = terminal.run("users", "list", "--limit", "2", *ACME)
    assert len(rows(cut)) == 3
    assert cut.err == "the first 2; there are more\n"


def test_a_local_command_must_name_its_workspace(terminal: Terminal) -> None:
    """There is no key that would settle it; those there are are named."""
    printed = terminal.run("users", "list")
    assert printed.code == 2
    assert "there are `acme`, `system`, `zeta`" in printed.err


def test_teams_nest_and_have_members(terminal: Terminal) -> None:
    """A team, its parent, a member; and out again."""
    terminal.run("users", "put", "ada", *ACME)
    terminal.run("teams", "put", "data", *ACME)
    good(terminal.run("teams", "put", "runners", "--parent", "data", *ACME))
    assert ["runners", "-", "data"] in rows(terminal.run("teams", "list", *ACME))
    good(terminal.run("members", "add", "runners", "ada", *ACME))
    assert rows(terminal.run("members", "list", "runners", *ACME))[1:] == [["runners", "ada"]]
    good(terminal.run("members", "remove", "runners", "ada", *ACME))
    assert terminal.house.store.read(lambda reader: reader.find(Membership)) == []
    good(terminal.run("teams", "put", "runners", "--parent", "", *ACME))
    assert terminal.run("teams", "get", "runners", "--json", *ACME).json["data"]["parent"] is None
    good(terminal.run("teams", "delete", "runners", *ACME))


def test_a_role_is_bound_to_a_team_or_a_user(terminal: Terminal) -> None:
    """Over the workspace, or on one resource."""
    terminal.run("users", "put", "ada", *ACME)
    terminal.run("teams", "put", "data", *ACME)
    terminal.run("resources", "put", "pipeline:etl", *ACME)
    good(terminal.run("bindings", "create", "--role", "viewer", "--team", "data", *ACME))
    on_one = ("--user", "ada", "--resource", "pipeline:etl")
    made = good(terminal.run("bindings", "create", "--role", "operator", *on_one, "--json", *ACME)).json
    listed = good(terminal.run("bindings", "list", *ACME)).out
    assert "team data" in listed
    assert "pipeline:etl" in listed
    assert "the workspace" in listed
    assert len(terminal.run("bindings", "list", "--user", "ada", "--json", *ACME).json["data"]) == 1
    good(terminal.run("bindings", "get", made["data"]["id"], *ACME))
    good(terminal.run("bindings", "delete", made["data"]["id"], *ACME))
    assert [binding.team for binding in terminal.house.store.read(lambda reader: reader.find(RoleBinding))] == ["data"]
    both = terminal.run("bindings", "create", "--role", "viewer", "--team", "data", "--user", "ada", *ACME)
    assert both.code == 2
    assert "[invalid_binding]" in both.err


def test_a_resource_has_an_owner_and_attributes(terminal: Terminal) -> None:
    """Attributes are JSON where they look like it, text else; an id may hold slashes and colons."""
    name = "pipeline:team/etl:42"
    attributes = ("--attr", "env=prod", "--attr", "size=3", "--attr", 'tags=["a"]')
    good(terminal.run("resources", "put", name, "--owner", "ada", *attributes, *ACME))
    data = terminal.run("resources", "get", name, "--json", *ACME).json["data"]
    assert (data["id"], data["owner"]) == ("team/etl:42", "ada")
    assert data["attributes"] == {"env": "prod", "size": 3, "tags": ["a"]}
    good(terminal.run("resources", "put", name, "--owner", "", *ACME))
    data = terminal.run("resources", "get", name, "--json", *ACME).json["data"]
    assert (data["owner"], data["attributes"]["size"]) == (None, 3)
    good(terminal.run("resources", "put", name, "--no-attrs", *ACME))
    assert "{}" in good(terminal.run("resources", "list", "--type", "pipeline", *ACME)).out
    good(terminal.run("resources", "delete", name, *ACME))
    wrong = terminal.run("resources", "get", "etl", *ACME)
    assert wrong.code == 2
    assert "write type:id" in wrong.err


def test_the_allowlist_is_switched_and_edited(terminal: Terminal) -> None:
    """Each command changes what it names and keeps the rest."""
    assert good(terminal.run("allowlist", "get", *ACME)).out == "off: no address is refused\n"
    assert "on and empty: every address is refused" in good(terminal.run("allowlist", "put", "--on", *ACME)).out
    good(terminal.run("allowlist", "add", "203.0.113.0/24", "--label", "office", *ACME))
    good(terminal.run("allowlist", "add", "2001:db8::/32", *ACME))
    good(terminal.run("allowlist", "remove", "2001:db8::/32", *ACME))
    stored = terminal.house.store.read(lambda reader: reader.get(IpAllowlist, ("acme",)))
    assert (stored.enabled, [(entry.cidr, entry.label) for entry in stored.entries]) == (
        True,
        [("203.0.113.0/24", "office")],
    )
    good(terminal.run("allowlist", "put", "--off", "--cidr", "198.51.100.0/25=vpn", *ACME))
    shown = rows(terminal.run("allowlist", "get", *ACME))
    assert shown[-1] == ["198.51.100.0/25", "vpn"]
    absent = terminal.run("allowlist", "remove", "10.0.0.0/8", *ACME)
    assert (absent.code, absent.out) == (2, "")


def test_a_key_is_printed_once_and_alone(terminal: Terminal) -> None:
    """Standard output is the key and nothing else, so that it can go straight into a secret store."""
    terminal.run("service-principals", "put", "ci", "--name", "CI", *ACME)
    made = good(terminal.run("keys", "create", "--service", "ci", "--scope", "pipelines:run", *ACME))
    key = made.out.strip()
    assert len(made.out.splitlines()) == 1
    assert key.startswith("psx_")
    assert key not in made.err
    listed = terminal.run("keys", "list", *ACME)
    assert key[4:16] in listed.out
    assert key[16:] not in listed.out
    assert terminal.house.decide(key).decision.allowed


def test_a_key_has_bounds_and_labels_and_is_revoked(terminal: Terminal) -> None:
    """All that a key can be given, and its end."""
    terminal.run("users", "put", "ada", *ACME)
    bounds = ("--expires-at", "2030-01-01T00:00:00Z", "--not-before", "2026-01-01T00:00:00Z", "--cidr", "10.0.0.0/8")
    scopes = ("--scope", "pipelines:run", "--scope", "pipelines:read")
    made = good(terminal.run("keys", "create", "--user", "ada", *scopes, *bounds, "--label", "for=ci", "--json", *ACME))
    data = made.json["data"]
    assert (data["expires_at"], data["cidrs"], data["labels"]) == (
        "2030-01-01T00:00:00Z",
        ["10.0.0.0/8"],
        {"for": "ci"},
    )
    assert "for=ci" in good(terminal.run("keys", "get", data["id"], *ACME)).out
    good(terminal.run("keys", "revoke", data["id"], "--reason", "leaked", *ACME))
    assert terminal.house.stored_key(data["id"]).revoke_reason == "leaked"
    assert terminal.run("keys", "list", "--principal", "user:ada", "--json", *ACME).json["data"][0]["revoked_at"]


@pytest.mark.parametrize("principal", [(), ("--user", "ada", "--service", "ci")])
def test_a_key_acts_as_exactly_one_principal(terminal: Terminal, principal: tuple[str, ...]) -> None:
    """Neither none nor two."""
    printed = terminal.run("keys", "create", "--scope", "pipelines:run", *principal, *ACME)
    assert printed.code == 2
    assert "one principal" in printed.err


def test_workspaces_are_made_and_listed(terminal: Terminal) -> None:
    """The operator's nouns need no workspace."""
    good(terminal.run("workspaces", "create", "nova", "--name", "Nova"))
    assert "nova" in [row[0] for row in rows(terminal.run("workspaces", "list"))]
    again = terminal.run("workspaces", "create", "nova")
    assert again.code == 2
    assert "[conflict]" in again.err


def test_an_escape_sequence_in_a_name_is_shown_and_not_obeyed(terminal: Terminal) -> None:
    """Names come from strangers; bidirectional overrides pass the API, and are spelled out here."""
    terminal.house.admin.put_user(terminal.environment.local_caller, "acme", "eve", name="\u202eevil")
    assert "\\u202eevil" in terminal.run("users", "list", *ACME).out
    assert terminal.run("users", "list", "--json", *ACME).json["data"][0]["name"] == "\u202eevil"


def test_force_is_handed_on_where_a_change_could_bar_its_author(terminal: Terminal) -> None:
    """A local command has no key to lose; with `--url` it says so to the server."""
    terminal.run("users", "put", "ada", *ACME)
    good(terminal.run("users", "put", "ada", "--suspended", "--force", *ACME))
    terminal.run("teams", "put", "data", "--force", *ACME)
    terminal.run("members", "add", "data", "ada", *ACME)
    good(terminal.run("members", "remove", "data", "ada", "--force", *ACME))
    good(terminal.run("teams", "delete", "data", "--force", *ACME))
    key = terminal.house.key().api_key.id
    good(terminal.run("keys", "revoke", key, "--force", *ACME))
    good(terminal.run("users", "delete", "ada", "--force", *ACME))


def test_a_rotated_key_is_printed_once_and_alone(terminal: Terminal) -> None:
    """As a new one is; the old secret works as long as it was told to."""
    old = terminal.house.key()
    printed = good(terminal.run("keys", "rotate", old.api_key.id, "--grace-s", "60", *ACME))
    assert len(printed.out.splitlines()) == 1
    text = printed.out.strip()
    assert terminal.house.decide(text).decision.allowed
    assert terminal.house.decide(old.text).decision.allowed
    assert good(terminal.run("keys", "rotate", old.api_key.id, "--json", *ACME)).json["data"]["key"]
    assert terminal.house.decide(text).decision.reason == "expired_key"


def test_a_list_of_keys_tells_what_needs_care(terminal: Terminal) -> None:
    """Status, age, last use, and superseded secrets that still work."""
    house = terminal.house
    key = house.key()
    house.admin.rotate_key(OPERATOR, "acme", key.api_key.id, grace_s=7200)
    house.clock.advance(3600)
    house.decide(key.text)
    house.clock.advance(120)
    gone = house.key(principal="old")
    house.admin.revoke_key(OPERATOR, "acme", gone.api_key.id)
    house.key(principal="soon", not_before=house.clock.now() + 1)
    listed = [line.split("  ") for line in good(terminal.run("keys", "list", *ACME)).out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in listed]
    assert cells[0] == ["id", "acts as", "scopes", "status", "age", "last used", "old secrets in use", "expires at"]
    assert cells[1][3:] == ["active", "1h", "2m", "1, until 2027-01-15T10:00:00Z", "-"]
    assert cells[2][3:] == ["revoked", "0s", "-", "-", "-"]
    assert cells[3][3] == "not yet valid"
    shown = good(terminal.run("keys", "get", key.api_key.id, *ACME)).out
    assert "active" in shown
    assert "2027-01-15T09:00:00Z" in shown


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (lambda key: key, 0, "a whole key"),
        (lambda key: f"  {key}\r\n", 0, "a whole key"),
        (lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"), 1, "the checksum is wrong"),
        (lambda key: "hunter2", 1, "not a key"),
    ],
)
def test_a_pasted_key_is_inspected_without_asking_anybody(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str], code: int, told: str
) -> None:
    """From standard input; by form and checksum alone, known or not; the secret is never shown."""
    text = format_api_key("psx", "A" * 12, "b" * 22)
    offline = terminal.with_environment(services=None, local_app=None)
    for options in ((), ("--json",)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(change(text).encode())))
        printed = offline.run("keys", "inspect", *options)
        assert printed.code == code
        assert "b" * 22 not in printed.out + printed.err
        assert ("A" * 12 in printed.out) == (told != "not a key")
        assert printed.out.startswith(told) or options


def test_nothing_to_inspect_is_a_usage_error(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the answer no."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    assert terminal.run("keys", "inspect").code == 2
