"""`policy explain` and `policy why-not`: a decision in sentences, and what would turn a denial into an allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from policy_service.analysis.sentences import sentences
from policy_service.analysis.why_not import Flip, why_not
from policy_service.cli.deciding.decide import (
    active_program,
    credential_of,
    instant_of,
    reference_of,
    snapshot_for,
    tell,
)
from policy_service.cli.deciding.values import parse_claims
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.engine.explain import explain
from policy_service.engine.snapshot import Snapshot
from policy_service.language.policy import Policy
from policy_service.model.decision import Explanation
from policy_service.model.request import Request
from policy_service.service.deciding.situations import situation_of
from policy_service.settings import load_settings

Scope = Annotated[str, typer.Option("--scope", metavar="SCOPE", help="Requested scope, such as pipelines:run.")]
Asked = Annotated[str, typer.Option("--resource", metavar="TYPE:ID", help="Such as pipeline:etl-42.")]
KeyId = Annotated[
    str | None,
    typer.Option("--key-id", metavar="ID", help="Public id of a key. Not given: it is read from stdin."),
]
Claimed = Annotated[str | None, typer.Option("--workspace", "-w", metavar="ID", help="Workspace that is claimed.")]
SourceIp = Annotated[str | None, typer.Option("--source-ip", metavar="ADDRESS", help="Where it comes from.")]
Now = Annotated[str | None, typer.Option("--now", metavar="RFC3339", help="The instant to decide for. [default: now]")]
Attributes = Annotated[
    list[str] | None, typer.Option("--attr", metavar="NAME=VALUE", help="Claimed attribute; may be repeated.")
]
Context = Annotated[
    list[str] | None, typer.Option("--context", metavar="NAME=VALUE", help="Claim under request.context; repeatable.")
]
Policies = Annotated[Path | None, typer.Option("--policies", metavar="DIR", help="Decide by these rule files instead.")]

_WHO: Final = {
    "caller": "The caller could",
    "administrator": "An administrator could",
    "author": "A policy author could",
}


class Decided(msgspec.Struct, frozen=True):
    """One request with what it met, and what came of it."""

    request: Request
    snapshot: Snapshot
    policy: Policy
    explanation: Explanation


def explain_decision(
    context: typer.Context,
    scope: Scope,
    resource: Asked,
    key_id: KeyId = None,
    workspace: Claimed = None,
    source_ip: SourceIp = None,
    now: Now = None,
    attribute: Attributes = None,
    claim: Context = None,
    policies: Policies = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Tell a decision in sentences.

    Nothing is changed or recorded.

    Exit code 0: allow, 1: deny.
    """
    session: Session = context.obj
    options = (scope, resource, key_id, workspace, source_ip, now, attribute or [], claim or [], policies, data_dir)
    decided = _decide(session, *options)
    lines = list(sentences(decided.request, decided.explanation))
    if as_json:
        session.screen.json({**session.environment.decision_document(decided.explanation, scope), "sentences": lines})
    else:
        for line in lines:
            session.screen.line(line)
    return 0 if decided.explanation.decision.allowed else 1


def why_not_allowed(
    context: typer.Context,
    scope: Scope,
    resource: Asked,
    key_id: KeyId = None,
    workspace: Claimed = None,
    source_ip: SourceIp = None,
    now: Now = None,
    attribute: Attributes = None,
    claim: Context = None,
    policies: Policies = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Show the smallest changes that would flip a denial.

    After each the request would be allowed; told by who can make them.

    Each was decided again. Nothing is changed or recorded. Exit code 0: it is allowed already, 1: it is not.
    """
    session: Session = context.obj
    options = (scope, resource, key_id, workspace, source_ip, now, attribute or [], claim or [], policies, data_dir)
    decided = _decide(session, *options)
    decision = decided.explanation.decision
    flips = _flips(decided)
    if as_json:
        document = {"decision": "allow" if decision.allowed else "deny", "reason": decision.reason}
        session.screen.json({**document, "changes": [{"who": one.who, "steps": list(one.steps)} for one in flips]})
    else:
        for line in remedies(decided, flips):
            session.screen.line(line)
    return 0 if decision.allowed else 1


def _decide(
    session: Session,
    scope: str,
    resource: str,
    key_id: str | None,
    workspace: str | None,
    source_ip: str | None,
    now: str | None,
    attributes: list[str],
    claims: list[str],
    policies: Path | None,
    data_dir: Path | None,
) -> Decided:
    instant = instant_of(now, session)
    with session.environment.services(load_settings(data_dir=data_dir)) as services:
        snapshot = snapshot_for(services, policies, instant)
        policy = active_program(snapshot).policy
        reference = reference_of(session, policy, resource, workspace, None, attributes)
        told, notes = parse_claims(claims, policy.context, "--context")
        tell(session, notes)
        request = Request(credential_of(services, snapshot, key_id), scope, reference, source_ip, told)
        return Decided(request, snapshot, policy, explain(request, snapshot, instant))


def _flips(decided: Decided) -> list[Flip]:
    if decided.explanation.decision.allowed:
        return []
    situation = situation_of(decided.request, decided.snapshot, decided.explanation.decision.now)
    return [] if situation is None else why_not(situation, decided.policy)


def remedies(decided: Decided, flips: list[Flip]) -> Iterator[str]:
    """What could be done, by who can do it."""
    decision = decided.explanation.decision
    if decision.allowed:
        yield "It is allowed already."
        return
    yield f"Denied, with {decision.reason}: {decision.message}"
    if not flips:
        yield "No small change by one of them alone would allow it."
    for who, could in _WHO.items():
        mine = [flip for flip in flips if flip.who == who]
        if mine:
            yield f"{could}{' either' if len(mine) > 1 else ''}"
        yield from (f"  - {', and '.join(flip.steps)}" for flip in mine)
