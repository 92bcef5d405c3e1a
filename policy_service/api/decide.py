"""`POST /decide` and `/decide/batch` as plain functions: from bytes to bytes, for whoever received them.

Checked in this order: size (while reading, before this), caller, body. A deny is a 200.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from policy_service.api.bodies import BatchEnvelope, BatchItem, DecideBody, ResourceClaim
from policy_service.api.challenges import decision_challenge
from policy_service.api.entrance import Entrance
from policy_service.api.incoming import Incoming, check_content_type, read_flag, read_query
from policy_service.api.json_reader import BATCH_DEPTH, Exempt, check_texts, decode, parse, read_json
from policy_service.api.meters import Meters
from policy_service.api.problems import problem_of, problem_reply
from policy_service.api.refusals import RefusalLog
from policy_service.api.replies import Reply, json_reply
from policy_service.api.tracing import Trace
from policy_service.api.validation import validate
from policy_service.model.decision import CheckTrace, Decision
from policy_service.model.errors import PolicyServiceError, RequestError, StoreError
from policy_service.model.instants import format_rfc3339
from policy_service.model.names import DECISIONS_EVALUATE, DECISIONS_EXPLAIN, split_resource
from policy_service.model.request import ResourceRef
from policy_service.service.caller import Caller
from policy_service.service.deciding.decisions import Answered, Ask, Considered, Decisions
from policy_service.service.following.follower import Follower
from policy_service.service.following.replica import Replica, refuse_unknown_revision, stale
from policy_service.service.recording.groups import Held
from policy_service.service.services import Services

T = TypeVar("T")

DECIDE: Final = "decide"
BATCH: Final = "batch"
MAY_HOLD_CONTROLS: Exempt = frozenset({("key",), ("source_ip",)})
"""A presented key or address is a stranger's text: whatever it holds makes a decision, not a mistake of the caller."""


class Question(msgspec.Struct, frozen=True):
    """One question of a caller who was let in."""

    caller: Caller
    ask: Ask
    explain: bool = False


class Batch(msgspec.Struct, frozen=True):
    """The questions of a batch in order; in place of an unreadable one, what is wrong with it."""

    caller: Caller
    items: tuple[Ask | PolicyServiceError, ...]
    ids: tuple[str | None, ...]

    def revisions(self) -> list[int]:
        """The revisions that its questions ask for."""
        return [ask.min_revision for ask in self.items if isinstance(ask, Ask) and ask.min_revision is not None]


class DecisionPoint:
    """Where decisions are handed out: who may come, what they ask, what they get.

    Args:
        replica: only asked for its revision.
    """

    def __init__(
        self,
        entrance: Entrance,
        decisions: Decisions,
        replica: Replica,
        meters: Meters,
        refusals: RefusalLog | None = None,
    ) -> None:
        self.entrance = entrance
        self._decisions = decisions
        self._replica = replica
        self._meters = meters
        self._refusals = refusals or RefusalLog()

    def question(self, incoming: Incoming) -> Question:
        """Let the caller in and read its question.

        Raises:
            RequestError: 400, 401, 403, 415.
            StoreError: the facts are not there yet.
        """
        caller = self.entrance.admit(incoming, DECISIONS_EVALUATE)
        explain = read_flag(read_query(incoming.query, ("explain",)), "explain")
        if explain:
            self.entrance.admit(incoming, DECISIONS_EXPLAIN)
        check_content_type(incoming)
        body = validate(DecideBody, read_json(incoming.body, exempt=MAY_HOLD_CONTROLS))
        return Question(caller, _ask(body, incoming.trace), explain)

    def question_why(self, incoming: Incoming) -> Question:
        """The same for `POST /v1/explain`, whose caller needs `decisions:explain`."""
        caller = self.entrance.admit(incoming, DECISIONS_EXPLAIN)
        read_query(incoming.query, ())
        check_content_type(incoming)
        body = validate(DecideBody, read_json(incoming.body, exempt=MAY_HOLD_CONTROLS))
        return Question(caller, _ask(body, incoming.trace), explain=True)

    def consider(self, question: Question) -> Held[Considered]:
        """Decide and explain; counted once it is recorded. Raises StoreError where it cannot be decided."""
        considered = self._decisions.consider(question.caller, question.ask)
        return self._counted(considered, (considered.held.answered,))

    def is_ready_for(self, question: Question) -> bool:
        """Whether it can be decided now, without waiting for newer facts."""
        wanted = question.ask.min_revision
        return wanted is None or wanted <= self.revision

    @property
    def revision(self) -> int:
        """The last change that its facts have seen."""
        return self._replica.revision

    def reply(self, question: Question) -> Held[Reply]:
        """Decide, and hold the answer until it is recorded. Raises StoreError where it cannot be decided."""
        if question.explain:
            explained = self._decisions.explain(question.caller, question.ask)
            answered, explanation = explained.held
            document = decision_document(answered, question.ask.scope)
            document["checks"] = [check_document(check) for check in explanation.checks]
            return self._counted(explained.holding(json_reply(document)), (answered,))
        decided = self._decisions.decide(question.caller, question.ask)
        reply = json_reply(decision_document(decided.held, question.ask.scope))
        return self._counted(decided.holding(reply), (decided.held,))

    def final(self, held: Held[Reply], incoming: Incoming) -> Reply:
        """What is sent when the group of an answer is settled: the answer, or why there is none."""
        try:
            return held.value()
        except StoreError as error:
            return self.refusal(incoming, error)

    async def released(self, held: Held[Reply], incoming: Incoming) -> Reply:
        """What is sent, once its group is settled."""
        try:
            return await held.released()
        except StoreError as error:
            return self.refusal(incoming, error)

    def _counted(self, held: Held[T], answers: Iterable[Answered | PolicyServiceError]) -> Held[T]:
        """The same; its decisions are counted once they are recorded: without a record there was none."""

        def count() -> None:
            for answer in answers if held.group.failure is None else ():
                if isinstance(answer, Answered):
                    self._meters.decided(answer.decision)

        held.group.then(count)
        return held

    def batch(self, incoming: Incoming) -> Batch:
        """Let the caller in and read its questions, each by itself. Raises as `question` does."""
        caller = self.entrance.admit(incoming, DECISIONS_EVALUATE)
        read_query(incoming.query, ())
        check_content_type(incoming)
        envelope = validate(BatchEnvelope, parse(decode(incoming.body), BATCH_DEPTH))
        items = tuple(_batch_item(item, incoming.trace) for item in envelope.requests)
        return Batch(caller, items, tuple(_item_id(item) for item in envelope.requests))

    def batch_reply(self, batch: Batch, troubles: Mapping[int, PolicyServiceError]) -> Held[Reply]:
        """Decide what can be decided, on one snapshot at one instant, and hold the answer until all is recorded.

        Args:
            troubles: by revision that an item asks for: why it cannot be had.
        """
        fates = [self._fate(item, troubles) for item in batch.items]
        asks = [fate for fate in fates if isinstance(fate, Ask)]
        decided = self._decisions.decide_batch(batch.caller, asks) if asks else Held([])
        answers = iter(decided.held)
        results = [
            _result(fate, next(answers), name) if isinstance(fate, Ask) else _failure(fate, name)
            for fate, name in zip(fates, batch.ids, strict=True)
        ]
        return self._counted(decided.holding(json_reply({"results": results})), decided.held)

    def refusal(self, incoming: Incoming, error: PolicyServiceError) -> Reply:
        """The answer that tells an error."""
        self._meters.refused(error.code)
        self._refusals.note(error.code, self.entrance.address(incoming), incoming.trace)
        return problem_reply(error, self.entrance.notices(incoming))

    def _fate(
        self, item: Ask | PolicyServiceError, troubles: Mapping[int, PolicyServiceError]
    ) -> Ask | PolicyServiceError:
        if isinstance(item, Ask) and item.min_revision is not None:
            return troubles.get(item.min_revision, item)
        return item


def _result(ask: Ask, answer: Answered | PolicyServiceError, name: str | None) -> dict[str, Any]:
    if not isinstance(answer, Answered):
        return _failure(answer, name)
    document = decision_document(answer, ask.scope)
    return document if name is None else {"id": name, **document}


def answer_decide(point: DecisionPoint, incoming: Incoming) -> Held[Reply] | None:
    """The answer to `POST /decide`, errors included; None where it must wait for newer facts first.

    Whoever received the bytes: the same question gets the same answer from here. It is sent when its group is
    settled, and then it is what `point.final` makes of it.
    """
    try:
        question = point.question(incoming)
        if not point.is_ready_for(question):
            return None
        return _noticed(point, incoming, point.reply(question))
    except PolicyServiceError as error:
        return Held(point.refusal(incoming, error))


async def answer_decide_later(point: DecisionPoint, follower: Follower, incoming: Incoming) -> Reply:
    """The answer where `answer_decide` had none: after waiting at most 250 ms for the facts."""
    try:
        await follower.reach(point.question(incoming).ask.min_revision)
        # INVARIANT: the caller is judged on facts no older than the decision's: it is let in anew
        # (test_a_caller_is_judged_on_the_facts_it_asked_for).
        held = _noticed(point, incoming, point.reply(point.question(incoming)))
    except PolicyServiceError as error:
        return point.refusal(incoming, error)
    return await point.released(held, incoming)


def answer_batch(point: DecisionPoint, incoming: Incoming) -> Held[Reply] | None:
    """The answer to `POST /decide/batch`, as `answer_decide` gives it; None where a question must wait for facts."""
    try:
        batch = point.batch(incoming)
        if any(revision > point.revision for revision in batch.revisions()):
            return None
        return _noticed(point, incoming, point.batch_reply(batch, {}))
    except PolicyServiceError as error:
        return Held(point.refusal(incoming, error))


async def answer_batch_later(point: DecisionPoint, services: Services, incoming: Incoming) -> Reply:
    """The answer where `answer_batch` had none: after waiting at most 250 ms, for all of its questions."""
    try:
        batch = point.batch(incoming)
        troubles = await _reach(services, batch.revisions())
        # INVARIANT: as in `answer_decide_later` (test_a_caller_is_judged_on_the_facts_it_asked_for).
        point.entrance.admit(incoming, DECISIONS_EVALUATE)
        held = _noticed(point, incoming, point.batch_reply(batch, troubles))
    except PolicyServiceError as error:
        return point.refusal(incoming, error)
    return await point.released(held, incoming)


def _noticed(point: DecisionPoint, incoming: Incoming, held: Held[Reply]) -> Held[Reply]:
    """The same, with the headers for those who used the older header."""
    return held.holding(held.held.with_headers(point.entrance.notices(incoming)))


async def _reach(services: Services, revisions: Iterable[int]) -> dict[int, PolicyServiceError]:
    """Wait for the facts that a batch asks for; by revision, why it cannot be had."""
    wanted = {revision for revision in revisions if revision > services.replica.revision}
    if not wanted:
        return {}
    head = await asyncio.to_thread(services.store.head)
    known = {revision for revision in wanted if revision <= head}
    try:
        await services.follower.reach(max(known, default=None))
    except StoreError as error:
        if error.code != "stale":
            raise
    reached = services.replica.revision
    late: dict[int, PolicyServiceError] = {number: stale(number, reached) for number in known if number > reached}
    return late | {number: _unknown(number, head) for number in wanted - known}


def _unknown(revision: int, head: int) -> RequestError:
    try:
        refuse_unknown_revision(revision, head)
    except RequestError as error:
        return error
    raise AssertionError("a revision ahead of the head is refused")


def decision_document(answered: Answered, scope: str) -> dict[str, Any]:
    """A decision as callers see it."""
    decision = answered.decision
    return {
        "decision": "allow" if decision.allowed else "deny",
        "reason": decision.reason,
        "http_status": decision.http_status,
        "www_authenticate": decision_challenge(decision, scope),
        "message": decision.message,
        "check": decision.check,
        "rule": decision.rule,
        "decision_id": answered.decision_id,
        "decided_at": format_rfc3339(decision.now),
        "revision": decision.revision,
        "bundle": decision.bundle,
        "key_id": decision.key_id,
        "principal": _principal(decision),
        "workspace": decision.workspace,
    }


def _principal(decision: Decision) -> dict[str, Any] | None:
    if decision.principal_id is None:
        return None
    return {"kind": decision.principal_kind, "id": decision.principal_id}


def check_document(check: CheckTrace) -> dict[str, Any]:
    return {
        "check": check.check,
        "name": check.name,
        "outcome": check.outcome,
        "reason": check.reason,
        "rule": check.rule,
        "detail": check.detail,
        "values": check.values,
    }


def _ask(body: DecideBody, trace: Trace | None) -> Ask:
    return Ask(
        key=body.key,
        scope=body.scope,
        resource=_resource(body.resource),
        source_ip=body.source_ip,
        context=body.context or {},
        min_revision=body.min_revision,
        id=body.id if isinstance(body, BatchItem) else None,
        request_id=None if trace is None else trace.request_id,
        trace_id=None if trace is None else trace.trace_id,
    )


def _resource(given: str | ResourceClaim) -> ResourceRef:
    if isinstance(given, ResourceClaim):
        return ResourceRef(given.type, given.id, given.workspace, given.owner, given.attributes or {})
    named = split_resource(given)
    assert named is not None  # the body's pattern is this very form
    return ResourceRef(*named)


def _batch_item(item: Any, trace: Trace | None) -> Ask | PolicyServiceError:
    try:
        check_texts(item, MAY_HOLD_CONTROLS)
        return _ask(validate(BatchItem, item), trace)
    except RequestError as error:
        return error


def _item_id(item: Any) -> str | None:
    """The id to answer under, where one can be made out and shown."""
    name = item.get("id") if isinstance(item, dict) else None
    return name if isinstance(name, str) and len(name) <= 128 and name.isprintable() else None


def _failure(error: PolicyServiceError, name: str | None) -> dict[str, Any]:
    return {"id": name, "error": problem_of(error)}
