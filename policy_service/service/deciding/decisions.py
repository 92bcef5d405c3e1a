"""Decide, and record: from what a caller asks to an answered, recorded decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from policy_service.engine.decide import decide
from policy_service.engine.explain import explain
from policy_service.engine.program import Sight
from policy_service.engine.seen import seen_part
from policy_service.engine.snapshot import Snapshot
from policy_service.model.decision import Decision, Explanation
from policy_service.model.errors import PolicyServiceError, RequestError, StoreError
from policy_service.model.request import UNKNOWN, Credential, Request, ResourceRef
from policy_service.service.caller import Caller
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.deciding.key_uses import KeyUses
from policy_service.service.discreet import Discreet
from policy_service.service.following.replica import Replica
from policy_service.service.ports import Clock, Decided, DecisionSink, IdSource
from policy_service.service.recording.groups import Held
from policy_service.service.recording.record_lines import write_request


class Ask(Discreet, frozen=True, kw_only=True, gc=False):
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


class Answered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A decision with its name. It may be told once it is recorded."""

    decision_id: str
    decision: Decision
    id: str | None = None


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """A question whose key was checked.

    Args:
        written: the request as it will be recorded.
        fingerprint: of a presented key that the caller cannot know of.
    """

    caller: Caller
    ask: Ask
    request: Request
    written: bytes
    fingerprint: str | None


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

    def decide(self, caller: Caller, ask: Ask) -> Held[Answered]:
        """Decide one request and have it recorded: the answer is held until it is.

        Raises:
            RequestError: 400 `revision_unknown`; as `write_request` does.
            StoreError: facts or pepper not available; there is no answer then, never an allow.
        """
        self._replica.reach(ask.min_revision, self._clock)
        decided = self._decided(caller, ask, self._replica.view(), self._clock.now())
        return Held(_answered(decided), self._sink.record((decided,)))

    def explain(self, caller: Caller, ask: Ask) -> Held[tuple[Answered, Explanation]]:
        """Decide and explain one request and have it recorded. Raises as `decide` does."""
        self._replica.reach(ask.min_revision, self._clock)
        snapshot = self._replica.view()
        now = self._clock.now()
        asked = self._asked(caller, ask, snapshot)
        explanation = explain(asked.request, snapshot, now)
        decided = self._wrap(asked, snapshot, explanation.decision, Sight(), explained=True)
        return Held((_answered(decided), explanation), self._sink.record((decided,)))

    def decide_batch(self, caller: Caller, asks: Sequence[Ask]) -> Held[list[Answered | PolicyServiceError]]:
        """Decide several requests on one snapshot at one instant and have them recorded.

        An item's own trouble (an unknown or unreached `min_revision`, a request too large) stands in its place; the
        others are decided.

        Raises:
            StoreError: the facts are not available at all.
        """
        troubles = [self._reach(ask) for ask in asks]
        snapshot = self._replica.view()
        now = self._clock.now()
        batch_id = self._ids.decision_id()
        decided = [
            trouble or self._decided_or_refused(caller, ask, snapshot, now, batch_id)
            for ask, trouble in zip(asks, troubles, strict=True)
        ]
        group = self._sink.record([item for item in decided if isinstance(item, Decided)])
        return Held([_answered(item) if isinstance(item, Decided) else item for item in decided], group)

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

    def _decided_or_refused(
        self, caller: Caller, ask: Ask, snapshot: Snapshot, now: int, batch_id: str
    ) -> Decided | RequestError:
        try:
            return self._decided(caller, ask, snapshot, now, batch_id)
        except RequestError as error:
            return error

    def _decided(self, caller: Caller, ask: Ask, snapshot: Snapshot, now: int, batch_id: str | None = None) -> Decided:
        asked = self._asked(caller, ask, snapshot)
        sight = Sight()
        decision = decide(asked.request, snapshot, now, sight)
        return self._wrap(asked, snapshot, decision, sight, batch_id=batch_id)

    def _asked(self, caller: Caller, ask: Ask, snapshot: Snapshot) -> _Asked:
        """The request as the pure decision sees it, once it is known that it can be recorded."""
        credential = _within_reach(caller, self._credentials.check(ask.key, snapshot), snapshot)
        request = _as_request(credential, ask)
        # Only of what looks like a key: a stranger's megabyte is never hashed.
        is_unknown = ask.key is not None and credential.outcome == "unknown"
        fingerprint = self._credentials.fingerprint(ask.key) if is_unknown and ask.key is not None else None
        return _Asked(caller, ask, request, write_request(request, fingerprint, ask.id), fingerprint)

    def _wrap(
        self,
        asked: _Asked,
        snapshot: Snapshot,
        decision: Decision,
        sight: Sight,
        *,
        batch_id: str | None = None,
        explained: bool = False,
    ) -> Decided:
        if self._uses is not None:
            self._uses.note(asked.request.credential, decision.now)
        return Decided(
            decision_id=self._ids.decision_id(),
            caller=asked.caller,
            request=asked.request,
            decision=decision,
            chain=snapshot.chain_hash,
            asked=asked.written,
            facts=seen_part(asked.request, snapshot, decision, sight),
            batch_id=batch_id,
            item_id=asked.ask.id,
            request_id=asked.ask.request_id,
            trace_id=asked.ask.trace_id,
            key_fingerprint=asked.fingerprint,
            explained=explained,
        )


def _as_request(credential: Credential, ask: Ask) -> Request:
    return Request(credential, ask.scope, ask.resource, ask.source_ip, ask.context)


def _within_reach(caller: Caller, credential: Credential, snapshot: Snapshot) -> Credential:
    # INVARIANT: a caller learns nothing of keys outside its workspace (test_a_key_of_another_workspace_is_unknown).
    key = snapshot.keys[credential.key_id] if credential.key_id is not None else None
    return credential if key is None or caller.covers(key.workspace_id) else UNKNOWN


def _answered(decided: Decided) -> Answered:
    return Answered(decision_id=decided.decision_id, decision=decided.decision, id=decided.item_id)
