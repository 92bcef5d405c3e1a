"""How soon `policy check --watch` answers a save of one file among 1,000 rules: `python -m bench.policy_watch [rules]`.

The command itself runs, in a process of its own, on made-up rule files (see `policy_check`): ten files, of which
one is saved again and again with another condition. That each answer is the new one is asserted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.policy_check import policy_files

ROUNDS = 12
LIMIT_S = 0.15
"""For 1,000 rules, from the end of the save to the whole answer; the median is judged."""


def main() -> int:
    """Print the figures; 1 when 1,000 rules take longer than they may."""
    rules = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        for name, text in policy_files(rules).items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        command = [sys.executable, "-m", "policy_service", "policy", "check", folder, "--watch", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
            try:
                times = measured(Path(folder) / "resources/type-3.yaml", watching)
            finally:
                watching.terminate()
    print(f"policy check --watch: {rules} rules in ten files, one saved, {ROUNDS} rounds")
    print(f"  answered   median {statistics.median(times) * 1000:.0f} ms, worst {max(times) * 1000:.0f} ms")
    return 0 if statistics.median(times) <= LIMIT_S * max(1.0, rules / 1000) else 1


def measured(path: Path, watching: subprocess.Popen[str]) -> list[float]:
    """Seconds from each save to its answer. Saved as editors do: beside, then put in place."""
    assert watching.stdout is not None
    seen, times, text = {json.loads(watching.stdout.readline())["digest"]}, [], path.read_text()
    for number in range(ROUNDS):
        time.sleep(0.3 + number / 97)
        beside = path.with_name(".saved")
        beside.write_text(text.replace("resource.attr.size > 3 ", f"resource.attr.size > {number + 5000} "))
        beside.replace(path)
        begun = time.perf_counter()
        answer = json.loads(watching.stdout.readline())
        times.append(time.perf_counter() - begun)
        assert answer["ok"], answer
        assert answer["digest"] not in seen
        seen.add(answer["digest"])
    return times


if __name__ == "__main__":
    raise SystemExit(main())
