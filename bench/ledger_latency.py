"""What the ledger costs a request at half load: p50 and p99 with durability `off`, `os` and `fsync`, side by side.

    python -m bench.ledger_latency [--rounds 3] [--seconds 4] [--connections 32]

One server each, all on the first core and asked by turns, so that what happens to the machine happens to all. First
the peak of each, closed loop (`wrk`); then half of it as a fixed rate of arrival (`bench.peers.open_loop`), where a
request's latency counts from when it was due. Told are medians over the rounds, and each beside the ledger off at *its*
half. The answer is asserted before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from bench.http import load
from tests.e2e.processes import Server, answer

DURABILITIES: Final = ("off", "os", "fsync")
LIMIT: Final = 2.0
"""p99 with `os` at half load, beside the ledger off."""
COST: Final = 0.35
"""Of throughput, with `os`."""


class Asked(NamedTuple):
    """A server, and the question it is asked."""

    url: str
    key: str
    body: str


def started(stack: ExitStack, folder: Path, durability: str) -> Asked:
    """A demonstration that is served with this durability; its answer is right."""
    keys = answer("init", "--demo", "--data-dir", folder / durability)
    server = stack.enter_context(Server(folder / durability, POLICY_SERVICE_LEDGER_DURABILITY=durability))
    resource = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}
    ask = {"key": keys["service_key"], "scope": "pipelines:run", "resource": resource, "source_ip": "203.0.113.7"}
    headers = {"Authorization": f"Bearer {keys['caller_key']}"}
    first = httpx.post(f"{server.url}/decide", json=ask, headers=headers).json()
    assert first["decision"] == "allow", first
    return Asked(server.url, keys["caller_key"], json.dumps(ask))


def at_rate(asked: Asked, rate: float, connections: int, seconds: float) -> dict[str, Any]:
    """What the open loop tells."""
    job = {
        "url": asked.url,
        "path": "/decide",
        "headers": {"Authorization": f"Bearer {asked.key}", "Content-Type": "application/json"},
        "bodies": [asked.body],
        "rate": rate,
        "connections": connections,
        "seconds": seconds,
    }
    last = str((os.cpu_count() or 1) - 1)
    command = ["taskset", "-c", last, sys.executable, "-m", "bench.peers.open_loop"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["failures"] == 0, told
    return told


def measured(rounds: int, seconds: int, connections: int) -> tuple[dict[str, float], dict[str, list[dict[str, Any]]]]:
    """Peak of each, and what each round at half of it told."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        servers = {durability: started(stack, folder, durability) for durability in DURABILITIES}
        found: dict[str, list[float]] = {durability: [] for durability in DURABILITIES}
        for _ in range(rounds):
            for durability, asked in servers.items():
                rate, _, failures = load(asked.url, asked.key, asked.body, seconds, connections, folder)
                assert failures == 0
                found[durability].append(rate)
        peaks = {durability: statistics.median(rates) for durability, rates in found.items()}
        told: dict[str, list[dict[str, Any]]] = {durability: [] for durability in DURABILITIES}
        for _ in range(rounds):
            for durability, asked in servers.items():
                told[durability].append(at_rate(asked, peaks[durability] / 2, connections, seconds))
    return peaks, told


def main() -> int:
    """Print the figures; 1 where one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("skipped: needs wrk (apt-get install wrk)")
        return 0
    os.sched_setaffinity(0, {0})  # the servers inherit it
    peaks, told = measured(options.rounds, options.seconds, options.connections)
    print(
        f"latency at half of the peak, open loop, {options.connections} connections, medians of {options.rounds} rounds"
    )
    p99s = {}
    for durability in DURABILITIES:
        p50, p99, late = (
            statistics.median(one[name] for one in told[durability]) for name in ("p50_ms", "p99_ms", "late_p99_ms")
        )
        p99s[durability] = p99
        print(
            f"  {durability:6} peak {peaks[durability]:7.0f}/s ({peaks[durability] / peaks['off']:4.0%} of off)   "
            f"p50 {p50:7.3f} ms  p99 {p99:7.3f} ms ({p99 / p99s['off']:4.1f} x off)   generator late by {late:.3f} ms"
        )
    is_met = p99s["os"] <= LIMIT * p99s["off"] and peaks["os"] >= (1 - COST) * peaks["off"]
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
