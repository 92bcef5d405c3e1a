"""What catches a broken policy: the loader, the suite, the invariants, the comparison with the policy before.

    python -m tests.mutants.caught

writes docs/broken-policies.md, which a test compares with what is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from policy_service.analysis.differ import compare
from policy_service.analysis.prove import prove
from policy_service.analysis.run_suite import run_suite
from policy_service.analysis.solving import Budget
from policy_service.analysis.statements import builtin_invariants
from policy_service.engine.link import compile_policy
from policy_service.language.invariants import load_invariants
from policy_service.language.load import load
from policy_service.language.policy import Policy
from policy_service.language.suite.load import load_suite
from tests.mutants.broken import EXTENDED, SHIPPED, Broken, applied, extended, shipped

PAGE: Final = Path(__file__).parents[2] / "docs/broken-policies.md"
WAYS: Final = ("check", "test", "prove", "diff")
SECONDS: Final = 60.0


def caught_by(files: dict[str, str], before: Policy) -> dict[str, str]:
    """Which of the four find fault with rule files, in a word each."""
    loaded = load(files)
    if loaded.policy is None:
        return {"check": next(one.code for one in loaded.diagnostics if one.severity == "error")}
    ways = {"test": by_tests, "prove": by_proof}
    found = {way: said for way, judge in ways.items() if (said := judge(files, loaded.policy))}
    verdict = compare(before, loaded.policy, Budget(SECONDS)).verdict
    return found if verdict == "equivalent" else found | {"diff": verdict}


def by_tests(files: dict[str, str], policy: Policy) -> str:
    """How many cases of the suite come out otherwise; a suite that does not fit the policy any more is broken, too."""
    suite = load_suite(files, policy)
    if any(one.severity == "error" for one in suite.diagnostics):
        return "refused"
    failed = sum(len(one.failures()) for one in run_suite(suite.tests, compile_policy(policy)))
    return f"{failed} case{'s' if failed > 1 else ''}" if failed else ""


def by_proof(files: dict[str, str], policy: Policy) -> str:
    """Which invariants are refuted."""
    own = load_invariants(files, policy)
    if any(one.severity == "error" for one in own.diagnostics):
        return "refused"
    findings = prove(policy, (*builtin_invariants(policy), *own.invariants), Budget(SECONDS))
    return ", ".join(one.invariant.name for one in findings if one.outcome == "refuted")


def rows() -> Iterator[tuple[str, Broken, dict[str, str]]]:
    """Of every slip: which policies it breaks, and what catches it."""
    for base, files, several in (("shipped", shipped(), SHIPPED), ("extended", extended(), EXTENDED)):
        before = load(files).policy
        assert before is not None
        for broken in several:
            yield base, broken, caught_by(applied(broken, files), before)


def row(broken: Broken, found: dict[str, str]) -> str:
    """A line of the table."""
    cells = [found.get(way, "") for way in WAYS]
    return f"| {broken.what} | `{broken.file}` | " + " | ".join(cells) + " |"


def page(lines: dict[str, list[str]]) -> str:
    """The whole page, from the lines of each table."""
    head = "| slip | in | " + " | ".join(WAYS) + " |\n|---|---|" + "---|" * len(WAYS)
    return TEXT.format(
        count=sum(map(len, lines.values())),
        shipped="\n".join([head, *lines["shipped"]]),
        extended="\n".join([head, *lines["extended"]]),
    )


TEXT: Final = """\
# What catches a broken policy

{count} slips that an author could make, one at a time, and which of the workbench's commands finds fault with the files
afterwards. Written by `python -m tests.mutants.caught`; a test holds each line to what is found.

- **check**: the files are refused, with this code
- **test**: so many cases of the suite beside the rules come out otherwise (`refused`: the suite no longer fits)
- **prove**: these invariants are refuted, by a request that the engine decided
- **diff**: compared with the policy before, by proof. It sees any change of what is allowed, and of nothing else: where
  only a *reason* changes, the suite has to say so

Where nothing but `diff` speaks, nothing but a comparison could: the scopes that this service asks for itself are asked
for by no request.

## The shipped policies

{shipped}

## With condition checks, networks, numbers and instants

The files in `tests/mutants/extended` beside the shipped ones.

{extended}
"""


def main() -> int:
    """Write the page."""
    lines: dict[str, list[str]] = {"shipped": [], "extended": []}
    for base, broken, found in rows():
        lines[base].append(row(broken, found))
        print(lines[base][-1], flush=True)
    PAGE.write_text(page(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
