"""Deciding recorded requests again, quickly: what was derived once is kept as long as all that it rests on stays.

A decision is a function of the request, the instant, the program and, where a key was presented, of four things that
the snapshot holds: the key, the workspace's allowlist, the resource, and the user's grants. Each of these is an object
that is replaced when anything about it changes. So what was derived holds as long as these are the very same objects,
and the instant stays on the same side of the key's beginning and end. Where the policy reads the time for this type of
resource, a decision holds at no other instant: there each record is decided again.

INVARIANT: with and without what is kept, every record is derived alike (test_replay: nothing kept).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final, Generic, TypeVar, cast

import msgspec

from policy_service.engine.decide import no_policy
from policy_service.engine.program import Program
from policy_service.engine.reads import check_conditions, paths_read, type_conditions
from policy_service.engine.seen import Seen, seen
from policy_service.engine.snapshot import Snapshot
from policy_service.engine.views import FOREVER, KeyView
from policy_service.language.policy import Policy
from policy_service.model.canonical import canonical_plain
from policy_service.model.decision import SEMANTICS, Decision
from policy_service.model.request import Request
from policy_service.service.recording.record_lines import recorded_facts, recorded_principal

K = TypeVar("K")
V = TypeVar("V")
H = TypeVar("H", bound=Hashable)

KEPT: Final = 1 << 16
"""Derivations in each of two generations, and standings likewise; one takes about 1 KB."""

NOTHING: Final = msgspec.Raw(b"")
"""What a line has in place of a member that it leaves out."""

_TIME: Final = "request.time"
_REQUEST: Final = msgspec.json.Decoder(Request)
"""A recorded request has the members of a Request, and in its credential a fingerprint, of which a decision is not made
(test_replay: the request of a record)."""

Told = tuple[str, str, str | None, str | None, str, str, msgspec.Raw, msgspec.Raw, int]
"""What a record tells that can be derived: `(decision, reason, check, rule, bundle, workspace, principal, facts,
semantics)`, the principal and the facts in the bytes that are written for them."""

_Place = tuple[str | None, int | None, str, str, str | None]
"""What a standing is asked for: key id and slot, where a key was verified; type and id of the resource; address."""


class Standing:
    """How a key stands to a resource from an address: all that a decision rests on, besides the request's claims.

    Attributes:
        program, key, allowlist, resource, grants: the very objects it was made of; without a key, the program alone.
        key_id, place, user: where to look whether they are still there; `there` is the key's workspace.
        workspace, principal, facts: as a record tells them; the workspace is "" where no key was verified.
        since, until: instants, the second excluded, between which the key is as good or as bad.
    """

    __slots__ = (
        "allowlist",
        "facts",
        "grants",
        "key",
        "key_id",
        "place",
        "principal",
        "program",
        "resource",
        "since",
        "there",
        "until",
        "user",
        "workspace",
    )

    def __init__(self, request: Request, program: Program, key: KeyView | None, decision: Decision) -> None:
        resource = request.resource
        self.program = program
        self.key = key
        self.key_id = key.id if key is not None else _presented(request)
        self.place = (resource.type, resource.id)
        if key is not None:
            self.there = key.workspace
            self.allowlist = key.workspace.allowlist
            self.resource = key.workspace.resources.get(self.place)
            self.grants = key.grants() if key.is_user else None
            self.user = key.principal_id
        self.workspace = decision.workspace or ""
        self.since, self.until = _steady(decision.now, key, request.credential.slot)
        self.principal = self.facts = NOTHING

    def holds(self, program: Program, keys: Mapping[str, KeyView | None]) -> bool:
        """Whether all that it rests on is still there. Cost: it looks up three things and compares five by identity."""
        if self.program is not program or keys.get(self.key_id) is not self.key:  # type: ignore[arg-type]  # None is no key's id
            return False
        if self.key is None:
            return True
        there, grants = self.there, self.grants
        return (
            there.allowlist is self.allowlist
            and there.resources.get(self.place) is self.resource
            and (grants is None or there.grants.get(self.user) is grants)
        )


class Derivation:
    """One request, decided.

    Attributes:
        decision: as it was at the first instant that it was made for.
        told: as a record would tell it.
        since, until: instants, the second excluded, between which the decision is surely the same.
    """

    __slots__ = ("decision", "request", "since", "standing", "told", "until")

    def __init__(self, request: Request, standing: Standing, decision: Decision) -> None:
        self.request = request
        self.standing = standing
        self.decision = decision
        self.since, self.until = standing.since, standing.until
        self.told: Told = (
            "allow" if decision.allowed else "deny",
            decision.reason,
            decision.check,
            decision.rule,
            decision.bundle,
            standing.workspace,
            standing.principal,
            standing.facts,
            SEMANTICS,
        )


class Rederiver:
    """Decides again. `use` comes first, and again whenever the snapshot has moved.

    Args:
        kept: derivations in a generation; 0: nothing is kept.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._derivations: Generations[bytes, Derivation] = Generations(kept)
        self._standings: Generations[_Place, Standing] = Generations(kept)
        self._raws: Generations[bytes, msgspec.Raw] = Generations(kept)
        self._shared: Generations[Hashable, Hashable] = Generations(kept)
        self._timed: dict[str, _Timed] = {}

    def use(self, snapshot: Snapshot) -> None:
        """Decide on this snapshot from here on.

        Raises:
            StoreError: the active bundle cannot be had; `no_policy`, none is active.
        """
        program = snapshot.program
        if program is None:
            raise no_policy()
        self._snapshot = snapshot
        self._program = program
        self._keys = snapshot.keys
        timed = self._timed.get(program.digest)
        if timed is None:
            timed = self._timed[program.digest] = _Timed(program.policy)
        self._reads_time = timed

    def derive(self, asked: bytes, now: int) -> Derivation:
        """The decision on a recorded request, given as it stands in its line.

        Raises:
            msgspec.MsgspecError: it is no recorded request.

        Cost: 0.5 µs where it is known; about 3 µs where only its standing is; else about 7 µs.
        """
        known = self._derivations.get(asked)
        if known is None:
            return self._derived(asked, _REQUEST.decode(asked), now)
        if known.since <= now < known.until and known.standing.holds(self._program, self._keys):
            return known
        return self._derived(asked, known.request, now)

    def seen(self, derivation: Derivation) -> Seen:
        """What the snapshot knows of its request."""
        return seen(derivation.request, self._snapshot, derivation.decision)

    def _derived(self, asked: bytes, request: Request, now: int) -> Derivation:
        decision = self._program.decide(request, self._snapshot, now)
        made = Derivation(request, self._standing(request, decision), decision)
        if self._reads_time.on(request.resource.type):
            made.since, made.until = now, now + 1
        self._derivations.put(asked, made)
        return made

    def _standing(self, request: Request, decision: Decision) -> Standing:
        resource, key_id = request.resource, _presented(request)
        place = (key_id, request.credential.slot, resource.type, resource.id, request.source_ip)
        known = self._standings.get(place)
        if known is not None and known.since <= decision.now < known.until and known.holds(self._program, self._keys):
            return known
        key = None if key_id is None else self._keys.get(key_id)
        made = Standing(request, self._program, key, decision)
        made.place = self._same(made.place)
        made.workspace = self._same(made.workspace)
        made.principal = self._as_bytes(recorded_principal(decision))
        made.facts = self._as_bytes(recorded_facts(seen(request, self._snapshot, decision)))
        self._standings.put(place, made)
        return made

    def _as_bytes(self, part: msgspec.Struct | None) -> msgspec.Raw:
        """A part of a record as it is written; NOTHING for None."""
        if part is None:
            return NOTHING
        # A double may be spelled otherwise than in the line: such a record is compared value by value.
        written = canonical_plain(part)
        raw = self._raws.get(written)
        if raw is None:
            raw = msgspec.Raw(written)
            self._raws.put(written, raw)
        return raw

    def _same(self, value: H) -> H:
        """One object for all equal ones: what thousands of standings share stays near the processor."""
        found = self._shared.get(value)
        if found is None:
            self._shared.put(value, value)
            return value
        return cast("H", found)


class Generations(Generic[K, V]):
    """Two generations of what is kept: what nobody asks for while a whole one fills is forgotten.

    Args:
        most: of a generation. 0: nothing is kept.
    """

    __slots__ = ("_most", "_old", "_young")

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, name: K) -> V | None:
        """What is kept under this name."""
        found = self._young.get(name)
        if found is None and (found := self._old.get(name)) is not None:
            self.put(name, found)
        return found

    def put(self, name: K, value: V) -> None:
        """Keep it."""
        if len(self._young) >= self._most:
            self._young, self._old = {}, self._young
        if self._most:
            self._young[name] = value


class _Timed:
    """On which types of resource a policy's decisions may depend on the time of the request."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._everywhere = _TIME in paths_read(check_conditions(policy, None))
        self._on: dict[str, bool] = {}

    def on(self, resource_type: str) -> bool:
        """Whether they may on this one. Cost: a look-up, but for the first time."""
        known = self._on.get(resource_type)
        if known is None:
            known = self._everywhere or _TIME in paths_read(type_conditions(self._policy, resource_type))
            if resource_type in self._policy.resources:
                self._on[resource_type] = known
        return known


def _presented(request: Request) -> str | None:
    """The id of the key that counts: where its secret was not verified, none does."""
    credential = request.credential
    return credential.key_id if credential.outcome == "verified" else None


def _steady(now: int, key: KeyView | None, slot: int | None) -> tuple[int, int]:
    """The instants around `now` between which a key is as good, or as bad, as it is now."""
    if key is None:
        return -FOREVER, FOREVER
    starts, ends = key.starts, key.slots.get(slot, FOREVER)
    if starts == -FOREVER and ends == FOREVER:
        return -FOREVER, FOREVER
    limits = (-FOREVER, starts, ends, FOREVER)
    return max(limit for limit in limits if limit <= now), min(limit for limit in limits if limit > now)
