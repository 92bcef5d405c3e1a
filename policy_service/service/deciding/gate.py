"""The gate: the service guards itself by the fixed chain, which no author's rule can change.

Source: design, semantics 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from policy_service.engine.guard import Verdict, authorize
from policy_service.model.errors import RequestError
from policy_service.model.names import SYSTEM_WORKSPACE
from policy_service.model.reasons import REASONS, http_status
from policy_service.model.request import Credential
from policy_service.service.caller import Caller

if TYPE_CHECKING:
    from policy_service.engine.snapshot import Snapshot
    from policy_service.service.deciding.credentials import Credentials
    from policy_service.service.deciding.key_uses import KeyUses
    from policy_service.service.following.replica import Replica
    from policy_service.service.ports import Clock

_MOST_CALLERS: Final = 1024
"""Callers of whom one object is kept for all of their connections."""


class Pass(msgspec.Struct, frozen=True, gc=False):
    """A caller who was let in, for as long as nothing can have changed that: see `Gate.admit_again`.

    Args:
        era: of the gate: it moves with the facts and the peppers.
        since, until: between these two instants, nanoseconds UTC, the second excluded, no expiry or start lies.
    """

    caller: Caller
    credential: Credential
    era: int
    since: int
    until: int


class Moment(msgspec.Struct, frozen=True, gc=False):
    """An instant, nanoseconds UTC, and the gate's era then."""

    era: int
    now: int


class Gate:
    """Lets callers in by the fixed chain: credential, revocation, scope, rbac, the key's own CIDRs."""

    def __init__(self, credentials: Credentials, replica: Replica, clock: Clock, uses: KeyUses | None = None) -> None:
        self._uses = uses
        self._credentials = credentials
        self._replica = replica
        self._clock = clock
        self._era = 0
        self._era_of: tuple[Snapshot | None, int, int] = (None, -1, -1)
        self._callers: dict[Caller, Caller] = {}

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

    def moment(self) -> Moment:
        """What passes are held against, for callers who come in the same turn.

        Raises:
            StoreError: the snapshot is not available.
        """
        snapshot = self._replica.view()
        known, revision, generation = self._era_of
        if snapshot is not known or snapshot.revision != revision or self._credentials.generation != generation:
            self._era += 1
            self._era_of = (snapshot, snapshot.revision, self._credentials.generation)
            self._callers = {}
        return Moment(self._era, self._clock.now())

    def admit_again(self, given: Pass | None, presented: str, scope: str, peer_ip: str | None, moment: Moment) -> Pass:
        """As `admit` does, at once where the same key was let in before, for the same scope, from the same address.

        INVARIANT: it lets in whom `admit` lets in, at every moment (test_gate: a pass is good for as long as).

        Args:
            given: what this method answered to the same three before; None where it was not asked yet.
            moment: this one.

        Cost: 0.3 µs with a pass that is good, else that of `admit`.
        """
        if given is not None and given.era == moment.era and given.since <= moment.now < given.until:
            if self._uses is not None:
                self._uses.note(given.credential, moment.now)
            return given
        return self._new_pass(presented, scope, peer_ip)

    def _new_pass(self, presented: str, scope: str, peer_ip: str | None) -> Pass:
        # Before it is judged: the instant of judging is no earlier, and the key stands at both.
        since = self._clock.now()
        caller = self.admit(presented, scope, peer_ip)
        key = None if caller.key_id is None else self._replica.view().keys[caller.key_id]
        if key is None or caller.slot is None:
            raise AssertionError("who was let in by a key has one")
        credential = Credential("verified", key.id, caller.slot)
        if len(self._callers) >= _MOST_CALLERS:
            self._callers.clear()
        # One object for all connections of a caller: what is written of it is then written once.
        caller = self._callers.setdefault(caller, caller)
        return Pass(caller, credential, self._era, max(since, key.starts), key.slots[caller.slot])


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
