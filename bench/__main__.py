"""`make bench`: the figures, one after the other. Each bench asserts its answers before it times anything.

python -m bench [NAME …]
"""

from __future__ import annotations

import runpy
import sys

BENCHES = (
    "policy_check",
    "policy_watch",
    "policy_lint",
    "policy_test",
    "decide",
    "batch",
    "lane",
    "http",
    "workers",
    "revocation",
    "ledger_latency",
    "policy_live",
    "policy_activation",
    "store",
    "admin",
    "import_keys",
    "changes_page",
    "merkle",
    "verify",
    "prove",
    "replay",
)


def main(names: list[str]) -> int:
    """Run the named benches, or all; 1 if one of them says that a figure was missed."""
    missed = 0
    for name in names or BENCHES:
        print(f"\n== {name}", flush=True)
        sys.argv = [name]
        try:
            runpy.run_module(f"bench.{name}", run_name="__main__", alter_sys=False)
        except SystemExit as end:
            missed |= bool(end.code)
    # A time never fails a build: a missed figure is printed, and that is all.
    if missed:
        print("\nsome figure was missed; see above")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
