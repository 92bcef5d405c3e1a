"""Whatever goes wrong is one line and an exit code; a traceback is for those who ask for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from policy_service.cli.main import build
from policy_service.model.errors import RequestError, StoreError
from policy_service.service.services import Services
from policy_service.settings import Settings
from tests.unit.cli.terminal import Terminal

ACME = ("--workspace", "acme")


def failing(terminal: Terminal, error: Exception) -> Terminal:
    """A terminal whose store cannot be opened."""

    @contextlib.contextmanager
    def services(_settings: Settings) -> Iterator[Services]:
        raise error
        yield

    return terminal.with_environment(services=services)


@pytest.mark.parametrize(
    "error",
    [StoreError("store_damaged", "the store is damaged"), RequestError("not_found", "there is none", status=404)],
)
def test_an_error_of_ours_is_its_message_and_code(terminal: Terminal, error: StoreError | RequestError) -> None:
    """Exit code 2, nothing on standard output."""
    printed = failing(terminal, error).run("users", "list", *ACME)
    assert printed == (2, "", f"error: {error.message} [{error.code}]\n")


def test_an_unforeseen_error_says_how_to_see_more(terminal: Terminal) -> None:
    """One line, whatever it was."""
    printed = failing(terminal, ZeroDivisionError("a\nb")).run("users", "list", *ACME)
    assert printed.code == 2
    assert printed.err == (
        "error: something nobody foresaw: ZeroDivisionError: a b; set POLICY_SERVICE_TRACEBACK=1 to see where "
        "[unforeseen]\n"
    )


def test_a_developer_gets_the_traceback(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error itself comes through, when it is asked for."""
    monkeypatch.setenv("POLICY_SERVICE_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        failing(terminal, ZeroDivisionError()).run("users", "list", *ACME)


def test_ctrl_c_is_no_error(terminal: Terminal) -> None:
    """130, as shells expect, and silence."""
    assert failing(terminal, KeyboardInterrupt()).run("users", "list", *ACME) == (130, "", "")  # type: ignore[arg-type]  # no Exception, on purpose


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nonsense",), "no such command 'nonsense'; see `policy-service --help`"),
        (("users", "get"), "see `policy-service users get --help`"),
        (("users", "list", "--nonsense"), "no such option"),
        (("users", "list", "--limit", "0"), "--limit"),
    ],
)
def test_a_wrong_command_line_is_one_line(terminal: Terminal, arguments: tuple[str, ...], told: str) -> None:
    """It says where the help is."""
    printed = terminal.run(*arguments)
    assert printed.code == 2
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert told in printed.err
    assert printed.err.endswith("[usage]\n")


def test_no_command_at_all_shows_the_help(terminal: Terminal) -> None:
    """Exit code 2: nothing was done."""
    printed = terminal.run()
    assert printed.code == 2
    assert "Commands:" in printed.out


def test_every_command_says_what_it_does_in_one_line() -> None:
    """A list of commands where some are cut off or say nothing helps nobody."""
    seen = 0
    for group in (build(), *(entry.typer_instance for entry in build().registered_groups)):
        assert group is not None
        for command in group.registered_commands:
            text = command.help or (command.callback.__doc__ if command.callback else None) or ""
            first = text.strip().split("\n", 1)[0]
            assert first.endswith("."), command.name
            assert len(first) <= 60, first
            seen += 1
    assert seen > 30
