"""`decide`: try a request against the facts of a data directory, and against rule files that are not published yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from policy_service.cli.deciding.values import parse_claims
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.options import AsJson, DataDir
from policy_service.cli.shared.typed_key import key_from_stdin
from policy_service.engine.explain import explain
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.policy import Policy
from policy_service.model.decision import Explanation
from policy_service.model.errors import PolicyErrors, UsageError
from policy_service.model.instants import format_rfc3339, parse_rfc3339
from policy_service.model.names import split_resource
from policy_service.model.request import UNKNOWN, Credential, Request, ResourceRef
from policy_service.service.policies.policy_folder import load_folder
from policy_service.service.policies.rehearsal import rehearse_policy
from policy_service.service.services import Services
from policy_service.settings import load_settings

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


def decide_request(
    context: typer.Context,
    scope: Annotated[str, typer.Option("--scope", metavar="SCOPE", help="Requested scope, such as pipelines:run.")],
    resource: Annotated[str, typer.Option("--resource", metavar="TYPE:ID", help="Such as pipeline:etl-42.")],
    key_id: Annotated[
        str | None,
        typer.Option("--key-id", metavar="ID", help="Public id of a key. Without it the key is read from stdin."),
    ] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", "-w", metavar="ID", help="Workspace that the request claims.")
    ] = None,
    owner: Annotated[str | None, typer.Option("--owner", metavar="ID", help="Owner that the request claims.")] = None,
    source_ip: Annotated[
        str | None, typer.Option("--source-ip", metavar="ADDRESS", help="Where it comes from.")
    ] = None,
    now: Annotated[
        str | None, typer.Option("--now", metavar="RFC3339", help="The instant to decide for. [default: now]")
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attr", metavar="NAME=VALUE", help="Claimed attribute of the resource; may be repeated."),
    ] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option("--context", metavar="NAME=VALUE", help="Claim under request.context; may be repeated."),
    ] = None,
    steps: Annotated[bool, typer.Option("--explain", help="Show every check of the chain.")] = False,
    policies: Annotated[
        Path | None, typer.Option("--policies", metavar="DIR", help="Decide by these rule files instead.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> int:
    """Try one request on the facts of a data directory.

    Nothing is changed or recorded. Exit code 0: allow, 1: deny.
    """
    session: Session = context.obj
    instant = instant_of(now, session)
    with session.environment.services(load_settings(data_dir=data_dir)) as services:
        snapshot = snapshot_for(services, policies, instant)
        policy = active_program(snapshot).policy
        reference = reference_of(session, policy, resource, workspace, owner, attribute or [])
        claims, notes = parse_claims(claim or (), policy.context, "--context")
        tell(session, notes)
        credential = credential_of(services, snapshot, key_id)
        explanation = explain(Request(credential, scope, reference, source_ip, claims), snapshot, instant)
        # With `--policies` the snapshot is one change ahead of the store; nobody could look that revision up.
        explanation = at_revision(explanation, services.replica.revision)
    if explanation.decision.reason == "unknown_resource" and workspace is None:
        session.screen.note("an unregistered resource needs the request to claim its workspace: `--workspace`")
    _show(session, explanation, scope, steps=steps, as_json=as_json)
    return 0 if explanation.decision.allowed else 1


def instant_of(text: str | None, session: Session) -> int:
    """The instant that is meant; without one it is now."""
    if text is None:
        return session.environment.now()
    instant = parse_rfc3339(text)
    if instant is None:
        raise UsageError("usage", f"`--now {text}` must be an instant such as 2026-11-24T06:00:00Z")
    return instant


def snapshot_for(services: Services, folder: Path | None, instant: int) -> Snapshot:
    """The facts at hand, under the active policy or that of a folder."""
    if folder is None:
        return services.replica.view()
    loaded = load_folder(folder)
    if loaded.policy is None:
        raise PolicyErrors(loaded.diagnostics)
    return rehearse_policy(services.store, services.bundles, loaded.policy, instant)


def active_program(snapshot: Snapshot) -> Program:
    """What decides. Raises UsageError `no_policy`."""
    if snapshot.program is None:
        raise UsageError("no_policy", "no policy is active; run `policy-service init`, or name one with `--policies`")
    return snapshot.program


def reference_of(
    session: Session, policy: Policy, text: str, workspace: str | None, owner: str | None, attributes: list[str]
) -> ResourceRef:
    """The resource as the request claims it."""
    parts = split_resource(text)
    if parts is None:
        raise UsageError("usage", f"`--resource {text}` must be type:id, such as pipeline:etl-42")
    declared = policy.resources[parts[0]].attributes if parts[0] in policy.resources else ()
    claims, notes = parse_claims(attributes, declared, "--attr")
    tell(session, notes)
    return ResourceRef(parts[0], parts[1], workspace, owner, claims)


def tell(session: Session, notes: list[str]) -> None:
    """Notes beside the answer."""
    for note in notes:
        session.screen.note(note)


def credential_of(services: Services, snapshot: Snapshot, key_id: str | None) -> Credential:
    """A key named by id, or read from standard input."""
    if key_id is None:
        return services.credentials.check(key_from_stdin(), snapshot)
    key = snapshot.api_key(key_id)
    return UNKNOWN if key is None else Credential("verified", key_id)


def at_revision(explanation: Explanation, revision: int) -> Explanation:
    """The same, said to be decided at a revision of the store."""
    decision = msgspec.structs.replace(explanation.decision, revision=revision)
    return msgspec.structs.replace(explanation, decision=decision)


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
