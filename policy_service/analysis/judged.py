"""A situation decided by the real engine: nothing that the solver found is shown before that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from policy_service.analysis.situation import Situation
from policy_service.analysis.worlds import snapshot_of
from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.engine.decide import decide
from policy_service.engine.explain import explain
from policy_service.engine.facts_read import Facts
from policy_service.engine.link import compile_policy
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.ir import Condition
from policy_service.language.policy import Policy
from policy_service.model.address import Network, parse_network
from policy_service.model.decision import Decision, Explanation
from policy_service.model.facts import IpAllowlist
from policy_service.model.values import ABSENT


class Judge:
    """The engine under one policy, linked when it is first needed."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    @cached_property
    def program(self) -> Program:
        return compile_policy(self.policy)

    def snapshot(self, situation: Situation) -> Snapshot:
        return snapshot_of(self.program, situation.facts)

    def decide(self, situation: Situation) -> Decision:
        return decide(situation.request, self.snapshot(situation), situation.now)

    def explain(self, situation: Situation) -> Explanation:
        return explain(situation.request, self.snapshot(situation), situation.now)

    def statement(self, statement: Condition, situation: Situation, decision: Decision) -> bool | Fault:
        """What a statement about decisions comes to in a situation."""
        snapshot = self.snapshot(situation)
        key = snapshot.keys[situation.key.id]
        assert key is not None  # a situation has its key among its facts
        facts = Facts(self.policy, snapshot, situation.request, key, situation.now)
        return evaluate(statement, _reader(facts, said_of(decision) | told(facts)))


class LinkedJudge(Judge):
    """The same, of a policy that is linked already."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.policy)
        self.program = program


class Interpreter(Judge):
    """The same decisions by the interpreter: nothing is linked, which takes longer than a few hundred decisions.

    INVARIANT: they are the engine's (test_explain: conformance).
    """

    @cached_property
    def program(self) -> Program:
        return Program(self.policy, self.policy.digest, (), _never)

    def decide(self, situation: Situation) -> Decision:
        return self.explain(situation).decision


def _never(*_: object) -> Decision:
    raise AssertionError("an interpreted policy is not called")


def _reader(facts: Facts, more: Mapping[str, object]) -> Callable[[str], object]:
    return lambda path: more[path] if path in more else facts.read(path)


def said_of(decision: Decision) -> dict[str, object]:
    """`decision.…` of invariants.yaml."""
    return {
        "decision.allowed": decision.allowed,
        "decision.reason": decision.reason,
        "decision.check": ABSENT if decision.check is None else decision.check,
        "decision.rule": ABSENT if decision.rule is None else decision.rule,
    }


def told(facts: Facts) -> dict[str, object]:
    """`facts.…` of invariants.yaml."""
    key, claimed = facts.key.fact, facts.request.resource.workspace
    allowlist = facts.snapshot.fact(IpAllowlist.entity, (facts.key.workspace_id,))
    enabled = isinstance(allowlist, IpAllowlist) and allowlist.enabled
    entries = [one.cidr for one in allowlist.entries] if isinstance(allowlist, IpAllowlist) else []
    closure = facts.snapshot.closure_of(facts.key)
    return {
        "facts.revoked": key.revoked_at is not None,
        "facts.expired": facts.now >= _end(facts),
        "facts.suspended": facts.grants.suspended,
        "facts.registered": facts.view is not None,
        "facts.claims_own_workspace": claimed == facts.key.workspace_id,
        "facts.claims_other_workspace": claimed is not None and claimed != facts.key.workspace_id,
        "facts.allowlist_enabled": enabled,
        "facts.on_allowlist": _inside(entries, facts.point),
        "facts.key_has_cidrs": bool(key.cidrs),
        "facts.in_key_cidrs": _inside(key.cidrs, facts.point),
        "facts.scope_carried": facts.request.scope in closure,
        "facts.scope_granted": facts.request.scope in facts.roles.scopes,
    }


def _end(facts: Facts) -> float:
    slot = next((one for one in facts.key.fact.slots if one.number == facts.request.credential.slot), None)
    ends = [one for one in (facts.key.fact.expires_at, slot.expires_at if slot else None) if one is not None]
    return min(ends, default=float("inf"))


def _inside(cidrs: Any, point: object) -> bool:
    networks = [network for cidr in cidrs if isinstance(network := parse_network(cidr), Network)]
    return isinstance(point, int) and any(point in network for network in networks)
