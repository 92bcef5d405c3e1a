"""`changes`: the audit trail on the command line."""

from __future__ import annotations

import io
from typing import Any

import pytest

from policy_service.cli.administration.changes import differences, show_effect
from policy_service.cli.shared.screen import Screen
from tests.fakes import START
from tests.unit.cli.terminal import Terminal

ACME = ("--workspace", "acme")


def actions(terminal: Terminal, *options: str) -> list[str]:
    """What the listed changes did."""
    printed = terminal.run("changes", "list", "--json", *options)
    assert printed.code == 0, printed.err
    return [change["action"] for change in printed.json["data"]]


def test_a_change_is_shown_from_what_to_what(terminal: Terminal) -> None:
    """Who, when, and each member that differs; made facts with `+`, removed ones with `-`."""
    terminal.run("users", "put", "ada", "--name", "Ada", *ACME)
    terminal.run("users", "put", "ada", "--name", "Ada L.", "--suspended", *ACME)
    shown = terminal.run("changes", "show", "7").out
    assert shown.splitlines() == [
        "revision   7",
        "at         2027-01-15T08:00:00Z",
        "actor      local:1000",
        "action     user.put",
        "workspace  acme",
        "subject    acme/ada",
        "note       -",
        "",
        "~ user acme/ada",
        "    name: Ada → Ada L.",
        "    suspended: no → yes",
    ]
    made = terminal.run("changes", "show", "6", *ACME).out
    assert "+ user acme/ada\n    workspace: acme\n    id: ada\n    name: Ada\n    suspended: no\n" in made
    terminal.run("users", "delete", "ada", *ACME)
    assert "- user acme/ada\n" in terminal.run("changes", "show", "8").out
    assert terminal.run("changes", "show", "8", "--json").json["data"]["effects"][0]["after"] is None


def test_no_secret_is_in_what_is_shown(terminal: Terminal) -> None:
    """A key's change tells scopes and times; its verifier is sealed, and stays so."""
    text = terminal.house.key().text
    head = terminal.house.store.head()
    sealed = terminal.house.store.changes[-1].sealed
    for options in ((), ("--json",)):
        printed = terminal.run("changes", "show", str(head), *options)
        assert "pipelines:run" in printed.out
        assert text not in printed.out
        assert text[16:38] not in printed.out
        assert sealed[20:60] not in printed.out
    assert "created_at: 2027-01-15T08:00:00Z" in terminal.run("changes", "show", str(head)).out


def test_changes_are_found_by_each_filter(terminal: Terminal) -> None:
    """As `/v1/changes` does; a time may be said as how long ago it was."""
    terminal.run("users", "put", "ada", *ACME)
    terminal.house.clock.advance(3600)
    terminal.run("teams", "put", "data", *ACME)
    assert actions(terminal, "--entity", "user") == ["user.put"]
    assert actions(terminal, "--action", "team.put", *ACME) == ["team.put"]
    assert actions(terminal, "--subject", "ada", *ACME) == ["user.put"]
    assert actions(terminal, "--actor", "local:1000", "--after", "6") == ["team.put"]
    assert actions(terminal, "--since", "30m") == ["team.put"]
    assert actions(terminal, "--since", "2h", "--until", "2027-01-15T08:30:00Z", "--entity", "user") == ["user.put"]
    assert actions(terminal, "--newest", "--limit", "2") == ["team.put", "user.put"]
    assert actions(terminal, "--actor", "local:7") == []
    assert terminal.run("changes", "list", "--actor", "local:7").err == "none\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", "999"), "[not_found]"),
        (("show", "0"), "[usage]"),
        (("show", "x"), "[usage]"),
        (("list", "--since", "yesterday"), "[usage]"),
        (("list", "--until", "0h"), "[usage]"),
        (("list", "--entity", "usr"), "[invalid_parameter]"),
        (("list", "--actor", "\x1b[2J"), "[invalid_parameter]"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(terminal: Terminal, arguments: tuple[str, ...], code: str) -> None:
    """Exit 2, and the remedy."""
    printed = terminal.run("changes", *arguments)
    assert printed.code == 2
    assert code in printed.err
    assert printed.err.count("\n") == 1


def effect(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
    """A user's."""
    return {"entity": "user", "key": ["acme", "ada"], "before": before, "after": after}


class Watched(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_colours_and_a_pipe_has_none() -> None:
    """The marks and the arrow say all of it without."""
    watched, piped = Watched(), io.StringIO()
    for out in (watched, piped):
        show_effect(Screen(out, io.StringIO()), effect({"name": "Ada"}, {"name": "Ida"}))
    assert "\x1b[31mAda" in watched.getvalue()
    assert "\x1b[32mIda" in watched.getvalue()
    assert piped.getvalue() == "\n~ user acme/ada\n    name: Ada → Ida\n"


def test_nothing_in_a_fact_is_obeyed_by_a_terminal() -> None:
    """Names may hold what would repaint the screen or turn the writing round."""
    out = Watched()
    show_effect(Screen(out, io.StringIO()), effect({"name": "\x1b]0;x\x07"}, {"name": "\u202egpj"}))
    assert "\\x1b]0;x\\x07" in out.getvalue()
    assert "\\u202egpj" in out.getvalue()


def test_members_are_compared_by_what_is_stored() -> None:
    """`1`, `1.0` and `true` differ; a member that one side lacks is told; equal ones are not."""
    before = {"a": 1, "b": [1], "c": "", "same": "x", "gone": {"k": 1}}
    after = {"a": 1.0, "b": ["x", "y"], "c": None, "same": "x", "expires_at": START, "long": 1 << 80}
    assert list(differences(before, after)) == [
        ("a", "1", "1.0"),
        ("b", "[1]", "x, y"),
        ("c", "-", "-"),
        ("expires_at", "-", "2027-01-15T08:00:00Z"),
        ("long", "-", str(1 << 80)),
        ("gone", '{"k": 1}', "-"),
    ]
    assert list(differences({"l": []}, {"l": ["a"]})) == [("l", "-", "a")]


def test_a_workspace_is_shown(terminal: Terminal) -> None:
    """By its id."""
    printed = terminal.run("workspaces", "get", "acme")
    assert printed.out.splitlines()[0].split() == ["id", "acme"]
    assert "[not_found]" in terminal.run("workspaces", "get", "none").err
