"""`policy lint`: what is allowed in rule files and yet hardly meant."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from policy_service.analysis.lint.lint import Prover
from policy_service.cli.policy.diagnostic_formats import Format, show_formatted
from policy_service.cli.policy.folder import chosen_folder
from policy_service.cli.policy.options import DiagnosticFormat, PolicyFolder
from policy_service.cli.policy.report import count, diagnostics_document, located
from policy_service.cli.policy.solver import INSTALL, has_solver
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson
from policy_service.cli.shared.screen import Screen
from policy_service.service.policies.policy_lint import Linted, lint_folder

Timeout = Annotated[float, typer.Option("--timeout", min=0.01, metavar="SECONDS", help="Look no longer for proofs.")]
DEFAULT_TIMEOUT_S: Final = 30.0
_SHOWN: Final = 5
Fix = Annotated[bool, typer.Option("--fix", help="Mend what can be mended without changing a decision.")]


def lint_policy(
    context: typer.Context,
    folder: PolicyFolder = None,
    fix: Fix = False,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    chosen: DiagnosticFormat = Format.TEXT,
    as_json: AsJson = False,
) -> int:
    """Tell what is allowed in rule files and yet hardly meant.

    What takes a proof is proved; what is not proved in time is told beside, and is no finding.

    A comment silences one finding: `# lint: off CODE reason`. Exit code 0: nothing was found, 1: something was, or the
    files have errors.
    """
    session: Session = context.obj
    linted = lint_folder(chosen_folder(folder), mend=fix, prover=_prover(session.screen, timeout))
    _tell_undecided(session.screen, linted, timeout)
    if as_json:
        session.screen.json(_document(linted))
    elif chosen is not Format.TEXT:
        show_formatted(session.screen, [located(one.diagnostic, linted.folder) for one in linted.findings], chosen)
    else:
        _show(session.screen, linted)
    return 1 if linted.findings else 0


def _prover(screen: Screen, timeout_s: float) -> Prover | None:
    """None, and a note, where there is no solver."""
    if not has_solver():
        screen.note(f"rules that never decide were not looked for: that takes the Z3 solver; {INSTALL}")
        return None
    # The solver takes a while to import, and nothing else needs it.
    from policy_service.analysis.rule_proofs import SolverProver  # noqa: PLC0415

    return SolverProver(timeout_s, lambda total: screen.progress("proving", total))


def _tell_undecided(screen: Screen, linted: Linted, timeout_s: float) -> None:
    if linted.undecided:
        names = ", ".join(f"`{name}`" for name in linted.undecided[:_SHOWN])
        more = len(linted.undecided) - _SHOWN
        named = f"{names} and {more} more" if more > 0 else names
        screen.note(f"not everything could be proved in {timeout_s:g} s, of {named}; {_remedy(linted)}")


def _remedy(linted: Linted) -> str:
    """More time helps where the time was what was missing."""
    return "; ".join(linted.bounds) if linted.bounds else "`--timeout` gives more time"


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
    return {
        "folder": str(linted.folder),
        "ok": not found,
        "mended": list(linted.mended),
        "undecided": list(linted.undecided),
        "bounds": list(linted.bounds),
        "findings": with_fix,
    }
