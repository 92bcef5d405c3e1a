"""`policy diff OLD NEW`: who gains and who loses access, proved, with a witness for each kind of change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer
from msgspec import to_builtins

from policy_service.cli.deciding.situation_text import decision_text, situation_document, situation_rows
from policy_service.cli.ledger.foresee import foreseen_document, show_foreseen
from policy_service.cli.policy.diff_recorded import FAILING, Ledger, Recorded, recorded_flips
from policy_service.cli.policy.solver import require_solver
from policy_service.cli.policy.source import source_files
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir, Url
from policy_service.cli.shared.screen import Screen
from policy_service.language.load import load_policy
from policy_service.language.policy import Policy

if TYPE_CHECKING:
    from policy_service.analysis.differ import Change, Comparison
    from policy_service.analysis.own_scopes import OwnScopeChange

Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A folder, a digest of a bundle, or git:REV[:DIR].", show_default=False)
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.01, metavar="SECONDS", help="Give up after that.")]
FailOn = Annotated[
    Literal["looser", "stricter", "any"] | None,
    typer.Option("--fail-on", help="Exit code 1 if somebody gains access, loses it, or either."),
]
_STYLES: Final = {"looser": "yellow", "stricter": "cyan", "both": "yellow", "undecided": "red", "equivalent": "green"}


def diff_policies(
    context: typer.Context,
    old: Source,
    new: Source,
    fail_on: FailOn = None,
    timeout: Timeout = 60.0,
    ledger: Ledger = None,
    data_dir: DataDir = None,
    url: Url = None,
    as_json: AsJson = False,
) -> int:
    """Say what an edit changes: who gains, who loses access.

    Each kind of change comes with a request that the engine decided under both. With `--ledger` the recorded requests
    that NEW would answer otherwise are told as well.

    Exit code 0: it is known, and `--fail-on` allows it, 1: it is not, 2: there is nothing to compare.
    """
    require_solver()
    session: Session = context.obj
    before, after = (load_policy(source_files(session, one, data_dir, url)) for one in (old, new))
    comparison = _compared(session, before, after, timeout)
    recorded = None if ledger is None else recorded_flips(session, ledger, data_dir, after)
    if as_json:
        document = comparison_document(comparison, before, after)
        session.screen.json(
            document if recorded is None else {**document, "recorded": foreseen_document(recorded.found)}
        )
    else:
        _show(session.screen, comparison, before, after)
        _show_recorded(session.screen, recorded, fail_on)
        _summarize(session.screen, comparison, old, new)
    directions = comparison.directions
    fails = comparison.why or (directions if fail_on == "any" else {fail_on} & directions)
    return 1 if fails or (recorded is not None and recorded.fails(fail_on)) else 0


def _show_recorded(screen: Screen, recorded: Recorded | None, fail_on: str | None) -> None:
    if recorded is not None:
        screen.line("of the recorded requests", "bold")
        show_foreseen(screen, recorded.found, recorded.spent_ns, failing=FAILING[fail_on], as_json=False)


def _compared(session: Session, before: Policy, after: Policy, timeout: float) -> Comparison:
    # The solver takes a while to import, and nothing else needs it.
    from policy_service.analysis.differ import compare, steps  # noqa: PLC0415
    from policy_service.analysis.solving import Budget  # noqa: PLC0415

    with session.screen.progress("comparing", len(steps(before, after))) as advance:
        return compare(before, after, Budget(timeout), advance)


def _show(screen: Screen, comparison: Comparison, before: Policy, after: Policy) -> None:
    for change in comparison.changes:
        screen.parts((f"{change.direction:<9} ", _STYLES[change.direction]), (headline(change), "bold"))
        for label, text in _rules(change, before, after):
            screen.parts((f"          {label:<7} ", "dim"), (text, ""))
        screen.line("          for example")
        for name, value in situation_rows(change.situation, change.new)[:-1]:
            screen.parts((f"            {name:<10} ", "dim"), (value, ""))
        for name, decision in (("before", change.old), ("after", change.new)):
            screen.parts((f"            {name:<10} ", "dim"), (decision_text(decision), ""))
        screen.line()
    for own in comparison.own_scopes:
        screen.parts((f"{own.direction:<9} ", _STYLES[own.direction]), (_own_headline(own), "bold"))


def headline(change: Change) -> str:
    """`users and services gain pipelines:run on pipeline`."""
    who = " and ".join(f"{kind} keys" for kind in change.principals) or "keys"
    verb, when = ("gain", "were") if change.direction == "looser" else ("lose", "are now")
    reason, rule = change.denial
    by = f" by `{rule}`" if rule else ""
    return f"{who} {verb} {', '.join(change.scopes)} on {', '.join(change.types)}; they {when} denied: {reason}{by}"


def _own_headline(own: OwnScopeChange) -> str:
    """`the role operator gains decisions:read, which this service asks for itself`."""
    named = ((own.roles, "role"), (own.scopes, "scope"))
    who = " and ".join(f"the {noun}{'s' * (len(names) > 1)} {', '.join(names)}" for names, noun in named if names)
    verb = "gain" if own.direction == "looser" else "lose"
    one = len(own.roles) + len(own.scopes) == 1
    return f"{who} {verb}{'s' * one} {own.scope}, which this service asks for itself"


def _rules(change: Change, before: Policy, after: Policy) -> list[tuple[str, str]]:
    """What the rules that make the difference say, before and after."""
    from policy_service.analysis.differ import said_by  # noqa: PLC0415 - it stands on the solver's side

    old, new = said_by(before, change.rules), said_by(after, change.rules)
    rows: list[tuple[str, str]] = []
    for name in change.rules:
        rows.append(("rule", name))
        if old.get(name) == new.get(name):
            rows.append(("", old.get(name, "")))
        else:
            rows += [("before", old.get(name, "not there")), ("after", new.get(name, "not there"))]
    return rows


def _summarize(screen: Screen, comparison: Comparison, old: str, new: str) -> None:
    for why in comparison.why:
        screen.line(f"not known: {why}", "red")
    words = {"both": "looser and stricter", "undecided": "undecided", "equivalent": "equivalent: they allow the same"}
    verdict, count = comparison.verdict, len(comparison.changes) + len(comparison.own_scopes)
    kinds = f", {count} kind{'' if count == 1 else 's'} of change" if count else ""
    screen.line(f"{old} → {new}: {words.get(verdict, verdict)}{kinds}", _STYLES[verdict])


def comparison_document(comparison: Comparison, before: Policy, after: Policy) -> dict[str, Any]:
    """For programs."""
    return {
        "verdict": comparison.verdict,
        "old": before.digest,
        "new": after.digest,
        "why": list(comparison.why),
        "changes": [_change_document(one) for one in comparison.changes],
        "own_scopes": [to_builtins(one) for one in comparison.own_scopes],
    }


def _change_document(change: Change) -> dict[str, Any]:
    return {
        "direction": change.direction,
        "scopes": list(change.scopes),
        "types": list(change.types),
        "principals": list(change.principals),
        "reason": change.denial[0],
        "rule": change.denial[1],
        "rules": list(change.rules),
        "witness": situation_document(change.situation, change.new)
        | {"before": decision_text(change.old), "after": decision_text(change.new)},
    }
