"""A request as it is typed: what `decide`, `policy explain` and `policy why-not` are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from policy_service.cli.deciding.values import parse_claims
from policy_service.cli.shared.environment import Session
from policy_service.cli.shared.grouped import Group
from policy_service.cli.shared.options import DataDir
from policy_service.cli.shared.typed_key import key_from_stdin
from policy_service.engine.explain import explain
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.policy import Policy
from policy_service.model.decision import Explanation
from policy_service.model.errors import PolicyErrors, UsageError
from policy_service.model.instants import parse_rfc3339
from policy_service.model.names import split_resource
from policy_service.model.request import UNKNOWN, Credential, Request, ResourceRef
from policy_service.service.policies.policy_folder import load_folder
from policy_service.service.policies.rehearsal import rehearse_policy
from policy_service.service.services import Services
from policy_service.settings import load_settings

Scope = Annotated[str, typer.Option("--scope", metavar="SCOPE", help="Requested scope, such as pipelines:run.")]
Resource = Annotated[str, typer.Option("--resource", metavar="TYPE:ID", help="Such as pipeline:etl-42.")]
KeyId = Annotated[
    str | None,
    typer.Option("--key-id", metavar="ID", help="Public id of a key. Without it the key is read from stdin."),
]
Claimed = Annotated[
    str | None, typer.Option("--workspace", "-w", metavar="ID", help="Workspace that the request claims.")
]
Owner = Annotated[str | None, typer.Option("--owner", metavar="ID", help="Owner that the request claims.")]
SourceIp = Annotated[str | None, typer.Option("--source-ip", metavar="ADDRESS", help="Where it comes from.")]
Now = Annotated[str | None, typer.Option("--now", metavar="RFC3339", help="The instant to decide for. [default: now]")]
Attributes = Annotated[
    list[str] | None,
    typer.Option("--attr", metavar="NAME=VALUE", help="Claimed attribute of the resource; may be repeated."),
]
Claims = Annotated[
    list[str] | None,
    typer.Option("--context", metavar="NAME=VALUE", help="Claim under request.context; may be repeated."),
]
Policies = Annotated[Path | None, typer.Option("--policies", metavar="DIR", help="Decide by these rule files instead.")]


class Decided(msgspec.Struct, frozen=True):
    """One request with what it met, and what came of it."""

    request: Request
    snapshot: Snapshot
    policy: Policy
    explanation: Explanation


class Asked(Group, frozen=True):
    """As it was typed."""

    scope: Scope
    resource: Resource
    key_id: KeyId = None
    workspace: Claimed = None
    owner: Owner = None
    source_ip: SourceIp = None
    now: Now = None
    attributes: Attributes = None
    claims: Claims = None
    policies: Policies = None
    data_dir: DataDir = None

    def decide(self, session: Session) -> Decided:
        """Decide it on the facts of the data directory. Nothing is changed or recorded.

        Raises:
            UsageError, PolicyErrors, StoreError: it cannot be decided.
        """
        instant = _instant(self.now, session)
        with session.environment.services(load_settings(data_dir=self.data_dir)) as services:
            snapshot = _snapshot(services, self.policies, instant)
            policy = _program(snapshot).policy
            request = self._request(session, services, snapshot, policy)
            # With `--policies` the snapshot is one change ahead of the store; nobody could look that revision up.
            explanation = _at_revision(explain(request, snapshot, instant), services.replica.revision)
            return Decided(request, snapshot, policy, explanation)

    def _request(self, session: Session, services: Services, snapshot: Snapshot, policy: Policy) -> Request:
        reference = self._reference(session, policy)
        claims, notes = parse_claims(self.claims or (), policy.context, "--context")
        _tell(session, notes)
        credential = _credential(services, snapshot, self.key_id)
        return Request(credential, self.scope, reference, self.source_ip, claims)

    def _reference(self, session: Session, policy: Policy) -> ResourceRef:
        """The resource as the request claims it."""
        parts = split_resource(self.resource)
        if parts is None:
            raise UsageError("usage", f"`--resource {self.resource}` must be type:id, such as pipeline:etl-42")
        declared = policy.resources[parts[0]].attributes if parts[0] in policy.resources else ()
        claims, notes = parse_claims(self.attributes or (), declared, "--attr")
        _tell(session, notes)
        return ResourceRef(parts[0], parts[1], self.workspace, self.owner, claims)


def _instant(text: str | None, session: Session) -> int:
    """The instant that is meant; without one it is now."""
    if text is None:
        return session.environment.now()
    instant = parse_rfc3339(text)
    if instant is None:
        raise UsageError("usage", f"`--now {text}` must be an instant such as 2026-11-24T06:00:00Z")
    return instant


def _snapshot(services: Services, folder: Path | None, instant: int) -> Snapshot:
    """The facts at hand, under the active policy or that of a folder."""
    if folder is None:
        return services.replica.view()
    loaded = load_folder(folder)
    if loaded.policy is None:
        raise PolicyErrors(loaded.diagnostics)
    return rehearse_policy(services.store, services.bundles, loaded.policy, instant)


def _program(snapshot: Snapshot) -> Program:
    """What decides. Raises UsageError `no_policy`."""
    if snapshot.program is None:
        raise UsageError("no_policy", "no policy is active; run `policy-service init`, or name one with `--policies`")
    return snapshot.program


def _tell(session: Session, notes: list[str]) -> None:
    """Notes beside the answer."""
    for note in notes:
        session.screen.note(note)


def _credential(services: Services, snapshot: Snapshot, key_id: str | None) -> Credential:
    """A key named by id, or read from standard input."""
    if key_id is None:
        return services.credentials.check(key_from_stdin(), snapshot)
    key = snapshot.api_key(key_id)
    return UNKNOWN if key is None else Credential("verified", key_id)


def _at_revision(explanation: Explanation, revision: int) -> Explanation:
    """The same, said to be decided at a revision of the store."""
    decision = msgspec.structs.replace(explanation.decision, revision=revision)
    return msgspec.structs.replace(explanation, decision=decision)
