"""Statements about decisions as formulas, and the five that every policy is held to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from policy_service.analysis.encode.chain import Chain, ChainEncoder
from policy_service.analysis.encode.conditions import Gap, State, encode
from policy_service.analysis.encode.terms import Truth, both, either, no
from policy_service.analysis.encode.values import Choice
from policy_service.language.invariants import Invariant, compile_statement
from policy_service.language.ir import And, Condition, Expr, Read
from policy_service.language.policy import Policy
from policy_service.model.spans import Span

_BUILTIN: Final = (
    (
        "tenants-are-walls",
        "No request that names another workspace than its key's is ever allowed.",
        "decision.allowed && facts.claims_other_workspace",
    ),
    (
        "revoked-keys-are-dead",
        "A revoked key is never allowed.",
        "decision.allowed && facts.revoked",
    ),
    (
        "user-keys-stay-within-their-user",
        "A user key is allowed no more than its own scopes and what its user's roles grant now.",
        'decision.allowed && key.kind == "user" && !(facts.scope_carried && facts.scope_granted)',
    ),
    (
        "allowlists-are-respected",
        "Where an IP allowlist is on, no address outside it is ever allowed.",
        "decision.allowed && facts.allowlist_enabled && !facts.on_allowlist",
    ),
    (
        "nothing-unregistered-crosses-a-workspace",
        "A resource that is not registered is allowed only to a request that names the key's workspace.",
        "decision.allowed && !facts.registered && !facts.claims_own_workspace",
    ),
)


def builtin_invariants(policy: Policy) -> tuple[Invariant, ...]:
    """The five."""
    return tuple(
        Invariant(name, description, "never", compile_statement(text, policy), None, Span("(built in)"), True)
        for name, description, text in _BUILTIN
    )


class StatementReader:
    """Reads what statements see: what conditions see, the facts, and a decision.

    Args:
        decision: `decision.…` by path.
    """

    def __init__(self, encoder: ChainEncoder, decision: Mapping[str, State]) -> None:
        self._encoder = encoder
        self._decision = decision

    def read(self, path: str) -> State:
        if path in self._decision:
            return self._decision[path]
        if path.startswith("facts."):
            return State(False, False, _fact(self._encoder, path))
        return self._encoder.reading.read(path)


def _fact(encoder: ChainEncoder, path: str) -> Truth:
    world, reading = encoder.reading.world, encoder.reading
    return {
        "facts.revoked": world.revoked,
        "facts.expired": encoder.expired(),
        "facts.suspended": world.suspended,
        "facts.registered": world.registered,
        "facts.claims_own_workspace": world.claims_own,
        "facts.claims_other_workspace": world.claims_other,
        "facts.allowlist_enabled": world.list_on,
        "facts.on_allowlist": both(world.listed, no(world.no_address), no(world.bad_address)),
        "facts.key_has_cidrs": world.has_cidrs,
        "facts.in_key_cidrs": both(world.in_cidrs, no(world.no_address), no(world.bad_address)),
        "facts.scope_carried": reading.carried(world.scope),
        "facts.scope_granted": reading.granted(world.scope),
    }[path]


def settled(*, allowed: bool) -> dict[str, State]:
    """A decision of which it is known whether it allows; of a denial nothing else is."""
    found = {"decision.allowed": State(False, False, allowed)}
    if allowed:
        nothing = State(True, False, "")
        found |= {"decision.reason": State(False, False, "allowed")}
        found |= {"decision.check": nothing, "decision.rule": nothing}
    return found


def of_chain(chain: Chain) -> dict[str, State]:
    """The decision that a chain comes to."""
    endings = list(chain.reasons())
    allowed = chain.allowed
    checks = tuple((when, case.check) for when, case in endings)
    rules = tuple((when, case.rule) for when, case in endings if case.rule is not None)
    return {
        "decision.allowed": State(False, False, allowed),
        "decision.reason": State(False, False, Choice(((allowed, "allowed"), *((w, c.reason) for w, c in endings)))),
        "decision.check": State(allowed, False, Choice(checks or ((True, ""),))),
        "decision.rule": State(no(either(*(when for when, _ in rules))), False, Choice(rules or ((True, ""),))),
    }


def is_only_about_allowing(statement: Condition) -> bool:
    """Whether a statement sees of a decision nothing but whether it allows."""
    return all(path == "decision.allowed" for path in statement.reads() if path.startswith("decision."))


def needs_allowed(invariant: Invariant) -> bool:
    """Whether it is plain that no denial can break an invariant: `never` something that is allowed and …."""
    return invariant.quantity == "never" and any(
        isinstance(part, Read) and part.path == "decision.allowed" for part in _conjuncts(invariant.statement.expr)
    )


def _conjuncts(expr: Expr) -> Iterator[Expr]:
    if isinstance(expr, And):
        yield from _conjuncts(expr.left)
        yield from _conjuncts(expr.right)
    else:
        yield expr


class Breach(msgspec.Struct, frozen=True):
    """When an invariant is broken: by what it says, or because nobody can say whether it holds."""

    by_word: Truth
    by_fault: Truth

    @property
    def either(self) -> Truth:
        return either(self.by_word, self.by_fault)


def breach(invariant: Invariant, reader: StatementReader) -> Breach | Gap:
    """When an invariant is broken. One that faults is: a promise that cannot be judged is none."""
    outcome = encode(invariant.statement, reader)
    if isinstance(outcome, Gap):
        return outcome
    return Breach(outcome.satisfied if invariant.quantity == "never" else outcome.unsatisfied, outcome.fault)
