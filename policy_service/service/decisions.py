"""Decide, and record: from what a caller asks to an answered, recorded decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from policy_service.engine.decide import decide
from policy_service.engine.explain import explain
from policy_service.engine.snapshot import Snapshot
from policy_service.model.decision import Decision, Explanation
from policy_service.model.errors import PolicyServiceError, RequestError, StoreError
from policy_service.model.request import UNKNOWN, Credential, Request, ResourceRef
from policy_service.service.callers import Caller
from policy_service.service.credentials import Credentials
from policy_service.service.discreet import Discreet
from policy_service.service.key_uses import KeyUses
from policy_service.service.ports import Clock, Decided, DecisionSink, IdSource
from policy_service.service.replica import Replica


class Ask(Discreet, frozen=True, kw_only=True):
    """What a caller asks.

    Args:
        key: the presented key's text, as received; None when absent.
        source_ip: as received; None when absent.
        min_revision: the decision must stand on facts at least this new.
        id: the caller's own id for this item, echoed.
        request_id, trace_id: names of the HTTP request it came in, for the record; None where it came otherwise.
    """

    secret_fields: ClassVar[tuple[str, ...]] = ("key",)
    key: str | None
    scope: str
    resource: ResourceRef
    source_ip: str | None = None
    context: dict[str, Any] = msgspec.field(default_factory=dict)
    min_revision: int | None = None
    id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A decision with its name; it is recorded."""

    decision_id: str
    decision: Decision
    id: str | None = None


class Decisions:
    """The main job. Synchronous: it belongs to the thread that owns the replica's snapshot.

    On an event loop, `await follower.reach(ask.min_revision)` first; then nothing here waits for the store.
    """

    def __init__(
        self,
        replica: Replica,
        credentials: Credentials,
        clock: Clock,
        ids: IdSource,
        sink: DecisionSink,
        uses: KeyUses | None = None,
    ) -> None:
        self._uses = uses
        self._replica = replica
        self._credentials = credentials
        self._clock = clock
        self._ids = ids
        self._sink = sink

    def decide(self, caller: Caller, ask: Ask) -> Answered:
        """Decide and record one request.

        Raises:
            RequestError: 400 `revision_unknown`.
            StoreError: facts, pepper or sink not available; there is no answer then, never an allow.
        """
        self._replica.reach(ask.min_revision, self._clock)
        decided = self._decided(caller, ask, self._replica.view(), self._clock.now())
        self._sink.record((decided,))
        return _answered(decided)

    def explain(self, caller: Caller, ask: Ask) -> tuple[Answered, Explanation]:
        """Decide, record and explain one request. Raises as `decide` does."""
        self._replica.reach(ask.min_revision, self._clock)
        snapshot = self._replica.view()
        now = self._clock.now()
        request = self._request(caller, ask, snapshot)
        explanation = explain(request, snapshot, now)
        decided = self._wrap(caller, ask, request, explanation.decision, explained=True)
        self._sink.record((decided,))
        return _answered(decided), explanation

    def decide_batch(self, caller: Caller, asks: Sequence[Ask]) -> list[Answered | PolicyServiceError]:
        """Decide and record several requests on one snapshot at one instant.

        An item's own trouble (an unknown or unreached `min_revision`) stands in its place; the others are decided.

        Raises:
            StoreError: the facts or the sink are not available at all.
        """
        troubles = [self._reach(ask) for ask in asks]
        snapshot = self._replica.view()
        now = self._clock.now()
        batch_id = self._ids.decision_id()
        decided = [
            trouble or self._decided(caller, ask, snapshot, now, batch_id)
            for ask, trouble in zip(asks, troubles, strict=True)
        ]
        self._sink.record([item for item in decided if isinstance(item, Decided)])
        return [_answered(item) if isinstance(item, Decided) else item for item in decided]

    def _reach(self, ask: Ask) -> PolicyServiceError | None:
        try:
            self._replica.reach(ask.min_revision, self._clock)
        except RequestError as error:
            return error
        except StoreError as error:
            if error.code != "stale":
                raise
            return error
        return None

    def _decided(self, caller: Caller, ask: Ask, snapshot: Snapshot, now: int, batch_id: str | None = None) -> Decided:
        request = self._request(caller, ask, snapshot)
        return self._wrap(caller, ask, request, decide(request, snapshot, now), batch_id=batch_id)

    def _request(self, caller: Caller, ask: Ask, snapshot: Snapshot) -> Request:
        credential = self._credentials.check(ask.key, snapshot)
        return _as_request(_within_reach(caller, credential, snapshot), ask)

    def _wrap(
        self,
        caller: Caller,
        ask: Ask,
        request: Request,
        decision: Decision,
        *,
        batch_id: str | None = None,
        explained: bool = False,
    ) -> Decided:
        if self._uses is not None:
            self._uses.note(request.credential, decision.now)
        # Only of what looks like a key: a stranger's megabyte is never hashed.
        is_unknown = ask.key is not None and request.credential.outcome == "unknown"
        return Decided(
            decision_id=self._ids.decision_id(),
            caller=caller,
            request=request,
            decision=decision,
            batch_id=batch_id,
            item_id=ask.id,
            request_id=ask.request_id,
            trace_id=ask.trace_id,
            key_fingerprint=self._credentials.fingerprint(ask.key) if is_unknown and ask.key is not None else None,
            explained=explained,
        )


def _as_request(credential: Credential, ask: Ask) -> Request:
    return Request(credential, ask.scope, ask.resource, ask.source_ip, ask.context)


def _within_reach(caller: Caller, credential: Credential, snapshot: Snapshot) -> Credential:
    # INVARIANT: a caller learns nothing of keys outside its workspace (test_a_key_of_another_workspace_is_unknown).
    key = snapshot.api_key(credential.key_id) if credential.key_id is not None else None
    return credential if key is None or caller.covers(key.workspace) else UNKNOWN


def _answered(decided: Decided) -> Answered:
    return Answered(decision_id=decided.decision_id, decision=decided.decision, id=decided.item_id)
