"""How long `policy test` takes for 2,000 cases, from reading the folder to the verdict: `python -m bench.policy_test`.

The shipped policies are tested, by their own facts and made-up cases: 100 tests of 20 cases, every fourth test with
facts of its own. What the cases come to is asserted before anything is timed.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from policy_service.cli.policy.testing.run import run_folder
from policy_service.service.policies.policy_folder import shipped_folder

CASES = 2000
ROUNDS = 5
LIMIT_S = 2.0

TEST = """
  - name: made-up test {n}
    keys: [oscar-key, petra-key, ci-key, vera-key]
    scopes: pipelines:run
    resources: [pipeline:orders, pipeline:reports, new-pipeline, pipeline:ledger-2019, pipeline:made-up]
    facts: {{resources: {{"pipeline:made-up": {{attributes: {{env: "{env}"}}}}}}}}
    expect:
      - {{decision: allow, keys: [petra-key, ci-key], resources: [pipeline:orders, new-pipeline, pipeline:made-up]}}
      - {{decision: allow, keys: [petra-key, ci-key, oscar-key], resources: pipeline:reports}}
      - {{decision: allow, keys: oscar-key, resources: [new-pipeline, pipeline:made-up]}}
"""


def folder_of(root: Path) -> Path:
    """The shipped rule files with that many cases."""
    path = Path(shutil.copytree(shipped_folder(), root / "policies"))
    for file in (path / "tests").glob("*.yaml"):
        if file.name != "facts.yaml":
            file.unlink()
    tests = "".join(TEST.format(n=number, env=f"env-{number // 4}") for number in range(CASES // 20))
    (path / "tests/made-up.yaml").write_text(f"tests:{tests}")
    return path


def main() -> int:
    """Print the figures; 1 when 2,000 cases take longer than they may."""
    with tempfile.TemporaryDirectory() as root:
        path = folder_of(Path(root))
        tested = run_folder(path)
        assert tested.cases == CASES
        assert tested.is_good, next(f for r in tested.results for f in r.failures())
        walls = [run_folder(path).elapsed_s for _ in range(ROUNDS)]
        begun = time.process_time()
        run_folder(path)
        processor = time.process_time() - begun
    print(f"policy test: {CASES} cases, {ROUNDS} rounds")
    print(f"  elapsed    median {statistics.median(walls) * 1000:.0f} ms, best {min(walls) * 1000:.0f} ms")
    print(f"  processor  {processor * 1000:.0f} ms")
    return 0 if statistics.median(walls) <= LIMIT_S else 1


if __name__ == "__main__":
    sys.exit(main())
