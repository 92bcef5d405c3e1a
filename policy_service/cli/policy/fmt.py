"""`policy fmt`: rule files in the one layout."""

from __future__ import annotations

from typing import Annotated

import typer

from policy_service.cli.policy.folder import chosen_folder
from policy_service.cli.policy.options import PolicyFolder
from policy_service.cli.policy.report import count, diagnostics_document, located
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson
from policy_service.cli.shared.screen import Screen
from policy_service.service.policies.policy_layout import LaidOut, lay_out_folder

Check = Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if a file is laid out otherwise.")]


def format_policy(
    context: typer.Context, folder: PolicyFolder = None, check: Check = False, as_json: AsJson = False
) -> int:
    """Lay rule files and their tests out alike.

    White space changes; words, quotes, order and comments do not. Exit code 1: a file cannot be read, or, with
    `--check`, one is laid out otherwise.
    """
    session: Session = context.obj
    done = lay_out_folder(chosen_folder(folder), write=not check)
    if as_json:
        session.screen.json(_document(done))
    else:
        _show(session.screen, done, check=check)
    return 1 if done.diagnostics or (check and done.changed) else 0


def _show(screen: Screen, done: LaidOut, *, check: bool) -> None:
    for diagnostic in done.diagnostics:
        screen.diagnostic(located(diagnostic, done.folder))
    for file in done.changed:
        screen.line((done.folder / file).as_posix())
    verb = "would be" if check else "was" if len(done.changed) == 1 else "were"
    told = f"{count(len(done.changed), 'file')} {verb} laid out anew" if done.changed else "all laid out"
    broken = f", {count(len(done.diagnostics), 'error')}" if done.diagnostics else ""
    screen.line(f"{done.folder}: {told}{broken}", "red" if broken else "yellow" if check and done.changed else "green")


def _document(done: LaidOut) -> dict[str, object]:
    return {
        "folder": str(done.folder),
        "changed": list(done.changed),
        "diagnostics": diagnostics_document(done.diagnostics),
    }
