"""`decide`: try a request against the facts of a data directory, and against rule files that are not published yet."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from policy_service.cli.deciding.asked import Asked
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.grouped import spread
from policy_service.cli.shared.options import AsJson
from policy_service.model.decision import Explanation
from policy_service.model.instants import format_rfc3339

_MARKS: Final = {
    "passed": "passed",
    "failed": "FAILED",
    "faulted": "FAULTED",
    "not_applicable": "-",
    "not_reached": "not reached",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("decide")(decide_request)


@spread
def decide_request(
    context: typer.Context,
    *,
    asked: Asked,
    steps: Annotated[bool, typer.Option("--explain", help="Show every check of the chain.")] = False,
    as_json: AsJson = False,
) -> int:
    """Try one request on the facts of a data directory.

    Nothing is changed or recorded. Exit code 0: allow, 1: deny.
    """
    session: Session = context.obj
    explanation = asked.decide(session).explanation
    if explanation.decision.reason == "unknown_resource" and asked.workspace is None:
        session.screen.note("an unregistered resource needs the request to claim its workspace: `--workspace`")
    _show(session, explanation, asked.scope, steps=steps, as_json=as_json)
    return 0 if explanation.decision.allowed else 1


def _show(session: Session, explanation: Explanation, scope: str, *, steps: bool, as_json: bool) -> None:
    screen = session.screen
    if as_json:
        document = session.environment.decision_document(explanation, scope)
        if not steps:
            del document["checks"]
        screen.json(document)
        return
    decision = explanation.decision
    style = "bold green" if decision.allowed else "bold red"
    screen.line(f"{'allow' if decision.allowed else 'deny'}  {decision.reason}", style)
    rows: list[tuple[str, Any]] = [("message", decision.message), ("http status", decision.http_status)]
    if not decision.allowed:
        rows.append(("check", decision.check))
        rows.append(("rule", decision.rule))
    if decision.key_id:
        rows.append(("key", f"{decision.key_id}, {decision.principal_kind} {decision.principal_id}"))
        rows.append(("workspace", decision.workspace))
    rows.append(("decided for", format_rfc3339(decision.now)))
    rows.append(("facts", f"revision {decision.revision}"))
    rows.append(("policy", decision.bundle))
    screen.fields(rows)
    if steps:
        screen.line()
        screen.table(("check", "outcome", "reason", "why"), map(_step, explanation.checks))


def _step(check: Any) -> tuple[str, str, str | None, str]:
    name = check.name if check.name == check.check else f"{check.check} {check.name}"
    return name, _MARKS[check.outcome], check.reason, check.detail
