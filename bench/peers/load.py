"""Load over HTTP from the other core: as fast as answers come (`wrk`), or at a fixed rate of arrival (`open_loop`).

A closed loop asks again when it was answered, so a slow server is asked less and looks better than it is; a fixed rate
of arrival is what callers do, and there a question's time counts from when it was due.

Source: wrk's README; Gil Tene, "How NOT to Measure Latency", and wrk2's README on coordinated omission.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.peers.targets import Target

LOAD_CORE: Final = (os.cpu_count() or 1) - 1
WHY_NO_WRK: Final = "needs wrk (apt-get install wrk)"
_SCRIPT: Final = """
local asked = {}
local next = 0
function init(args)
  for line in io.lines("%(bodies)s") do
    asked[#asked + 1] = wrk.format("POST", "%(path)s", %(headers)s, line)
  end
end
function request()
  next = next %% #asked + 1
  return asked[next]
end
"""
_UNITS_MS: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class Loaded(msgspec.Struct, frozen=True):
    """What came of one run of load. `cpu_us`: the server's processor time for a request."""

    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    failures: int


def has_wrk() -> bool:
    """Whether there is a `wrk`."""
    return shutil.which("wrk") is not None


def closed_loop(target: Target, bodies: Sequence[str], connections: int, seconds: int) -> Loaded:
    """Ask over so many connections, each again as soon as it was answered."""
    with tempfile.TemporaryDirectory() as name:
        script = _write_script(Path(name), target, bodies)
        before = target.cpu_s()
        wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), target.url]
        out = subprocess.run(_on_load_core(wrk), capture_output=True, text=True, check=True).stdout
        cpu_s = target.cpu_s() - before
    count, rate = int(_found(r"(\d+) requests in", out)), float(_found(r"Requests/sec:\s+([\d.]+)", out))
    failures = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return Loaded(
        connections=connections,
        rate=round(rate, 1),
        p50_ms=_milliseconds(_found(r"(?m)^\s+50%\s+(\S+)", out)),
        p99_ms=_milliseconds(_found(r"(?m)^\s+99%\s+(\S+)", out)),
        cpu_us=round(cpu_s / count * 1e6, 2),
        failures=int(failures[1]) if failures else 0,
    )


def open_loop(target: Target, bodies: Sequence[str], rate: float, connections: int, seconds: float) -> dict[str, Any]:
    """Ask at a fixed rate, whatever the answers do. See `open_loop.py` for what is told."""
    job = {
        "url": target.url,
        "path": target.path,
        "headers": dict(target.headers),
        "bodies": list(bodies),
        "rate": rate,
        "connections": connections,
        "seconds": seconds,
    }
    return _generate([], json.dumps(job))


def ceiling(seconds: float) -> dict[str, Any]:
    """What the open-loop generator itself can do, against a server that does nothing."""
    return _generate(["--ceiling", str(seconds)], "")


def _generate(arguments: list[str], stdin: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.peers.open_loop", *arguments]
    done = subprocess.run(_on_load_core(command), input=stdin, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _on_load_core(command: list[str]) -> list[str]:
    return ["taskset", "-c", str(LOAD_CORE), *command]


def _write_script(folder: Path, target: Target, bodies: Sequence[str]) -> Path:
    """A script for wrk that asks the questions one after the other, for ever."""
    (folder / "bodies").write_text("".join(f"{body}\n" for body in bodies))
    headers = ", ".join(f'["{name}"] = "{value}"' for name, value in target.headers.items())
    script = folder / "ask.lua"
    script.write_text(_SCRIPT % {"bodies": folder / "bodies", "path": target.path, "headers": f"{{{headers}}}"})
    return script


def _found(pattern: str, out: str) -> str:
    found = re.search(pattern, out)
    assert found is not None, out
    return found[1]


def _milliseconds(text: str) -> float:
    """A duration as wrk writes it: `950.00us`, `1.23ms`, `2.00s`."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]  # wrk writes no other
    return round(float(number) * _UNITS_MS[unit], 3)
