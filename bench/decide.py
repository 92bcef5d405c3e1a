"""How long one decision takes in process: answers asserted first, then the median over batches of 1,000 calls.

Two columns: `decide` alone, and with the presented key's secret checked before it (parsing, checksum, HMAC).

Run: python -m bench.decide [--rules 10,1000,10000] [--seconds 1.0]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from policy_service.engine.decide import decide
from policy_service.engine.link import compile_policy
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.language.load import load_policy
from policy_service.model.api_key import format_api_key
from policy_service.model.canonical import canonical_text
from policy_service.model.changes import ChangeDraft, Effect, chain
from policy_service.model.decision import Decision
from policy_service.model.facts import (
    ActiveBundle,
    AllowlistEntry,
    ApiKey,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    Team,
    User,
)
from policy_service.model.request import Credential, Request, ResourceRef
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.peppers import Peppers

NOW = 1_800_000_000_000_000_000
PEPPERS = Peppers("p1", {"p1": bytes(range(32))})
SERVICE, USER = "serviceKey01", "userKey00001"
TYPICAL = 'has(resource.attr.env) && resource.attr.env == "prod" && !("prod-operators" in principal.teams)'

CHAIN = "\n".join(
    ["chain:"]
    + [
        f"  - check: {name}"
        for name in ("credential", "revocation", "workspace", "scope", "rbac", "resource_policy", "ip_allowlist")
    ]
)
SCOPES = """
scopes:
  pipelines:read: {description: Read, on: [pipeline]}
  pipelines:run: {description: Run, on: [pipeline], implies: [pipelines:read]}
"""
ROLES = """
roles:
  viewer: {description: Views, scopes: [pipelines:read]}
  operator: {description: Runs, scopes: [pipelines:run], inherits: [viewer]}
"""


def rule_files(rules: int) -> dict[str, str]:
    """A policy with `rules` rules, half for single pipelines and half for prefixes; the last one has a condition."""
    lines = ["resource: pipeline", "attributes:", "  env: {type: string, from: store}", "rules:"]
    for number in range(rules - 2):
        pattern = f"p{number}" if number % 2 else f"g{number}-*"
        effect = "allow" if number % 3 else "deny"
        lines += [f"  - {{name: r{number}, effect: {effect}, scopes: [pipelines:run], resources: ['{pattern}']}}"]
    lines += [
        "  - {name: etl-allowed, effect: allow, scopes: [pipelines:run], resources: ['etl-*']}",
        "  - name: production-is-locked",
        "    effect: deny",
        "    scopes: [pipelines:run]",
        "    resources: ['etl-cond-*']",
        f"    when: {TYPICAL}",
        "    reason: production_locked",
    ]
    return {
        "chain.yaml": CHAIN,
        "scopes.yaml": SCOPES,
        "roles.yaml": ROLES,
        "resources/pipeline.yaml": "\n".join(lines),
    }


def facts(digest: str) -> Iterator[Fact]:
    """A workspace with one user in a nested team, one key of each kind, two pipelines and an allowlist."""
    acme: dict[str, Any] = {"workspace": "acme"}
    slots = (SecretSlot(number=1, pepper_id="p1", created_at=0),)
    key: dict[str, Any] = {**acme, "scopes": ("pipelines:run",), "slots": slots, "created_at": 0}
    yield ActiveBundle(digest=digest)
    yield User(**acme, id="ann")
    yield Team(**acme, id="engineers")
    yield Team(**acme, id="prod-operators", parent="engineers")
    yield Membership(**acme, team="prod-operators", user="ann")
    yield RoleBinding(**acme, id="b1", role="operator", team="engineers")
    yield ApiKey(id=SERVICE, principal_kind="service", principal_id="ci", **key)
    yield ApiKey(id=USER, principal_kind="user", principal_id="ann", **key)
    yield Resource(**acme, type="pipeline", id="etl-1")
    yield Resource(**acme, type="pipeline", id="etl-cond-1", attributes={"env": "prod"})
    entries = tuple(AllowlistEntry(cidr=f"10.{number}.0.0/16") for number in range(0, 64, 2))
    yield IpAllowlist(**acme, enabled=False, entries=entries)


class Programs:
    """A ProgramSource of one program."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def program(self, digest: str) -> Program:
        assert digest == self._program.digest
        return self._program


def key_text(key_id: str) -> str:
    """What the holder of a key presents."""
    return format_api_key("psx", key_id, "0123456789abcdefABCDEF")


def snapshot_of(program: Program, *more: Fact) -> Snapshot:
    """All facts in one change; one of `more` stands in the place of its namesake."""
    snapshot = Snapshot(Programs(program))
    by_name = {(fact.entity, fact.key()): fact for fact in (*facts(program.digest), *more)}
    effects = tuple(Effect(*name, None, msgspec.to_builtins(fact)) for name, fact in by_name.items())
    verifiers = {key: {"1": PEPPERS.verifier("p1", key_text(key)).hex()} for key in (SERVICE, USER)}
    sealed = canonical_text({"verifiers": verifiers})
    draft = ChangeDraft(action="bench.put", workspace=None, subject="", effects=effects, sealed=sealed)
    snapshot.apply(chain(draft, revision=1, at=0, actor="local:0", previous_hash=snapshot.chain_hash))
    return snapshot


def request(key: str, resource: str, source_ip: str | None) -> Request:
    return Request(Credential("verified", key, 1), "pipelines:run", ResourceRef("pipeline", resource), source_ip, {})


def median_ns(once: Callable[[], object], seconds: float, calls: int = 1000) -> float:
    """The median over batches of so many calls, for about `seconds`.

    In processor time of this thread: on an idle machine that is the time that passes, on a busy one it is what counts.
    """
    once()
    batches = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.thread_time_ns()
        for _ in range(calls):
            once()
        batches.append((time.thread_time_ns() - start) / calls)
    return statistics.median(batches)


def cases(program: Program) -> Iterator[tuple[str, Snapshot, Request, str]]:
    """What is timed: a name, a world, a request, and the reason expected."""
    plain = snapshot_of(program)
    listed = snapshot_of(
        program, IpAllowlist(workspace="acme", enabled=True, entries=(AllowlistEntry(cidr="10.0.0.0/8"),))
    )
    yield "service key", plain, request(SERVICE, "etl-1", None), "allowed"
    yield "user key", plain, request(USER, "etl-1", None), "allowed"
    yield "user key, condition, IPv4 on the list", listed, request(USER, "etl-cond-1", "10.1.2.3"), "allowed"
    yield "service key, denied by condition", plain, request(SERVICE, "etl-cond-1", None), "production_locked"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", default="10,1000,10000")
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    for count in map(int, options.rules.split(",")):
        started = time.perf_counter()
        policy = load_policy(rule_files(count))
        loaded = time.perf_counter()
        program = compile_policy(policy)
        linked = time.perf_counter()
        print(f"{count} rules: loaded in {loaded - started:.2f} s, compiled in {linked - loaded:.2f} s")
        for name, snapshot, asked, reason in cases(program):
            time_case(name, snapshot, asked, reason, options.seconds)


def time_case(name: str, snapshot: Snapshot, asked: Request, reason: str, seconds: float) -> None:
    """Assert the answer both ways, then time both ways, and print."""
    alone_ns, with_secret_ns = measure_case(snapshot, asked, reason, seconds)
    print(f"  {name:40} {alone_ns:7.0f} ns {with_secret_ns:7.0f} ns")


def measure_case(snapshot: Snapshot, asked: Request, reason: str, seconds: float) -> tuple[float, float]:
    """Nanoseconds of a decision, alone and with the secret checked before it. Both answers are asserted first."""
    credentials = Credentials(PEPPERS)
    text = key_text(str(asked.credential.key_id))

    def alone() -> Decision:
        return decide(asked, snapshot, NOW)

    def with_secret() -> Decision:
        credential = credentials.check(text, snapshot)
        return decide(Request(credential, asked.scope, asked.resource, asked.source_ip, asked.context), snapshot, NOW)

    assert alone() == with_secret()
    assert alone().reason == reason, (reason, alone())
    return median_ns(alone, seconds), median_ns(with_secret, seconds)


if __name__ == "__main__":
    main()
