"""Proofs: the built-in invariants on the shipped policies and on 1,000 rules, and two policies that differ in one rule.

Run: python -m bench.prove
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policy_service.analysis.differ import compare
from policy_service.analysis.prove import prove
from policy_service.analysis.solving import Budget
from policy_service.analysis.statements import builtin_invariants
from policy_service.language.invariants import load_invariants
from policy_service.language.load import load_policy
from policy_service.language.policy import Policy
from policy_service.service.policies.policy_folder import read_folder

SHIPPED = Path(__file__).parents[1] / "policies"
RULES = 1000
CONDITIONS = (
    'resource.attr.env == "env-{n}" && principal.kind == "user"',
    '!("team-{n}" in principal.teams) && resource.attr.level > {n}',
    'request.time < timestamp("2026-01-01T00:00:00Z") && request.ip.inCidr("10.{b}.0.0/16")',
    'has(request.context.ticket) && request.context.ticket == "T-{n}"',
    '"tag-{n}" in resource.attr.tags || resource.owner == principal.id',
)


def thousand_rules(*, changed: bool = False) -> dict[str, str]:
    """Rule files with 1,000 rules on one type, of all kinds of conditions; `changed`: one of them says otherwise."""
    files = read_folder(SHIPPED)
    rules = []
    for n in range(RULES):
        number = n + 1 if changed and n == RULES // 2 else n
        when = CONDITIONS[n % len(CONDITIONS)].format(n=number, b=n % 256).replace("'", "''")
        ids = f'["etl-{n}-*"]' if n % 2 else "[]"
        only = f"    resources: {ids}\n" if n % 2 else ""
        rules.append(f"  - name: rule-{n}\n    effect: deny\n{only}    when: '{when}'\n")
    files["resources/pipeline.yaml"] = (
        "resource: pipeline\nunregistered: allow\ndefault: allow\n"
        "attributes: {env: {type: string, default: dev}, level: {type: int, default: 0}, "
        "tags: {type: list(string), default: []}}\nrules:\n" + "".join(rules)
    )
    files["context.yaml"] = "context: {ticket: string}"
    return files


def timed(name: str, target_s: float, run: Callable[[], Any]) -> None:
    """Run once, and say how long it took."""
    begun, worked = time.perf_counter(), time.process_time()
    said = run()
    elapsed, processor = time.perf_counter() - begun, time.process_time() - worked
    print(f"{name:<48} {elapsed:6.2f} s elapsed {processor:6.2f} s processor (at most {target_s:g})  {said}")


def proved(policy: Policy, *more: Any) -> str:
    findings = prove(policy, (*builtin_invariants(policy), *more), Budget(60))
    assert {one.outcome for one in findings} == {"proved"}
    return f"{len(findings)} proved"


def main() -> None:
    """All figures."""
    files = read_folder(SHIPPED)
    shipped = load_policy(files)
    own = load_invariants(files, shipped).invariants
    timed("built-in invariants, shipped policies", 2, lambda: proved(shipped))
    timed("built-in and own invariants, shipped policies", 2, lambda: proved(shipped, *own))
    old, new = load_policy(thousand_rules()), load_policy(thousand_rules(changed=True))
    timed("built-in invariants, 1,000 rules", 30, lambda: proved(old))
    timed("diff of 1,000 rules, one changed", 10, lambda: compare(old, new, Budget(60)).verdict)
    timed("diff of 1,000 rules, none changed", 10, lambda: compare(old, old, Budget(60)).verdict)


if __name__ == "__main__":
    main()
