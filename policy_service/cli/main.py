"""The command tree, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from policy_service.cli.administration import access, changes, peppers, principals, workspaces
from policy_service.cli.deciding import decide
from policy_service.cli.keys import commands as keys
from policy_service.cli.keys import importing
from policy_service.cli.ledger import commands as ledger
from policy_service.cli.policy import commands as policy
from policy_service.cli.serving import serve, setup, snapshot
from policy_service.cli.shared.environment import Environment, Session
from policy_service.cli.shared.screen import Screen
from policy_service.model.errors import PolicyErrors, PolicyServiceError

YES, NO, UNFIT = 0, 1, 2
TRACEBACK = "POLICY_SERVICE_TRACEBACK"


def build() -> typer.Typer:
    """The whole tree of commands."""
    app = typer.Typer(
        name="policy-service",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for module in (setup, serve, decide, snapshot):
        module.register(app)
    importing.register(keys.app)
    for name, noun in (
        ("policy", policy.app),
        ("keys", keys.app),
        ("users", principals.users),
        ("service-principals", principals.service_principals),
        ("teams", principals.teams),
        ("members", principals.members),
        ("bindings", access.bindings),
        ("resources", access.resources),
        ("allowlist", access.allowlist),
        ("peppers", peppers.app),
        ("workspaces", workspaces.app),
        ("changes", changes.app),
        ("ledger", ledger.app),
    ):
        app.add_typer(noun, name=name)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            number = version("policy-service")
        except PackageNotFoundError:
            number = "(not installed)"
        typer.echo(f"policy-service {number}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Decide what API keys may do, by rule files and facts."""


def run(arguments: Sequence[str], environment: Environment, screen: Screen | None = None) -> int:
    """Run one command line. The exit code: 0 yes, 1 the answer is no, 2 usage or environment."""
    screen = screen or Screen()
    session = Session(environment=environment, screen=screen)
    try:
        result = build()(args=list(arguments), prog_name="policy-service", standalone_mode=False, obj=session)
    except typer.TyperException as error:
        return _usage(screen, error)
    except PolicyErrors as error:
        return _diagnostics(screen, error)
    except PolicyServiceError as error:
        screen.error(error.code, error.message)
        return UNFIT
    except BrokenPipeError:
        # Whoever read the answer has gone; Python must not complain about it when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNFIT
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except Exception as error:
        return _unforeseen(screen, error)
    return result if isinstance(result, int) else YES


def _usage(screen: Screen, error: typer.TyperException) -> int:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if message.startswith("Usage:"):
        # No arguments at all: what comes is the help.
        screen.block(message)
        return UNFIT
    remedy = f"; see `{context.command_path} --help`" if context is not None else ""
    screen.error("usage", message[:1].lower() + message[1:].rstrip(".").replace("\n", " ") + remedy)
    return UNFIT


def _diagnostics(screen: Screen, errors: PolicyErrors) -> int:
    for diagnostic in errors.diagnostics:
        screen.note(str(diagnostic))
    screen.error(errors.code, errors.message)
    return NO


def _unforeseen(screen: Screen, error: Exception) -> int:
    if os.environ.get(TRACEBACK) == "1":
        raise error
    text = " ".join(str(error).split())[:300]
    kind = type(error).__name__
    screen.error("unforeseen", f"something nobody foresaw: {kind}: {text}; set {TRACEBACK}=1 to see where")
    return UNFIT
