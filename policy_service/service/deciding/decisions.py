"""Decide, and record: from what a caller asks to an answered, recorded decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from policy_service.engine.decide import decide, no_policy
from policy_service.engine.explain import explain
from policy_service.engine.program import Sight
from policy_service.engine.seen import seen_part
from policy_service.engine.snapshot import Snapshot
from policy_service.model.decision import Decision, Explanation
from policy_service.model.errors import PolicyServiceError, RequestError, StoreError
from policy_service.model.request import UNKNOWN, Request, ResourceRef
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


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A decision with its name. It may be told once it is recorded."""

    decision_id: str
    decision: Decision
    id: str | None = None


class Considered(msgspec.Struct, frozen=True):
    """A decision with its explanation and what it was made of. The snapshot belongs to the replica's thread."""

    answered: Answered
    explanation: Explanation
    request: Request
    snapshot: Snapshot


_Asked = tuple[Request, bytes | None, str | None]
"""A request, what `write_request` says of it, and the fingerprint of a presented key that its caller cannot know of."""


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
        considered = self.consider(caller, ask)
        return considered.holding((considered.held.answered, considered.held.explanation))

    def consider(self, caller: Caller, ask: Ask) -> Held[Considered]:
        """Decide and explain one request, and give what it met to whoever thinks on. Raises as `decide` does."""
        self._replica.reach(ask.min_revision, self._clock)
        snapshot = self._replica.view()
        now = self._clock.now()
        asked = self._asked(caller, ask, snapshot)
        explanation = explain(asked[0], snapshot, now)
        decided = self._wrap(caller, ask, asked, snapshot, explanation.decision, Sight(), None, explained=True)
        considered = Considered(_answered(decided), explanation, asked[0], snapshot)
        return Held(considered, self._sink.record((decided,)))

    def decide_batch(self, caller: Caller, asks: Sequence[Ask]) -> Held[list[Answered | PolicyServiceError]]:
        """Decide several requests of one caller as one batch, as `decide_each` does."""
        return self._in_rows([(caller, ask) for ask in asks], self._ids.decision_id())

    def decide_each(self, asked: Sequence[tuple[Caller, Ask]]) -> Held[list[Answered | PolicyServiceError]]:
        """Decide several requests, each of its own caller, on one snapshot at one instant and have them recorded.

        An item's own trouble (an unknown or unreached `min_revision`, a request too large) stands in its place; the
        others are decided.

        Raises:
            StoreError: the facts are not available at all, or a pepper is not; then nothing is decided or recorded.
        """
        return self._in_rows(asked, None)

    def _in_rows(
        self, pairs: Sequence[tuple[Caller, Ask]], batch_id: str | None
    ) -> Held[list[Answered | PolicyServiceError]]:
        """In rows: all keys are checked, then all is decided, then told.

        The processor has one step's code and tables at hand for all of them: single decisions of a full turn take
        half of the time that they take one after the other (`python -m bench.lane`).
        """
        troubles = [None if ask.min_revision is None else self._reach(ask) for _, ask in pairs]
        snapshot = self._replica.view()
        now = self._clock.now()
        asked = [
            trouble or self._asked_or_refused(caller, ask, snapshot)
            for (caller, ask), trouble in zip(pairs, troubles, strict=True)
        ]
        good = [(pair, one) for pair, one in zip(pairs, asked, strict=True) if isinstance(one, tuple)]
        program = snapshot.program
        if program is None:
            raise no_policy()
        sights = [Sight() for _ in good]
        decisions = [program.decide(one[0], snapshot, now, sight) for (_, one), sight in zip(good, sights, strict=True)]
        decided = [
            self._wrap(caller, ask, one, snapshot, decision, sight, batch_id)
            for ((caller, ask), one), decision, sight in zip(good, decisions, sights, strict=True)
        ]
        group = self._sink.record(decided)
        answers = iter(map(_answered, decided))
        return Held([next(answers) if isinstance(one, tuple) else one for one in asked], group)

    def _asked_or_refused(self, caller: Caller, ask: Ask, snapshot: Snapshot) -> _Asked | RequestError:
        try:
            return self._asked(caller, ask, snapshot)
        except RequestError as error:
            return error

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

    def _decided(self, caller: Caller, ask: Ask, snapshot: Snapshot, now: int) -> Decided:
        asked = self._asked(caller, ask, snapshot)
        sight = Sight()
        decision = decide(asked[0], snapshot, now, sight)
        return self._wrap(caller, ask, asked, snapshot, decision, sight, None)

    def _asked(self, caller: Caller, ask: Ask, snapshot: Snapshot) -> _Asked:
        """The question with its key checked, once it is known that it can be recorded."""
        text, fingerprint = ask.key, None
        credential = self._credentials.check(text, snapshot)
        if credential.key_id is not None and not caller.is_operator:
            # INVARIANT: a caller learns nothing of keys outside its workspace
            # (test_a_key_of_another_workspace_is_unknown).
            key = snapshot.keys[credential.key_id]
            credential = credential if key is None or caller.covers(key.workspace_id) else UNKNOWN
        # Only of what looks like a key: a stranger's megabyte is never hashed.
        if text is not None and credential.outcome == "unknown":
            fingerprint = self._credentials.fingerprint(text)
        request = Request(credential, ask.scope, ask.resource, ask.source_ip, ask.context)
        return request, write_request(request, fingerprint, ask.id), fingerprint

    def _wrap(
        self,
        caller: Caller,
        ask: Ask,
        asked: _Asked,
        snapshot: Snapshot,
        decision: Decision,
        sight: Sight,
        batch_id: str | None,
        *,
        explained: bool = False,
    ) -> Decided:
        request, written, fingerprint = asked
        if self._uses is not None:
            self._uses.note(request.credential, decision.now)
        return Decided(
            self._ids.decision_id(),
            caller,
            request,
            decision,
            snapshot.chain_hash,
            written,
            seen_part(request, snapshot, decision, sight),
            batch_id,
            ask.id,
            ask.request_id,
            ask.trace_id,
            fingerprint,
            explained,
        )


def _answered(decided: Decided) -> Answered:
    return Answered(decided.decision_id, decided.decision, decided.item_id)
