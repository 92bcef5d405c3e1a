"""Who is calling: the service guards itself by the fixed chain, which no author's rule can change.

Source: design, semantics 6 and 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from policy_service.engine.guard import Verdict, authorize
from policy_service.model.errors import RequestError
from policy_service.model.names import SYSTEM_WORKSPACE
from policy_service.model.reasons import REASONS, http_status

if TYPE_CHECKING:
    from policy_service.service.credentials import Credentials
    from policy_service.service.key_uses import KeyUses
    from policy_service.service.ports import Clock
    from policy_service.service.replica import Replica


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A caller who was let in.

    Args:
        actor: how changes name it: `key:<id>` or `local:<uid>`.
        workspace: the caller's own; what it covers is `is_operator`'s to say.
        is_operator: a key of `system`, or a local command: covers all workspaces.
        scope: the scope that let it in; None for a local command, which may do everything.
        slot: which of the key's secrets was presented.
    """

    actor: str
    workspace: str
    is_operator: bool
    scope: str | None = None
    key_id: str | None = None
    principal_kind: str | None = None
    principal_id: str | None = None
    slot: int | None = None

    def covers(self, workspace: str) -> bool:
        """Whether facts of `workspace` are within this caller's reach."""
        return self.is_operator or self.workspace == workspace


def local_caller(user_id: int) -> Caller:
    """The caller of a command on a data directory: whoever may read the files is the operator."""
    return Caller(actor=f"local:{user_id}", workspace=SYSTEM_WORKSPACE, is_operator=True)


def target_workspace(caller: Caller, named: str | None) -> str:
    """The workspace a request is about: the one named by an operator, else the caller's own.

    Raises:
        RequestError: 403 `workspace_mismatch` when another workspace is named than the caller covers.
    """
    if named is None:
        return caller.workspace
    if not caller.covers(named):
        raise RequestError(
            "workspace_mismatch", f"this key belongs to workspace `{caller.workspace}` and covers no other", status=403
        )
    return named


class Gate:
    """Lets callers in by the fixed chain: credential, revocation, scope, rbac, the key's own CIDRs."""

    def __init__(self, credentials: Credentials, replica: Replica, clock: Clock, uses: KeyUses | None = None) -> None:
        self._uses = uses
        self._credentials = credentials
        self._replica = replica
        self._clock = clock

    def admit(self, presented: str | None, scope: str | Sequence[str], peer_ip: str | None) -> Caller:
        """The caller behind a presented key.

        Args:
            presented: the text of the key, None when none was shown.
            scope: the scope needed, or several of which one suffices, tried in order.
            peer_ip: the TCP peer (or what a trusted proxy says of it); None when there is none.

        Raises:
            RequestError: 401 or 403, `code` is the reason; details: `scope`, the (first) scope that was needed.
            StoreError: the snapshot or a pepper is not available.
        """
        scopes = (scope,) if isinstance(scope, str) else tuple(scope)
        snapshot = self._replica.view()
        now = self._clock.now()
        credential = self._credentials.check(presented, snapshot)
        if self._uses is not None:
            self._uses.note(credential, now)
        refused: Verdict | None = None
        for wanted in scopes:
            verdict = authorize(credential, wanted, peer_ip, snapshot, now)
            if verdict.allowed:
                return _caller(verdict, wanted, credential.slot)
            refused = refused or verdict
        raise _refusal(refused, scopes)


def _caller(verdict: Verdict, scope: str, slot: int | None) -> Caller:
    workspace = verdict.workspace or ""
    return Caller(
        actor=f"key:{verdict.key_id}",
        workspace=workspace,
        is_operator=workspace == SYSTEM_WORKSPACE,
        scope=scope,
        key_id=verdict.key_id,
        principal_kind=verdict.principal_kind,
        principal_id=verdict.principal_id,
        slot=slot,
    )


def _refusal(verdict: Verdict | None, scopes: Sequence[str]) -> RequestError:
    if verdict is None:
        raise ValueError("admit needs at least one scope")
    message = REASONS[verdict.reason].message.rstrip(".")
    return RequestError(
        verdict.reason,
        f"{message[0].lower()}{message[1:]}".replace("aPI", "API"),
        {"scope": scopes[0]},
        status=http_status(verdict.reason),
    )
