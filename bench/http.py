"""Requests/s of `POST /decide` over HTTP, one server process, 32 connections, load from a second process.

    python -m bench.http [--seconds 5] [--connections 32] [--durability os] [--lanes on off]

Beside the fast lane the documented route is measured, which answers the same when the lane is off.
With each durability of the ledger in turn its cost is seen, and how many records share a write. Needs `wrk` (Debian's
package of that name). The server is pinned to the first core, the load to the last; the answer is asserted before
anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from tests.e2e.processes import Server, answer

LUA = """
wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer {key}"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
"""


def load(url: str, key: str, body: str, seconds: int, connections: int, folder: Path) -> tuple[float, str, int]:
    """(requests/s, latencies, failures) as wrk tells them."""
    script = folder / "ask.lua"
    script.write_text(LUA.format(key=key, body=body))
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), f"{url}/decide"]
    pinned = ["taskset", "-c", str((os.cpu_count() or 1) - 1), *wrk]
    out = subprocess.run(pinned, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    latencies = dict(re.findall(r"(50|99)%\s+(\S+)", out))
    failures = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    assert rate is not None, out
    told = f"median {latencies.get('50', '?')}  p99 {latencies.get('99', '?')}"
    return float(rate[1]), told, int(failures[1]) if failures else 0


def records_per_write(url: str) -> str:
    """The size of groups, as the server's metrics tell it."""
    metrics = httpx.get(f"{url}/metrics").text
    found = dict(re.findall(r"^policy_service_ledger_records_per_write_(sum|count) (\S+)$", metrics, re.M))
    return f"{float(found['sum']) / float(found['count']):.1f}" if found else "none"


def measure(lane: str, folder: Path, keys: dict[str, str], options: argparse.Namespace) -> None:
    """Serve the demonstration with the lane on or off, ask it, print."""
    given = {"POLICY_SERVICE_LEDGER_DURABILITY": options.durability, "POLICY_SERVICE_FAST_LANE": lane}
    with Server(folder / "data", **given) as server:
        for title, (key, pipeline, expected) in {
            "service key, unregistered pipeline": (keys["service_key"], "etl-42", "allow"),
            "user key, registered pipeline, a rule denies": (keys["user_key"], "etl-nightly", "deny"),
        }.items():
            resource = {"type": "pipeline", "id": pipeline, "workspace": "demo"}
            ask = {"key": key, "scope": "pipelines:run", "resource": resource, "source_ip": "203.0.113.7"}
            headers = {"Authorization": f"Bearer {keys['caller_key']}"}
            first = httpx.post(f"{server.url}/decide", json=ask, headers=headers).json()
            assert first["decision"] == expected, first
            rate, latency, failures = load(
                server.url, keys["caller_key"], json.dumps(ask), options.seconds, options.connections, folder
            )
            assert failures == 0, f"{failures} answers were no decisions"
            print(f"lane {lane:3} {title:46} {rate:8.0f} requests/s  {latency}")
        print(f"ledger {options.durability}: records per write {records_per_write(server.url)}")


def main() -> int:
    """Serve the demonstration, ask it, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--durability", choices=("fsync", "os", "off"), default="os")
    parser.add_argument("--lanes", choices=("on", "off"), nargs="+", default=["on", "off"])
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("skipped: needs wrk (apt-get install wrk)")
        return 0
    os.sched_setaffinity(0, {0})  # the server inherits it
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = answer("init", "--demo", "--data-dir", folder / "data")
        for lane in options.lanes:
            measure(lane, folder, keys, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
