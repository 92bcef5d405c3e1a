"""How long from saving a rule file to the decision by it: `python -m bench.policy_live [rules] [rounds]`.

A real server serves a folder of that many rules with conditions (`serve --policies`), and is asked all the while. What
is measured is what an author waits for: from the end of the write to the end of the first answer by the new bundle.
Besides, how long the slowest answer took while the server compiled: compiling must not hold up decisions.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

import httpx

from bench.policy_check import policy_files

LIMIT_S = 2.0
"""For 1,000 rules."""

PIPELINES = """\
resource: pipeline
unregistered: allow
default: allow
rules:
  - name: edited
    effect: deny
    resources: [edited]
    reason: edited_{round}
"""
COMMAND = (sys.executable, "-m", "policy_service")


def write_folder(folder: Path, rules: int) -> None:
    """A policy of that many rules, and one more type that is edited and asked about."""
    files = policy_files(rules)
    files["scopes.yaml"] += "  pipelines:run:\n    on: [pipeline]\n  pipelines:read:\n    on: [pipeline]\n"
    files["roles.yaml"] = "roles:\n  operator:\n    scopes: [pipelines:read, pipelines:run]\n"
    files["resources/pipeline.yaml"] = PIPELINES.format(round=0)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def main() -> int:
    """Print the figures; 1 when an edit of 1,000 rules takes longer than it may."""
    rules = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as place:
        folder, data = Path(place, "policies"), Path(place, "data")
        write_folder(folder, rules)
        command = [*COMMAND, "init", "--demo", "--json", "--data-dir", str(data), "--policies", str(folder)]
        keys = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        serve = [*COMMAND, "serve", "--port", "0", "--data-dir", str(data), "--policies", str(folder)]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=environment) as server:
            assert server.stdout is not None
            try:
                lives, slowest = measured(listening_url(server.stdout), keys, folder, rounds)
            finally:
                server.terminate()
    print(f"policy live: {rules} rules with conditions, {rounds} edits on a running server that is asked all the while")
    print(f"  edit to first decision by it  median {statistics.median(lives):.2f} s, worst {max(lives):.2f} s")
    print(f"  slowest answer meanwhile      median {statistics.median(slowest):.0f} ms, worst {max(slowest):.0f} ms")
    return 0 if statistics.median(lives) <= LIMIT_S * max(1.0, rules / 1000) else 1


def listening_url(output: IO[str]) -> str:
    """Where the server listens, once it does."""
    for line in output:
        if line.startswith("listening on "):
            return line.split()[2]
    raise RuntimeError("the server did not start; its log says why")


def measured(url: str, keys: dict[str, str], folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds from each edit to the first decision by it, and milliseconds of the slowest answer meanwhile."""
    question = {"key": keys["service_key"], "scope": "pipelines:run"}
    question |= {"resource": {"type": "pipeline", "id": "edited", "workspace": "demo"}}
    headers = {"Authorization": f"Bearer {keys['caller_key']}"}
    lives, slowest = [], []
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        for number in range(1, rounds + 1):
            (folder / "resources/pipeline.yaml").write_text(PIPELINES.format(round=number))
            start, worst, reason = time.perf_counter(), 0.0, ""
            while reason != f"edited_{number}":
                asked = time.perf_counter()
                reason = client.post("/decide", json=question).json()["reason"]
                worst = max(worst, time.perf_counter() - asked)
                assert time.perf_counter() - start < 60, "the edit never came"
                time.sleep(0.005)
            lives.append(time.perf_counter() - start)
            slowest.append(worst * 1000)
    return lives, slowest


if __name__ == "__main__":
    raise SystemExit(main())
