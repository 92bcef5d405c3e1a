"""The gate: the service guards itself by the fixed chain, which no author's rule can change.

Source: design, semantics 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from policy_service.engine.guard import Verdict, authorize
from policy_service.model.errors import RequestError
from policy_service.model.names import SYSTEM_WORKSPACE
from policy_service.model.reasons import REASONS, http_status
from policy_service.service.caller import Caller

if TYPE_CHECKING:
    from policy_service.service.deciding.credentials import Credentials
    from policy_service.service.deciding.key_uses import KeyUses
    from policy_service.service.following.replica import Replica
    from policy_service.service.ports import Clock


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
