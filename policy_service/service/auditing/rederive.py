"""Deciding recorded requests again, quickly: what was derived once is kept as long as all that it rests on stays.

A decision is a function of the request, the instant, the program and the facts. A request has two halves: the
credential is its *bearer*, what is asked is the rest. Bearers between whom the program cannot tell are of one *kind*:
their keys are of one workspace and have the same scopes and networks, their users the same grants, and no condition
reads who they are. So there is one verdict for each kind and each rest: hundreds, where there are tens of thousands
of requests, and a processor keeps them near. Looking far for each request was most of what a replay cost.

A bearer is good as long as its footing stands (see `footings`) and the instant stays on the same side of the key's
beginning and end; a verdict, as long as its resource is what it was. Under another program all is forgotten. Where the
policy reads the time for this type of resource, each record is decided again.

INVARIANT: with and without what is kept, every record is derived alike (test_replay: nothing kept).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from policy_service.engine.decide import no_policy
from policy_service.engine.key_view import FOREVER, KeyView
from policy_service.engine.program import Program
from policy_service.engine.reads import check_conditions, paths_read, type_conditions
from policy_service.engine.seen import seen
from policy_service.engine.snapshot import Snapshot
from policy_service.language.policy import ConditionCheck, Policy
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX
from policy_service.ledger.record import RecordedFacts
from policy_service.model.canonical import canonical_plain
from policy_service.model.changes import Effect
from policy_service.model.decision import SEMANTICS, Decision
from policy_service.model.request import Credential, Request
from policy_service.service.auditing.footings import FIRM, Footing, Footings
from policy_service.service.auditing.record_order import Asked
from policy_service.service.recording.record_lines import recorded_facts

KEPT: Final = 1 << 17
"""Bearers and verdicts that are kept; one takes about 1 KB. For one more, all are forgotten."""

NOTHING: Final = msgspec.Raw(b"")
"""What a line has in place of a member that it leaves out."""

_ALWAYS: Final = (-FOREVER, FOREVER)
_TIME: Final = "request.time"
_COMMON: Final = frozenset(
    {
        "request.scope",
        _TIME,
        "request.ip",
        "key.kind",
        "key.scopes",
        "principal.kind",
        "principal.teams",
        "principal.roles",
        "resource.type",
        "resource.id",
        "resource.workspace",
        "resource.owner",
        "workspace.id",
    }
)
"""What all bearers of a kind have in common, or what is asked and not the bearer's. Whatever else a condition reads
makes every bearer a kind of its own."""

_REQUEST: Final = msgspec.json.Decoder(Request)
"""A recorded request has the members of a Request, and in its credential a fingerprint, of which a decision is not made
(test_replay: the request of a record)."""
_CREDENTIAL: Final = msgspec.json.Decoder(Credential)

Told = tuple[str, str, str | None, str | None, str, str, msgspec.Raw, int]
"""What a record tells of a verdict: `(decision, reason, check, rule, bundle, workspace, facts, semantics)`, the facts
in the bytes that are written for them."""
_WORKSPACE: Final = 5


class Kind:
    """Bearers who are all one to the program.

    Args:
        alike: objects by whose identity the kind is known: as long as it is, nothing else can take their place.
    """

    __slots__ = ("_alike",)

    def __init__(self, alike: tuple[object, ...]) -> None:
        self._alike = alike


class Bearer(Footing):
    """A credential, resolved. It falls when its key, its user's grants or the workspace's allowlist change.

    Attributes:
        principal: as a record tells it.
        is_steady: whether it is as good, or as bad, at every instant; else between these:
        since, until: instants, the second excluded.
    """

    __slots__ = ("is_steady", "kind", "principal", "since", "until")

    def __init__(self, kind: Kind, principal: msgspec.Raw, limits: tuple[int, int]) -> None:
        super().__init__()
        self.kind = kind
        self.principal = principal
        self.since, self.until = limits
        self.is_steady = limits == _ALWAYS


class Verdict:
    """What is decided for a kind of bearers.

    Attributes:
        request: the first of those that were decided so; it differs from the others in its credential alone.
        told: as a record would tell it; of a workspace "" where `is_callers`.
        is_callers: whether no key was known: then a record is of its caller's workspace.
        resource: the footing of the resource.
    """

    __slots__ = ("is_callers", "request", "resource", "told")

    def __init__(self, request: Request, resource: Footing, told: Told) -> None:
        self.request = request
        self.resource = resource
        self.told = told
        self.is_callers = not told[_WORKSPACE]


class Derivation(NamedTuple):
    """A request, decided."""

    bearer: Bearer
    verdict: Verdict


class Rederiver:
    """Decides again. It is told of every change, and `use` comes before deciding on what is there then.

    Args:
        kept: bearers and verdicts; 0: nothing is kept.

    Attributes:
        bearers: at hand, by credential. verdicts: by all else of a request, then by kind. Whether they stand is for
            the asker to see; other objects after each `derive`.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._readings: dict[str, _Reading] = {}
        self._snapshot: Snapshot | None = None
        self._program: Program | None = None
        self._forget()

    def _forget(self) -> None:
        self._count = 0
        self._footings = Footings()
        self._kinds: dict[tuple[object, ...], Kind] = {}
        self.bearers: dict[bytes, Bearer] = {}
        self.verdicts: dict[bytes, dict[Kind, Verdict]] = {}

    def upset(self, effects: Iterable[Effect]) -> None:
        """What rests on facts that these changed is derived anew."""
        self._footings.upset(effects)

    def use(self, snapshot: Snapshot) -> None:
        """Decide on this snapshot from here on.

        Raises:
            StoreError: the active bundle cannot be had; `no_policy`, none is active.
        """
        program = snapshot.program
        if program is None:
            raise no_policy()
        if snapshot is self._snapshot and program is self._program:
            return
        self._forget()
        self._snapshot, self._program = snapshot, program
        reading = self._readings.get(program.digest)
        if reading is None:
            reading = self._readings[program.digest] = _Reading(program.policy)
        self._reading = reading

    def decide(self, request: Request, now: int) -> tuple[Decision, RecordedFacts]:
        """The decision on a request, and the facts that would be recorded with it. Nothing is kept of it."""
        assert self._program is not None and self._snapshot is not None  # noqa: PT018 - `use` comes first
        decision = self._program.decide(request, self._snapshot, now)
        return decision, recorded_facts(seen(request, self._snapshot, decision))

    def derive(self, asked: Asked, now: int) -> Derivation:
        """The decision on a recorded request, given as it stands in its line.

        Raises:
            msgspec.MsgspecError: it is no recorded request.

        Cost: 0.7 µs where it is known; else about 7 µs.
        """
        credential, rest = asked.halves()
        bearer = self.bearers.get(credential)
        if bearer is None or not bearer.stands or not bearer.since <= now < bearer.until:
            bearer = self._bearer(credential, now)
        verdict = self.verdicts.get(rest, {}).get(bearer.kind)
        if verdict is None or not verdict.resource.stands:
            verdict = self._verdict(asked, rest, bearer.kind, now)
        if self._count > self._kept:
            self._forget()
        return Derivation(bearer, verdict)

    def _bearer(self, text: bytes, now: int) -> Bearer:
        credential = _CREDENTIAL.decode(text)
        key_id = credential.key_id if credential.outcome == "verified" else None
        key = None if key_id is None else self._keys()[key_id]
        end = None if key is None else key.slots.get(credential.slot)
        if key is None or end is None:
            bearer = Bearer(self._kind((credential.outcome,)), NOTHING, _ALWAYS)
        else:
            principal = msgspec.Raw(canonical_plain({"id": key.principal_id, "kind": key.kind}))
            bearer = Bearer(self._kind_of(key, end, now), principal, _steady(now, key.starts, end))
        if key_id is not None:
            self._footings.add_key(bearer, key_id, text, key)
        self.bearers[text] = bearer
        self._count += 1
        return bearer

    def _kind_of(self, key: KeyView, end: int, now: int) -> Kind:
        """By all that a decision, and the facts recorded with it, may rest on of a key.

        Whether its time has come or gone tells all that the built-in checks ask; who reads more is a kind of his own.
        """
        fact, grants, allowlist = key.fact, key.grants(), key.workspace.allowlist
        times = (fact.revoked_at is not None, now >= end, now < key.starts)
        granted: tuple[object, ...] = (grants.suspended, grants.teams, grants.wide)
        alike: tuple[object, ...] = (allowlist,)
        if grants.narrow:
            alike += (grants,)
        if self._reading.tells_apart:
            alike += (key,)
        same = (key.workspace_id, key.kind, key.scopes, fact.cidrs, times, granted, *map(id, alike))
        return self._kind(same, alike)

    def _kind(self, same: tuple[object, ...], alike: tuple[object, ...] = ()) -> Kind:
        kind = self._kinds.get(same)
        if kind is None:
            kind = self._kinds[same] = Kind(alike)
        return kind

    def _verdict(self, asked: Asked, rest: bytes, kind: Kind, now: int) -> Verdict:
        request = _REQUEST.decode(asked.whole())
        decision, facts = self.decide(request, now)
        resource = request.resource
        footing = FIRM
        if decision.workspace is not None:
            footing = self._footings.of_place((decision.workspace, resource.type, resource.id))
        # A double may be spelled otherwise than in the line: such a record is compared value by value.
        verdict = Verdict(request, footing, _told(decision, msgspec.Raw(canonical_plain(facts))))
        if not self._reading.time_on(resource.type):
            self.verdicts.setdefault(rest, {})[kind] = verdict
            self._count += 1
        return verdict

    def _keys(self) -> dict[str, KeyView | None]:
        assert self._snapshot is not None  # `use` comes first
        return self._snapshot.keys


class _Reading:
    """What the conditions of a policy read.

    Attributes:
        tells_apart: whether any reads what bearers of a kind do not have in common.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._everywhere = _TIME in paths_read(check_conditions(policy, None))
        self._on: dict[str, bool] = {}
        types: set[str | None] = {check.resource_type for check in policy.chain if isinstance(check, ConditionCheck)}
        paths = paths_read(check_conditions(policy, None))
        for resource_type in filter(None, types | set(policy.resources)):
            paths |= paths_read(type_conditions(policy, resource_type))
        self.tells_apart = not all(
            path in _COMMON or path.startswith((ATTRIBUTE_PREFIX, CONTEXT_PREFIX)) for path in paths
        )

    def time_on(self, resource_type: str) -> bool:
        """Whether decisions on this type may depend on the time of the request. Cost: a look-up, but for the first."""
        known = self._on.get(resource_type)
        if known is None:
            known = self._everywhere or _TIME in paths_read(type_conditions(self._policy, resource_type))
            if resource_type in self._policy.resources:
                self._on[resource_type] = known
        return known


def _told(decision: Decision, facts: msgspec.Raw) -> Told:
    return (
        "allow" if decision.allowed else "deny",
        decision.reason,
        decision.check,
        decision.rule,
        decision.bundle,
        decision.workspace or "",
        facts,
        SEMANTICS,
    )


def _steady(now: int, starts: int, ends: int) -> tuple[int, int]:
    """The instants around `now` between which a key is as good, or as bad, as it is now."""
    limits = (-FOREVER, starts, ends, FOREVER)
    return max(limit for limit in limits if limit <= now), min(limit for limit in limits if limit > now)
