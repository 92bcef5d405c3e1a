"""`policy prove`: invariants proved of every request there can be, or a counterexample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from policy_service.analysis.as_suite import suite_file
from policy_service.cli.deciding.situation_text import situation_document, situation_rows
from policy_service.cli.policy.folder import chosen_folder
from policy_service.cli.policy.options import PolicyFolder
from policy_service.cli.policy.report import diagnostics_document, located
from policy_service.cli.policy.solver import require_solver
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson
from policy_service.cli.shared.output import write_file
from policy_service.cli.shared.screen import Screen
from policy_service.language.invariants import load_invariants
from policy_service.language.load import load
from policy_service.language.suite.suite import Expected
from policy_service.model.errors import PolicyErrors
from policy_service.model.spans import Diagnostic
from policy_service.service.policies.policy_folder import read_folder

if TYPE_CHECKING:
    from policy_service.analysis.prove import Finding

Timeout = Annotated[
    float, typer.Option("--timeout", min=0.01, metavar="SECONDS", help="Give up what is not proved by then.")
]
Save = Annotated[
    Path | None, typer.Option("--save", metavar="FILE", help="Write the counterexamples as tests, for `policy test`.")
]
DEFAULT_TIMEOUT_S: Final = 60.0
_STYLES: Final = {"proved": "green", "refuted": "red", "undecided": "yellow"}


def prove_policy(
    context: typer.Context,
    folder: PolicyFolder = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    save: Save = None,
    as_json: AsJson = False,
) -> int:
    """Prove what must never, or always, be true.

    Where it is not, a request that breaks it is shown.

    Five built-in invariants, and those of invariants.yaml. Every counterexample was decided by the engine itself.

    Exit code 0: all are proved, 1: something is refuted or undecided, or files have mistakes.
    """
    require_solver()
    session: Session = context.obj
    path = chosen_folder(folder)
    try:
        findings = _findings(session, read_folder(path), timeout)
    except PolicyErrors as errors:
        _show_errors(session.screen, errors.diagnostics, path, as_json=as_json)
        return 1
    if save is not None:
        _save(session.screen, findings, save)
    if as_json:
        session.screen.json({"folder": str(path), **findings_document(findings)})
    else:
        _show(session.screen, findings, path)
    return 0 if all(one.outcome == "proved" for one in findings) else 1


def _findings(session: Session, files: dict[str, str], timeout: float) -> list[Finding]:
    """What became of every invariant. Raises PolicyErrors."""
    # The solver takes a while to import, and nothing else needs it.
    from policy_service.analysis.prove import prove, steps  # noqa: PLC0415
    from policy_service.analysis.solving import Budget  # noqa: PLC0415
    from policy_service.analysis.statements import builtin_invariants  # noqa: PLC0415

    loaded = load(files)
    if loaded.policy is None:
        raise PolicyErrors(loaded.diagnostics)
    own = load_invariants(files, loaded.policy)
    if any(one.severity == "error" for one in own.diagnostics):
        raise PolicyErrors(own.diagnostics)
    invariants = (*builtin_invariants(loaded.policy), *own.invariants)
    with session.screen.progress("proving", len(steps(loaded.policy, invariants))) as advance:
        return prove(loaded.policy, invariants, Budget(timeout), advance)


def _show_errors(screen: Screen, diagnostics: Sequence[Diagnostic], path: Path, *, as_json: bool) -> None:
    if as_json:
        screen.json({"folder": str(path), "ok": False, "diagnostics": diagnostics_document(diagnostics)})
        return
    for diagnostic in diagnostics:
        screen.diagnostic(located(diagnostic, path))


def _save(screen: Screen, findings: Sequence[Finding], file: Path) -> None:
    """Counterexamples as tests that fail until the rules, or the invariant, are put right."""
    cases = [
        (
            f"{one.invariant.name} holds",
            one.witness.situation,
            Expected("deny" if one.witness.decision.allowed else "allow"),
        )
        for one in findings
        if one.witness is not None
    ]
    if cases:
        write_file(file, suite_file(cases))
        screen.note(f"{len(cases)} counterexample{'s' if len(cases) > 1 else ''} written to {file}")


def _show(screen: Screen, findings: Sequence[Finding], path: Path) -> None:
    for one in findings:
        place = (
            "built in" if one.invariant.is_builtin else f"{path / one.invariant.span.file}:{one.invariant.span.line}"
        )
        screen.parts(
            (f"{one.outcome:<10}", _STYLES[one.outcome]), (one.invariant.name, "bold"), (f"  ({place})", "dim")
        )
        for why in one.why:
            screen.line(f"          {why}")
        if one.witness is not None:
            said = one.invariant.description or f"{one.invariant.quantity}: {one.invariant.statement.text.strip()}"
            screen.line(f"          {said}")
            for name, value in situation_rows(one.witness.situation, one.witness.decision):
                screen.parts((f"            {name:<10} ", "dim"), (value, ""))
    screen.line(summary(findings), "green" if all(one.outcome == "proved" for one in findings) else "red")


def summary(findings: Sequence[Finding]) -> str:
    """`9 invariants: 8 proved, 1 refuted`."""
    counts = {outcome: sum(one.outcome == outcome for one in findings) for outcome in _STYLES}
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
    return f"{len(findings)} invariants: {told}"


def findings_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """For programs."""
    return {
        "ok": all(one.outcome == "proved" for one in findings),
        "invariants": [
            {
                "name": one.invariant.name,
                "description": one.invariant.description,
                one.invariant.quantity: one.invariant.statement.text,
                "builtin": one.invariant.is_builtin,
                "outcome": one.outcome,
                "why": list(one.why),
                "counterexample": None
                if one.witness is None
                else situation_document(one.witness.situation, one.witness.decision),
            }
            for one in findings
        ],
    }
