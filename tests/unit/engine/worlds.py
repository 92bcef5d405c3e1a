"""Small worlds for engine tests: policies and facts in a few words, folded into a snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from policy_service.engine.link import compile_policy
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.ir import Condition
from policy_service.language.policy import (
    Attribute,
    BuiltinCheck,
    Check,
    ConditionCheck,
    Effect,
    Policy,
    ResourcePattern,
    ResourcePolicy,
    Role,
    Rule,
    Scope,
)
from policy_service.model.changes import Change, ChangeDraft, chain
from policy_service.model.changes import Effect as FactEffect
from policy_service.model.errors import StoreError
from policy_service.model.facts import ActiveBundle, ApiKey, Fact, SecretSlot
from policy_service.model.reasons import CHECKS
from policy_service.model.request import Credential, Request, ResourceRef
from policy_service.model.spans import Span

NOW = 1_800_000_000_000_000_000
SPAN = Span("resources/pipeline.yaml", 1, 1, 1, 2)
DIGEST = "sha256:" + "ab" * 32
ORDER = tuple(BuiltinCheck(name) for name in CHECKS)


def scope(name: str, *on: str, implies: Sequence[str] = (), closure: Iterable[str] | None = None) -> Scope:
    """A scope; without `closure` it is itself and what it implies directly."""
    return Scope(name, frozenset(on), tuple(implies), frozenset(closure or {name, *implies}))


def role(name: str, *scopes: str, inherits: Sequence[str] = (), also: Iterable[str] = ()) -> Role:
    """A role that grants `scopes` itself and `also` by the roles it inherits."""
    return Role(name, scopes, tuple(inherits), frozenset({*scopes, *also}), frozenset({name, *inherits}))


def rule(
    name: str,
    effect: Effect,
    *,
    scopes: Iterable[str] | None = None,
    ids: Sequence[str] | None = None,
    when: Condition | None = None,
    reason: str | None = None,
    message: str | None = None,
) -> Rule:
    """A rule; `ids` are written as in rule files, with one trailing `*` for a prefix."""
    patterns = None
    if ids is not None:
        patterns = tuple(ResourcePattern(text.removesuffix("*"), text.endswith("*")) for text in ids)
    return Rule(name, effect, None if scopes is None else frozenset(scopes), patterns, when, reason, message, SPAN)


def resource_policy(
    *rules: Rule,
    type_: str = "pipeline",
    default: Effect = "deny",
    unregistered: Effect = "deny",
    attributes: Sequence[Attribute] = (),
) -> ResourcePolicy:
    return ResourcePolicy(type_, tuple(attributes), default, unregistered, tuple(rules))


SCOPES = (
    scope("pipelines:read", "pipeline"),
    scope("pipelines:run", "pipeline", implies=["pipelines:read"]),
    scope("connections:read", "connection"),
)
ROLES = (
    role("viewer", "pipelines:read"),
    role("operator", "pipelines:run", inherits=["viewer"], also=["pipelines:read"]),
    role("administrator", "admin:organization"),
)


def policy(
    *resources: ResourcePolicy,
    order: Sequence[Check] = ORDER,
    scopes: Sequence[Scope] = SCOPES,
    roles: Sequence[Role] = ROLES,
    context: Sequence[Attribute] = (),
    digest: str = DIGEST,
) -> Policy:
    """A policy with the shipped chain, two pipeline scopes and two roles unless told otherwise."""
    return Policy(
        chain=tuple(order),
        scopes={one.name: one for one in scopes},
        roles={one.name: one for one in roles},
        networks={},
        context=tuple(context),
        resources={one.type: one for one in resources},
        digest=digest,
    )


def with_conditions(*checks: ConditionCheck) -> tuple[Check, ...]:
    """The shipped chain, and condition checks after it."""
    return (*ORDER, *checks)


class Programs:
    """A ProgramSource over a dict."""

    def __init__(self, *programs: Program) -> None:
        self._programs = {program.digest: program for program in programs}

    def program(self, digest: str) -> Program:
        try:
            return self._programs[digest]
        except KeyError:
            raise StoreError("bundle_missing", f"the bundle `{digest}` is not published") from None


class World:
    """A snapshot with the changes that made it."""

    def __init__(self, *policies: Policy) -> None:
        self.programs = Programs(*(compile_policy(one) for one in policies))
        self.snapshot = Snapshot(self.programs)
        self.changes: list[Change] = []
        if policies:
            self.put(ActiveBundle(digest=policies[0].digest))

    def put(self, *facts: Fact, sealed: str | None = None) -> World:
        """Set facts, in one change."""
        return self.change([self.effect(fact) for fact in facts], sealed=sealed)

    def remove(self, *facts: Fact) -> World:
        """Remove facts, in one change."""
        return self.change([self.effect(fact, is_there=False) for fact in facts])

    def effect(self, fact: Fact, *, is_there: bool = True) -> FactEffect:
        """The effect that sets or removes a fact, with the past that this world's snapshot knows."""
        before = self.snapshot.fact(fact.entity, fact.key())
        told = None if before is None else to_json(before)
        return FactEffect(fact.entity, fact.key(), told, to_json(fact) if is_there else None)

    def change(self, effects: Sequence[FactEffect], *, sealed: str | None = None) -> World:
        """Commit effects as the next change."""
        draft = ChangeDraft(action="test.put", workspace=None, subject="", effects=tuple(effects), sealed=sealed)
        following = next_change(self.snapshot, draft)
        self.snapshot.apply(following)
        self.changes.append(following)
        return self


def next_change(snapshot: Snapshot, draft: ChangeDraft) -> Change:
    """The intact successor of the snapshot's last change."""
    return chain(draft, revision=snapshot.revision + 1, at=NOW, actor="local:0", previous_hash=snapshot.chain_hash)


def effect(fact: Fact) -> FactEffect:
    """The effect that sets a fact."""
    return FactEffect(fact.entity, fact.key(), None, to_json(fact))


def told(snapshot: Snapshot, effects: Sequence[FactEffect]) -> Iterator[FactEffect]:
    """The same effects with the past that each of them meets."""
    met: dict[tuple[str, tuple[str, ...]], Any] = {}
    for one in effects:
        name = (one.entity, one.key)
        there = snapshot.fact(*name)
        before = met[name] if name in met else None if there is None else to_json(there)
        met[name] = one.after
        yield FactEffect(one.entity, one.key, before, one.after)


def to_json(fact: Fact) -> dict[str, Any]:
    """The JSON form that changes carry."""
    built: dict[str, Any] = msgspec.to_builtins(fact)
    return built


def api_key(
    key_id: str = "serviceKey01",
    *,
    kind: Any = "service",
    principal: str = "ci",
    scopes: Iterable[str] = ("pipelines:run",),
    workspace: str = "acme",
    slots: Sequence[SecretSlot] = (SecretSlot(number=1, pepper_id="p1", created_at=0),),
    **more: Any,
) -> ApiKey:
    """A service key for `ci` in `acme` unless told otherwise."""
    return ApiKey(
        id=key_id,
        workspace=workspace,
        principal_kind=kind,
        principal_id=principal,
        scopes=tuple(sorted(scopes)),
        slots=tuple(slots),
        created_at=0,
        **more,
    )


def user_key(key_id: str = "userKey00001", *, user: str = "ann", **more: Any) -> ApiKey:
    """A user key for `ann` in `acme` unless told otherwise."""
    return api_key(key_id, kind="user", principal=user, **more)


def ask(
    key: str | None = "serviceKey01",
    *,
    slot: int | None = 1,
    scope: str = "pipelines:run",
    resource: str = "pipeline:etl-1",
    source_ip: str | None = None,
    context: dict[str, Any] | None = None,
    **claims: Any,
) -> Request:
    """A request with a verified key; `claims` go into the resource."""
    kind, _, identity = resource.partition(":")
    credential = Credential("verified", key, slot) if key else Credential("missing")
    return Request(credential, scope, ResourceRef(kind, identity, **claims), source_ip, context or {})
