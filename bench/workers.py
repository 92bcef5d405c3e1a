"""CPU seconds a decision with one worker and with two: `python -m bench.workers [--seconds 4] [--rounds 3]`.

Two servers on the same demonstration are asked by turns (A B A B), by `wrk` (Debian's package of that name), which has
to share the cores with them: the rate is no measure then, what the server's processes used of the CPU is. The
supervisor is counted too. Goal: two workers use at most 1.15 × what one does. Also told: how even the connections were
dealt, and the memory of each process (PSS: pages that several share are divided among them).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Final

import httpx

from bench.http import load
from tests.e2e.processes import Server, answer

GOAL: Final = 1.15
TICKS: Final = os.sysconf("SC_CLK_TCK")
ETL: Final = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}


def processes(server: Server) -> list[int]:
    """The server's process and its workers."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [server.pid, *map(int, children)]


def cpu_s(server: Server) -> float:
    """What all of its processes have used so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in processes(server)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICKS


def pss_mb(pid: int) -> float:
    """The memory of one process; what it shares is divided."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    return int(found[1]) / 1024 if found else 0.0


def decisions(server: Server) -> dict[str, float]:
    """Decisions so far, by worker."""
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    found: dict[str, float] = {}
    for labels, count in re.findall(r"^policy_service_decisions_total{(.*)} (\S+)$", text, re.M):
        worker = re.search(r'worker="(\d+)"', labels)
        name = worker[1] if worker else "0"
        found[name] = found.get(name, 0) + float(count)
    return found


def measure(server: Server, keys: dict[str, str], options: argparse.Namespace, folder: Path) -> tuple[float, float]:
    """(CPU µs a decision, decisions/s)."""
    body = json.dumps({"key": keys["service_key"], "scope": "pipelines:run", "resource": ETL})
    before = cpu_s(server)
    rate, _, failures = load(server.url, keys["caller_key"], body, options.seconds, options.connections, folder)
    assert failures == 0, f"{failures} answers were no decisions"
    return (cpu_s(server) - before) / (rate * options.seconds) * 1e6, rate


def main() -> int:
    """Serve with one and with two, ask by turns, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("skipped: needs wrk (apt-get install wrk)")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = answer("init", "--demo", "--data-dir", folder / "data")
        with Server(folder / "data") as one, Server(folder / "data", "--workers", "2") as two:
            costs: dict[str, list[tuple[float, float]]] = {"one": [], "two": []}
            for _ in range(options.rounds):
                for label, server in (("one", one), ("two", two)):
                    costs[label].append(measure(server, keys, options, folder))
            for label, server in (("one", one), ("two", two)):
                cost, rate = (statistics.median(each[which] for each in costs[label]) for which in (0, 1))
                print(f"{label} worker(s): {cost:6.1f} CPU µs a decision  {rate:7.0f} decisions/s beside wrk", end="  ")
                print("PSS, MB:", ", ".join(f"{pss_mb(pid):.0f}" for pid in processes(server)))
            print("decisions by worker:", decisions(two))
    ratio = statistics.median(b[0] / a[0] for a, b in zip(costs["one"], costs["two"], strict=True))
    print(f"two workers use {ratio:.2f} × what one uses for a decision (goal: at most {GOAL})")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
