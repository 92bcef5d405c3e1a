"""How long `policy lint` takes to prove what it says of 1,000 rules: `python -m bench.policy_lint [rules]`.

Twice: ten resource types with a hundred rules each (see `policy_check`), and a thousand rules on one type, half of
which can apply to any request (see `prove`; there the number of rules is fixed). Into the first, rules are put that can
never decide; that they are found, and nothing else, is asserted.
"""

from __future__ import annotations

import sys
import time

from bench.policy_check import policy_files
from bench.prove import thousand_rules
from policy_service.analysis.rule_proofs import SolverProver
from policy_service.language.load import load_policy
from policy_service.language.policy import Policy

LIMIT_S = 5.0
ALL_ON_ONE_LIMIT_S = 30.0
"""For 1,000 rules; the elapsed time of one run is judged."""
TIMEOUT_S = 120.0
USELESS = """
  - name: a-contradiction
    effect: deny
    when: resource.attr.size > 7 && resource.attr.size < 7
  - name: zz-shadowed
    effect: deny
    resources: ["etl-10-*"]
    when: principal.id == "ops" && resource.attr.size > 3
  - name: aa-first
    effect: deny
    resources: ["etl-10-*"]
    when: principal.id == "ops" && resource.attr.size > 2
"""
FOUND = {"never-satisfied", "shadowed-rule"}


def with_useless(files: dict[str, str]) -> dict[str, str]:
    """The same with three more rules on one type, two of which never decide."""
    name = "resources/type-0.yaml"
    return {**files, name: files[name] + USELESS.lstrip("\n")}


def measured(title: str, policy: Policy, expected: set[str], limit_s: float) -> int:
    """One policy; 1 when it takes longer than it may."""
    begun, worked = time.perf_counter(), time.process_time()
    proofs = SolverProver(TIMEOUT_S).prove(policy)
    elapsed, processor = time.perf_counter() - begun, time.process_time() - worked
    assert {one.code for one in proofs.found} == expected, proofs.found
    rules = sum(len(resource.rules) for resource in policy.resources.values())
    print(f"policy lint: {rules} rules, {title}")
    print(f"  elapsed {elapsed:.2f} s (at most {limit_s:g}), processor {processor:.2f} s")
    print(f"  {len(proofs.found)} found, {len(proofs.undecided)} undecided")
    return int(elapsed > limit_s or bool(proofs.undecided))


def main() -> int:
    """Print the figures; 1 when the rules take longer than they may, or one is undecided."""
    rules = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    several = load_policy(with_useless(policy_files(rules)))
    missed = measured("ten types", several, FOUND, LIMIT_S * max(1.0, rules / 1000))
    return missed | measured("all on one type", load_policy(thousand_rules()), set(), ALL_ON_ONE_LIMIT_S)


if __name__ == "__main__":
    raise SystemExit(main())
