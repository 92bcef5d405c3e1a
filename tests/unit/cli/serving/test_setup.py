"""`init` and `demo`: what a newcomer sees first."""

from __future__ import annotations

import shlex

import pytest

from tests.unit.cli.terminal import Printed, Terminal

KEYS = ("caller_key", "admin_key", "user_key", "service_key", "system_key")


def curls(printed: Printed) -> list[list[str]]:
    """The `curl` lines as a shell splits them."""
    return [shlex.split(line) for line in printed.out.splitlines() if line.startswith("curl ")]


def test_a_demonstration_prints_its_keys_and_requests_to_paste(bare_terminal: Terminal) -> None:
    """Each line is one whole command; the first one is allowed, the others are denied for different reasons."""
    printed = bare_terminal.run("init", "--demo", "--port", "8123")
    assert printed.code == 0
    assert printed.out.count("psx_") > len(KEYS)
    titles = [line for line in printed.out.splitlines() if line.startswith("# ")]
    assert titles[0] == "# allowed"
    assert len({title for title in titles if "denied" in title}) >= 4
    for words in curls(printed):
        assert words[0] == "curl"
        assert words[2].startswith("http://127.0.0.1:8123/decide")


def test_json_of_a_demonstration_holds_every_key(bare_terminal: Terminal) -> None:
    """For tests and scripts."""
    answer = bare_terminal.run("init", "--demo", "--json").json
    assert answer["workspace"] == "demo"
    assert all(answer[name].startswith("psx_") for name in KEYS)


def test_without_a_demonstration_the_operators_key_is_printed_once(bare_terminal: Terminal) -> None:
    """A second run shows no key, and says so by saying less."""
    first = bare_terminal.run("init")
    assert first.out.count("psx_") == 1
    again = bare_terminal.run("init")
    assert again.code == 0
    assert "is set up" in again.out
    assert "psx_" not in again.out


def test_a_demonstration_never_mixes_with_facts(terminal: Terminal) -> None:
    """One line, exit code 2."""
    printed = terminal.run("init", "--demo")
    assert (printed.code, printed.out) == (2, "")
    assert "[not_empty]" in printed.err


def test_a_second_run_shows_public_ids_and_the_way_to_fresh_keys(bare_terminal: Terminal) -> None:
    """No secret can be shown again."""
    made = bare_terminal.run("init", "--demo", "--json").json
    printed = bare_terminal.run("demo")
    assert printed.code == 0
    assert "make demo-keys" in printed.out
    assert "psx_" not in printed.out
    for name in KEYS:
        assert made[name][4:16] in printed.out
        assert made[name][16:] not in printed.out
    assert {key["id"] for key in bare_terminal.run("demo", "--json").json["keys"]} == {made[n][4:16] for n in KEYS}


def test_fresh_keys_take_the_place_of_the_old_ones(bare_terminal: Terminal) -> None:
    """In what is shown; the old ones stay valid until somebody revokes them."""
    made = bare_terminal.run("init", "--demo", "--json").json
    fresh = bare_terminal.run("demo", "--fresh-keys", "--json").json
    assert fresh["service_key"] != made["service_key"]
    assert fresh["service_key"][4:16] in bare_terminal.run("demo").out
    assert "curl" in bare_terminal.run("demo", "--fresh-keys").out
    assert bare_terminal.house.decide(made["service_key"], workspace="demo").decision.allowed


def test_a_store_without_a_demonstration_is_no_failure(terminal: Terminal) -> None:
    """`make run` on a real data directory goes on to serve it."""
    printed = terminal.run("demo")
    assert (printed.code, printed.out) == (0, "")
    assert "holds no demonstration" in printed.err


def test_an_example_names_an_address_one_can_connect_to(
    bare_terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may listen on all addresses; nobody can connect to 0.0.0.0 everywhere."""
    monkeypatch.setenv("POLICY_SERVICE_HOST", "0.0.0.0")
    assert curls(bare_terminal.run("init", "--demo"))[0][2] == "http://127.0.0.1:8000/decide"
    monkeypatch.setenv("POLICY_SERVICE_HOST", "::")
    assert curls(bare_terminal.run("demo", "--fresh-keys"))[0][2] == "http://[::1]:8000/decide"
