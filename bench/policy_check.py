"""How long `load` takes for 1,000 rules with conditions, and for 10,000: `python -m bench.policy_check [rules]`.

The policy is made up here, ten resource types alike. No two conditions are the same, but they are of four shapes, as in
large policies many are alike but for their literals, and what CEL makes of a shape serves for all of them. So the same
is measured again with no two conditions of one shape: that is the worst case, told and not judged. What a policy means
is asserted before anything is timed.
"""

from __future__ import annotations

import statistics
import sys
import time

from policy_service.language.load import load
from policy_service.model.reasons import CHECKS

TYPES = 10
ROUNDS = 7
ROUNDS_OF_MANY = 3
LIMIT_S = 0.5
"""For 1,000 rules; the median of the elapsed time is judged."""

RULE = """
  - name: rule-{n}
    effect: {effect}
    scopes: [{type}s:run]
    resources: ["etl-{n}-*"]
    when: {when}
"""
DENY = "    reason: production_locked\n    message: Production pipelines are run by the operators team.\n"
CONDITIONS = (
    """has(resource.attr.env) && resource.attr.env == "prod-{n}" && !("operators-{n}" in principal.teams)""",
    """'has(request.ip) && request.ip.inNetwork("office") && request.time < timestamp("2099-12-20T00:00:{s:02}Z")'""",
    """resource.attr.tags.exists(tag, tag == "frozen-{n}")""",
    """resource.attr.size > {n} && resource.id.startsWith("etl-{n}")""",
)


def policy_files(rules: int, *, is_alike: bool = True) -> dict[str, str]:
    """A policy of that many rules with conditions, half of them deny rules.

    Args:
        is_alike: whether conditions may be of one shape.
    """
    types = [f"type-{number}" for number in range(TYPES)]
    files = {
        "chain.yaml": "chain:\n" + "".join(f"  - check: {name}\n" for name in CHECKS),
        "scopes.yaml": "scopes:\n" + "".join(f"  {name}s:run:\n    on: [{name}]\n" for name in types),
        "networks.yaml": "networks:\n  office: [203.0.113.0/24]\n",
    }
    for index, name in enumerate(types):
        own = "".join(rule(number, name, is_alike=is_alike) for number in range(index, rules, TYPES))
        files[f"resources/{name}.yaml"] = f"resource: {name}\nattributes:{ATTRIBUTES}rules:{own or ' []'}"
    return files


ATTRIBUTES = """
  env: {type: string, from: store}
  tags: {type: list(string), default: []}
  size: {type: int, default: 0}
"""


def rule(number: int, type_: str, *, is_alike: bool = True) -> str:
    """One rule; condition and effect by its number."""
    when = CONDITIONS[number % len(CONDITIONS)].format(n=number, s=number % 60)
    if not is_alike:
        quote = "'" if when[0] == "'" else ""
        # A name is no literal: it belongs to the shape.
        when = f"{quote}has(key.labels.l{number}) || ({when.strip(quote or ' ')}){quote}"
    effect = "deny" if number // TYPES % 2 else "allow"
    text = RULE.format(n=number, type=type_, effect=effect, when=when)
    return text + DENY if effect == "deny" else text


def main() -> int:
    """Print the figures; 1 when the rules take longer than they may."""
    sizes = [int(sys.argv[1])] if len(sys.argv) > 1 else [1000, 10_000]
    missed = max(measured(rules) for rules in sizes)
    for rules in sizes:
        measured(rules, is_alike=False)
    return missed


def measured(rules: int, *, is_alike: bool = True) -> int:
    """One size; 1 when it takes longer than it may."""
    files = policy_files(rules, is_alike=is_alike)
    loaded = load(files)
    assert loaded.diagnostics == (), loaded.diagnostics[0]
    assert loaded.policy is not None
    assert sum(len(resource.rules) for resource in loaded.policy.resources.values()) == rules
    rounds = ROUNDS if rules <= 1000 else ROUNDS_OF_MANY
    walls, processors = zip(*(timed(files) for _ in range(rounds)), strict=True)
    size = sum(map(len, files.values())) // 1024
    alike = "of four shapes" if is_alike else "no two of one shape"
    print(f"policy check: {rules} rules with conditions, {alike}, {size} KiB, {rounds} rounds")
    print(f"  elapsed    median {statistics.median(walls) * 1000:.0f} ms, best {min(walls) * 1000:.0f} ms")
    print(f"  processor  median {statistics.median(processors) * 1000:.0f} ms, best {min(processors) * 1000:.0f} ms")
    return 0 if statistics.median(walls) <= LIMIT_S * max(1.0, rules / 1000) else 1


def timed(files: dict[str, str]) -> tuple[float, float]:
    """Seconds of one load, elapsed and of the processor; a gap between them says that the machine was busy."""
    wall, processor = time.perf_counter(), time.process_time()
    load(files)
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    raise SystemExit(main())
