"""`policy lint`: what is allowed in rule files and yet hardly meant."""

from __future__ import annotations

from typing import Annotated

import typer

from policy_service.cli.diagnostic_formats import Format, show_formatted
from policy_service.cli.environment import Session
from policy_service.cli.options import AsJson, DiagnosticFormat, PolicyFolder
from policy_service.cli.policy import chosen_folder
from policy_service.cli.report import count, diagnostics_document, located
from policy_service.cli.screen import Screen
from policy_service.service.policies.policy_lint import Linted, lint_folder

Fix = Annotated[bool, typer.Option("--fix", help="Mend what can be mended without changing a decision.")]


def lint_policy(
    context: typer.Context,
    folder: PolicyFolder = None,
    fix: Fix = False,
    chosen: DiagnosticFormat = Format.TEXT,
    as_json: AsJson = False,
) -> int:
    """Tell what is allowed in rule files and yet hardly meant.

    A comment silences one finding: `# lint: off CODE reason`. Exit code 0: nothing was found, 1: something was, or the
    files have errors.
    """
    session: Session = context.obj
    linted = lint_folder(chosen_folder(folder), mend=fix)
    if as_json:
        session.screen.json(_document(linted))
    elif chosen is not Format.TEXT:
        show_formatted(session.screen, [located(one.diagnostic, linted.folder) for one in linted.findings], chosen)
    else:
        _show(session.screen, linted)
    return 1 if linted.findings else 0


def _show(screen: Screen, linted: Linted) -> None:
    for file in linted.mended:
        screen.note(f"mended {(linted.folder / file).as_posix()}")
    for finding in linted.findings:
        screen.diagnostic(located(finding.diagnostic, linted.folder))
    fixable = sum(finding.fix is not None for finding in linted.findings)
    hint = f", {fixable} can be mended with `--fix`" if fixable else ""
    if linted.findings:
        screen.line(f"{linted.folder}: {count(len(linted.findings), 'finding')}{hint}", "yellow")
    else:
        screen.line(f"{linted.folder}: nothing to remark", "green")


def _document(linted: Linted) -> dict[str, object]:
    found = diagnostics_document([finding.diagnostic for finding in linted.findings])
    with_fix = [{**one, "fixable": f.fix is not None} for one, f in zip(found, linted.findings, strict=True)]
    return {"folder": str(linted.folder), "ok": not found, "mended": list(linted.mended), "findings": with_fix}
