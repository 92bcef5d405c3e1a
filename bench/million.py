"""A million keys: start-up, memory of a machine, and what a decision costs: `python -m bench.million [KEYS]`.

The world is that of `workloads.py`: for every hundred keys 22 users with a membership each. Its store is filled through
the feed of changes, some hundred facts a change as an import does, and kept in `build/million/` for the next run.

Memory is what the kernel counts: of a page that several processes have, each is told its share (PSS); the sum over the
processes is what the machine gives. It is read when every key has been asked for once in one process or another.
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from bench.peers.targets import filled
from bench.workloads import ACME, NOW, RUN, World, key_text
from policy_service.engine.decide import decide
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.model.request import Credential, Request, ResourceRef
from policy_service.service.following.snapshot_file import SnapshotFiles
from policy_service.service.following.snapshot_making import hash_at
from policy_service.store import Store
from tests.e2e.processes import COMMAND, ROOT, Server, environment
from tests.worlds import Programs, program_of

BUILD: Final = ROOT / "build" / "million"
SHIPPED: Final = 100
ASKED: Final = 4000
ROUNDS: Final = 9


def world_of(keys: int) -> World:
    """So many keys; other facts grow with them."""
    return World(keys=keys, rules=SHIPPED, teams=max(20, keys // 1000))


def folder_of(keys: int) -> Path:
    """A data directory with the world in it, filled if it is not there yet."""
    folder = BUILD / str(keys)
    if not (folder / "caller").exists():
        started = time.perf_counter()
        folder.mkdir(parents=True, exist_ok=True)
        caller = filled(folder / "data", folder / "policies", world_of(keys), size=500)
        (folder / "caller").write_text(caller)
        print(f"{keys} keys: a store was filled in {time.perf_counter() - started:.0f} s", flush=True)
    return folder


# ---- start-up


def start_up(folder: Path) -> None:
    """Seconds from the start of the process to the first answer of `/readyz`, without and with a snapshot file."""
    caller = (folder / "caller").read_text()
    made = folder / "data" / "snapshot"
    for path in made.glob("*"):
        path.unlink()
    took, peak = run_measured([*COMMAND, "snapshot", "--data-dir", str(folder / "data")])
    size = sum(path.stat().st_size for path in made.glob("*.facts")) / 1e6
    print(f"  the snapshot file from nothing: {took:.1f} s in its own process, {peak:.0f} MB at most; {size:.0f} MB")
    for _ in range(3):
        started = time.perf_counter()
        with Server(folder / "data") as server:
            ready = time.perf_counter() - started
            assert ask(server, caller, key_text(f"k{0:011d}"))["reason"] == "revoked_key"
            print(f"  from the file, ready in {ready:.2f} s; PSS {pss_mb(server._process.pid):.0f} MB")


def ask(server: Server, caller: str, text: str) -> Any:
    """A decision over HTTP."""
    resource = {"type": "pipeline", "id": "etl-1", "workspace": ACME}
    return server.decide(caller, key=text, scope=RUN, resource=resource)


def run_measured(command: list[str]) -> tuple[float, float]:
    """Seconds that a command takes, and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(process.pid, 0)
    process.returncode = code
    assert code == 0, code
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def pss_mb(*pids: int) -> float:
    """The proportional share of memory of these processes, together."""
    texts = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith("Pss:")) / 1024


# ---- memory and decisions, in processes of their own


def based(folder: Path, program: Program) -> Snapshot:
    """A snapshot over the newest file."""
    store = Store.open(f"sqlite:///{folder / 'data' / 'policy.db'}")
    base = SnapshotFiles(folder / "data" / "snapshot").newest(hash_at(store))
    assert base is not None
    assert base.revision == store.head()
    store.close()
    snapshot = Snapshot(Programs(program), base)
    snapshot.settle()
    return snapshot


def requests(keys: int, law: str) -> list[Request]:
    """Questions that are allowed, of keys drawn by Zipf's law (exponent 1) or uniformly."""
    draw = random.Random(7)
    weights = list(accumulate(1 / rank for rank in range(1, keys + 1))) if law == "zipf" else []

    def number() -> int:
        if not weights:
            return draw.randrange(keys)
        # The busy keys are anywhere among the others.
        return (bisect_right(weights, draw.random() * weights[-1]) * 7_368_787) % keys

    ordinary = (one for one in iter(number, None) if one % 100 >= 10)
    return [
        Request(
            Credential("verified", f"k{next(ordinary):011d}", 1),
            RUN,
            ResourceRef("pipeline", f"etl-{draw.randrange(200)}"),
            "10.2.0.9",
            {},
        )
        for _ in range(ASKED)
    ]


def one_process(keys: int, share: int, of: int) -> None:
    """What a child does: report as it is told to, line by line."""
    folder, program = folder_of(keys), program_of(world_of(keys).files())
    gc.disable()
    snapshot = based(folder, program)
    gc.freeze()
    gc.enable()
    tell(ready=True)
    for line in sys.stdin:
        match line.split():
            case ["touch"]:
                tell(allowed=touch(snapshot, keys, share, of))
            case ["time", law]:
                tell(ns=time_decisions(snapshot, keys, law))


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def touch(snapshot: Snapshot, keys: int, share: int, of: int) -> int:
    """Decide for every key of this process's share once."""
    place = ResourceRef("pipeline", "etl-1")
    allowed = 0
    for number in range(share, keys, of):
        asked = Request(Credential("verified", f"k{number:011d}", 1), RUN, place, "10.2.0.9", {})
        allowed += decide(asked, snapshot, NOW).allowed
    return allowed


def time_decisions(snapshot: Snapshot, keys: int, law: str) -> dict[str, float]:
    """Nanoseconds of processor time: the median and the mean over single decisions, each question new to the clock."""
    clock, taken = time.thread_time_ns, []
    warm = requests(keys, law)
    for asked in warm:
        assert decide(asked, snapshot, NOW).allowed
    empty = statistics.median(measure_empty(clock))
    for asked in warm[: ASKED // 2] if law == "zipf" else requests(keys, law):
        began = clock()
        decide(asked, snapshot, NOW)
        taken.append(clock() - began - empty)
    return {"median": statistics.median(taken), "mean": statistics.fmean(taken)}


def measure_empty(clock: Callable[[], int]) -> Iterator[int]:
    """What the clock itself takes."""
    for _ in range(1000):
        began = clock()
        yield clock() - began
