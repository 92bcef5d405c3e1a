"""`make soundness`: what is proved of a policy, held against a hundred thousand requests that the engine decides.

    python -m tests.property.soundness [--policies N] [--requests N] [--conditions N] [--seed N]

The shipped policies with all they promise, then random policies with random statements. Prints what was tried and how
often the situation that a statement is about was met, whatever was decided. Then conditions of any shape, each decided
by the engine and by its formulas. The exit code is 1 where a request breaks a proof, or where the two differ.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from policy_service.analysis.judged import said_of, told
from policy_service.analysis.prove import Finding, prove
from policy_service.analysis.solving import Budget
from policy_service.analysis.statements import builtin_invariants
from policy_service.analysis.worlds import snapshot_of
from policy_service.engine.conditions.evaluate import Fault, evaluate
from policy_service.engine.decide import decide
from policy_service.engine.facts_read import Facts
from policy_service.engine.link import compile_policy
from policy_service.language.invariants import Invariant, load_invariants
from policy_service.language.ir import And, Condition, Expr, Or
from policy_service.language.load import load_policy
from policy_service.language.policy import Policy
from policy_service.model.decision import Decision
from policy_service.model.request import Request
from policy_service.service.policies.policy_folder import read_folder
from tests.property.both_ways import Compared, both_ways, draw_any_condition
from tests.property.condition_pool import EVERYWHERE, ON_CONNECTIONS, ON_PIPELINES
from tests.property.crowd import Crowd
from tests.property.drawing import rolled
from tests.property.policies import draw_documents, render

SHIPPED: Final = Path(__file__).parents[2] / "policies"
PER_WORLD: Final = 1_000
"""Requests that meet the same facts."""


class Broken(msgspec.Struct, frozen=True):
    """A proof that a request breaks."""

    invariant: Invariant
    request: Request
    now: int
    decision: Decision


class Tried(msgspec.Struct):
    """What was asked of one policy.

    Args:
        met: by invariant, how often all was so that only the decision kept it from being broken.
    """

    requests: int = 0
    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    met: Counter[str] = msgspec.field(default_factory=Counter)
    broken: list[Broken] = msgspec.field(default_factory=list)


def held(policy: Policy, invariants: Iterable[Invariant], requests: int, random: Random) -> Tried:
    """Decide that many requests by the engine, and look whether any breaks an invariant.

    Cost: some 100 µs a request, and 10 µs for each statement.
    """
    several = [_held(one) for one in invariants]
    crowd = Crowd(policy, [one.invariant.statement for one in several], random)
    program, tried = compile_policy(policy), Tried()
    while tried.requests < requests:
        snapshot = snapshot_of(program, crowd.facts())
        snapshot.settle()
        for _ in range(min(PER_WORLD, requests - tried.requests)):
            request, now, key_id = crowd.request()
            decision = decide(request, snapshot, now)
            facts = Facts(policy, snapshot, request, snapshot.keys[key_id], now)
            tried.requests += 1
            tried.reasons[decision.reason] += 1
            _look(several, facts, decision, tried)
    return tried


class _Held(msgspec.Struct, frozen=True):
    """An invariant, and the part of it that is about no decision: what must be so for the decision to matter."""

    invariant: Invariant
    rest: tuple[Condition, ...]

    def is_met(self, read: Callable[[str], object]) -> bool:
        wanted = self.invariant.quantity == "never"
        return all(evaluate(part, read) == wanted for part in self.rest)


def _held(invariant: Invariant) -> _Held:
    joint = And if invariant.quantity == "never" else Or
    parts = [Condition("", part) for part in _parts(invariant.statement.expr, joint)]
    rest = tuple(one for one in parts if not any(path.startswith("decision.") for path in one.reads()))
    return _Held(invariant, rest)


def _parts(expr: Expr, joint: type[And] | type[Or]) -> Iterator[Expr]:
    if isinstance(expr, joint):
        yield from _parts(expr.left, joint)
        yield from _parts(expr.right, joint)
    else:
        yield expr


def _look(several: list[_Held], facts: Facts, decision: Decision, tried: Tried) -> None:
    read = _reader(facts, decision)
    for one in several:
        if one.invariant.resource not in (None, facts.request.resource.type):
            continue
        comes_to = evaluate(one.invariant.statement, read)
        tried.met[one.invariant.name] += one.is_met(read)
        if isinstance(comes_to, Fault) or comes_to == (one.invariant.quantity == "never"):
            tried.broken.append(Broken(one.invariant, facts.request, facts.now, decision))


def _reader(facts: Facts, decision: Decision) -> Callable[[str], object]:
    """What statements read; the facts of a statement are computed where one is read."""
    said = said_of(decision)
    found: dict[str, object] = {}

    def read(path: str) -> object:
        if path in said:
            return said[path]
        if path.startswith("facts."):
            if not found:
                found.update(told(facts))
            return found[path]
        return facts.read(path)

    return read


# Random policies, and statements that may hold of them.

_SAYINGS: Final = (
    "decision.allowed && ({0})",
    'decision.reason == "policy_error" && ({0})',
    "!decision.allowed && ({0})",
    "decision.allowed && facts.revoked && ({0})",
    'decision.reason == "role_not_granted" && key.kind == "service"',
    "decision.allowed && facts.allowlist_enabled && !has(request.ip)",
    'has(decision.check) && decision.check == "rbac" && facts.scope_granted',
    "decision.allowed && facts.key_has_cidrs && !facts.in_key_cidrs",
    'decision.reason == "insufficient_scope" && facts.scope_carried',
    'has(decision.rule) && decision.rule == "a-rule" && ({0})',
    "decision.allowed && !(facts.registered || facts.claims_own_workspace)",
)
_ALWAYS: Final = (
    "!decision.allowed || facts.scope_carried",
    "!decision.allowed || !has(request.ip) || !facts.allowlist_enabled || facts.on_allowlist || ({0})",
    'decision.reason == "allowed" || !decision.allowed',
)
_POOLS: Final = {None: EVERYWHERE, "pipeline": EVERYWHERE + ON_PIPELINES, "connection": EVERYWHERE + ON_CONNECTIONS}


def random_files(random: Random, statements: int = 10) -> dict[str, str]:
    """Rule files with invariants, half of them about what some rule of the policy says: those are often proved."""
    documents = draw_documents(rolled(random))
    said = [
        (type_, rule)
        for type_ in ("pipeline", "connection")
        for rule in documents[f"resources/{type_}.yaml"]["rules"]
        if "when" in rule
    ]
    items = []
    for number in range(statements):
        if said and number % 2:
            type_, rule = random.choice(said)
            text = f"decision.allowed && ({rule['when']})"
            scope = random.choice(rule.get("scopes", ["pipelines:run"]))
            items.append(_item(number, type_, "never", f'request.scope == "{scope}" && {text}'))
        else:
            about = random.choice((None, "pipeline", "connection"))
            quantity = random.choice(("never", "never", "always"))
            saying = random.choice(_SAYINGS if quantity == "never" else _ALWAYS)
            items.append(_item(number, about, quantity, saying.format(random.choice(_POOLS[about]))))
    documents["invariants.yaml"] = {"invariants": items}
    return render(documents)


def _item(number: int, about: str | None, quantity: str, text: str) -> dict[str, str]:
    item = {"name": f"statement-{number}", quantity: text}
    return item if about is None else item | {"resource": about}


def findings(files: dict[str, str], seconds: float = 60.0) -> tuple[Policy, list[Finding]]:
    """A policy, and what became of all it promises."""
    policy = load_policy(files)
    loaded = load_invariants(files, policy)
    assert all(one.severity == "warning" for one in loaded.diagnostics), loaded.diagnostics
    return policy, prove(policy, (*builtin_invariants(policy), *loaded.invariants), Budget(seconds))


def policies(count: int, seed: int) -> Iterator[tuple[str, dict[str, str]]]:
    """The shipped files, then random ones, by name."""
    yield "shipped", read_folder(SHIPPED)
    for number in range(seed, seed + count):
        yield f"random {number}", random_files(Random(number))


def main(arguments: list[str]) -> int:
    """Try all, and say what was tried."""
    parser = argparse.ArgumentParser(prog="python -m tests.property.soundness")
    parser.add_argument("--policies", type=int, default=20)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--conditions", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    broken = _try_policies(options)
    return 1 if _try_conditions(options) + broken else 0


def _try_policies(options: argparse.Namespace) -> int:
    """How many requests break a proof."""
    sums: Counter[str] = Counter()
    for name, files in policies(options.policies, options.seed):
        policy, found = findings(files)
        proved = [one.invariant for one in found if one.outcome == "proved"]
        tried = held(policy, proved, options.requests, Random(name))
        _report(name, found, tried)
        sums.update(one.outcome for one in found)
        sums.update(requests=tried.requests, broken=len(tried.broken))
    print(
        f"\n{options.policies + 1} policies: {sums['proved']} proved, {sums['refuted']} refuted, "
        f"{sums['undecided']} undecided; {sums['requests']:,} requests decided, {sums['broken']} break a proof"
    )
    return sums["broken"]


def _try_conditions(options: argparse.Namespace) -> int:
    """How many requests the formulas decide otherwise than the engine."""
    sums: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.conditions):
        case = draw_any_condition(rolled(Random(seed)))
        for one in both_ways(case):
            sums.update([_kind(one)])
            if one.differs:
                text = case.world.documents["resources/pipeline.yaml"]["rules"][0]["when"]
                print(f"    DIFFERS  {text}: {one.by_engine} by the engine, {one.by_formulas} by its formulas")
    print(
        f"{options.conditions:,} conditions of any shape: {sums['alike']:,} requests alike by engine and formulas, "
        f"{sums['differing']} differing; {sums['open']:,} left open for want of a formula, {sums['longer']} with lists "
        "longer than formulas look at"
    )
    return sums["differing"]


def _kind(one: Compared) -> str:
    if not one.is_told:
        return "longer"
    return "open" if one.left_open else "differing" if one.differs else "alike"


def _report(name: str, found: list[Finding], tried: Tried) -> None:
    outcomes = Counter(one.outcome for one in found)
    print(
        f"{name:<12} {outcomes['proved']:>2} proved, {outcomes['refuted']:>2} refuted, "
        f"{outcomes['undecided']:>2} undecided; {tried.requests:,} requests, "
        f"{tried.reasons['allowed']:,} allowed, {len(tried.reasons)} reasons",
        flush=True,
    )
    for one in found:
        if one.outcome == "proved":
            text = " ".join(one.invariant.statement.text.split())
            print(f"    met {tried.met[one.invariant.name]:>7,}  {one.invariant.quantity} {text}")
        elif one.outcome == "undecided":
            print(f"    undecided    {one.invariant.statement.text}: {'; '.join(one.why)}")
    for broken in tried.broken[:3]:
        print(f"    BROKEN  {broken.invariant.statement.text}\n    {json.dumps(msgspec.to_builtins(broken.request))}")
        print(f"    at {broken.now}: {broken.decision}")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
