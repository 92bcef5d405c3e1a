"""A million keys: start-up, memory of a machine, and what a decision costs: `python -m bench.million [KEYS] [--anew]`.

The world is that of `workloads.py`: for every hundred keys 22 users with a membership each. Its store is filled through
the feed of changes, some hundred facts a change as an import does, and kept in `build/million/` for the next run; with
`--anew` its snapshot file is made from nothing, which is told too.

*Memory* is what the kernel counts: of a page that several processes have, each is told its share (PSS); the sum over
the processes is what the machine gives. It is told after the start, and once every page of the file was needed by one
worker or another: one key of twenty is asked for over HTTP, in the file's order. *Time* is told as it passes and as the
processor's: on a busy machine the second says more.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import IO, Final

import httpx

from bench.peers.targets import filled
from bench.workloads import NOW, RUN, World, key_text
from policy_service.engine.decide import decide
from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.model.request import Credential, Request, ResourceRef
from policy_service.service.following.snapshot_file import SnapshotFiles
from policy_service.service.following.snapshot_making import hash_at
from policy_service.store import Store
from tests.e2e.processes import COMMAND, ROOT, Server, answer, environment
from tests.worlds import Programs, program_of

BUILD: Final = ROOT / "build" / "million"
RULES: Final = 100
LAWS: Final = ("zipf", "uniform")
ASKED: Final = 20_000
ROUNDS: Final = 7
WARM: Final = 4
"""Rounds that nobody times: until as much comes into what is kept as goes."""


def world_of(keys: int) -> World:
    """So many keys; other facts grow with them."""
    return World(keys=keys, rules=RULES, teams=max(20, keys // 1000))


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


# ---- start-up and memory of servers


def make_file(folder: Path) -> None:
    """The snapshot file from nothing, and what it takes."""
    for path in (folder / "data" / "snapshot").glob("*"):
        path.unlink()
    command = [*COMMAND, "snapshot", "--data-dir", str(folder / "data")]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL)
    _, process.returncode, usage = os.wait4(process.pid, 0)
    assert process.returncode == 0
    took, cpu = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    print(f"  its file from nothing: {took:.1f} s ({cpu:.1f} s of processor), {usage.ru_maxrss / 1024:.0f} MB at most")


def serve(folder: Path, keys: int, workers: int) -> None:
    """Start a server from the file; tell when it is ready and what it takes."""
    caller = (folder / "caller").read_text()
    started = time.perf_counter()
    with Server(folder / "data", "--workers", str(workers)) as server:
        ready = time.perf_counter() - started
        processes = family(server.pid)
        cpu, before = sum(map(cpu_s, processes)), pss_mb(processes)
        ask_for_all(server, caller, keys, workers)
        after = pss_mb(processes)
        mapped = sum(pss_mb([one], str(folder / "data" / "snapshot")) for one in processes)
    a_key = mapped * 1024 * 1024 / keys
    print(
        f"  {workers} worker{'s' if workers > 1 else ' '}: ready in {ready:.2f} s ({cpu:.2f} s of processor); "
        f"PSS {before:.0f} MB, with all of the file in memory {after:.0f} MB, of which the file {mapped:.0f} MB "
        f"({a_key:.0f} bytes a key): {(after - mapped) / workers:.0f} MB a worker beside it",
        flush=True,
    )


def ask_for_all(server: Server, caller: str, keys: int, workers: int) -> None:
    """Have one key of twenty asked for, in batches, by connections that are dealt to the workers in turn."""
    headers = {"Authorization": f"Bearer {caller}"}
    with ExitStack() as stack:
        clients = [
            stack.enter_context(httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False))
            for _ in range(workers)
        ]
        allowed = 0
        for number in range(0, keys, 2000):
            numbers = range(number + 10, min(number + 2000, keys), 20)
            items = [
                {"key": key_text(f"k{one:011d}"), "scope": RUN, "resource": {"type": "pipeline", "id": "etl-1"}}
                | {"source_ip": "10.2.0.9"}
                for one in numbers
            ]
            response = clients[number // 2000 % workers].post("/decide/batch", json={"requests": items})
            assert response.status_code == 200, response.text
            allowed += response.text.count('"decision":"allow"')
    assert allowed == keys // 20, allowed


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_s(pid: int) -> float:
    """Processor time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_mb(pids: list[int], of: str | None = None) -> float:
    """The proportional share of memory of these processes together; or only that of files whose path begins so."""
    kb, counts = 0, of is None
    for pid in pids:
        for line in Path(f"/proc/{pid}/{'smaps_rollup' if of is None else 'smaps'}").read_text().splitlines():
            if of is not None and re.match(r"[0-9a-f]+-", line):
                counts = of in line
            elif counts and line.startswith("Pss:"):
                kb += int(line.split()[1])
    return kb / 1024


# ---- decisions, in processes of their own


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


def requests(keys: int, law: str, seed: int) -> list[Request]:
    """Questions that are allowed, of keys drawn by Zipf's law (exponent 1) or uniformly."""
    draw = random.Random(seed)
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


def child(keys: int) -> None:
    """What a process does that times decisions: a line in, a line out."""
    program = program_of(world_of(keys).files())
    gc.disable()
    # One for each law: what is kept is what was asked for.
    snapshots = {law: based(folder_of(keys), program) for law in LAWS}
    gc.freeze()
    gc.enable()
    for law, snapshot in snapshots.items():
        for seed in range(-WARM, 0):
            for asked in requests(keys, law, seed):
                assert decide(asked, snapshot, NOW).allowed
    print("ready", flush=True)
    for seed, law in enumerate(map(str.strip, sys.stdin)):
        print(json.dumps(taken_ns(snapshots[law], requests(keys, law, seed))), flush=True)


def taken_ns(snapshot: Snapshot, asked: list[Request]) -> dict[str, float]:
    """Processor time of one decision after another: the median, and the mean."""
    clock = time.thread_time_ns
    empty = statistics.median(-(clock() - clock()) for _ in range(2000))
    taken = []
    for one in asked:
        began = clock()
        decide(one, snapshot, NOW)
        taken.append(clock() - began - empty)
    return {"median": statistics.median(taken), "mean": statistics.fmean(taken)}


def decisions(counts: list[int]) -> None:
    """Time decisions for each number of keys, in turn."""
    with ExitStack() as stack:
        children = {keys: stack.enter_context(started(keys)) for keys in counts}
        found: dict[tuple[str, int], list[dict[str, float]]] = {}
        for _ in range(ROUNDS):
            for law in LAWS:
                for keys, (to, back) in children.items():
                    to.write(law + "\n")
                    to.flush()
                    found.setdefault((law, keys), []).append(json.loads(back.readline()))
    for law in LAWS:
        told = {
            keys: [statistics.median(one[what] for one in found[law, keys]) / 1000 for what in ("median", "mean")]
            for keys in counts
        }
        least, most = told[counts[0]], told[counts[-1]]
        figures = ", ".join(f"{keys:,} keys {median:.2f} (mean {mean:.2f})" for keys, (median, mean) in told.items())
        print(f"  {law:8} µs: {figures}: x {most[0] / least[0]:.2f} (mean x {most[1] / least[1]:.2f})")


@contextmanager
def started(keys: int) -> Iterator[tuple[IO[str], IO[str]]]:
    """A child on so many keys, ready."""
    command = [sys.executable, "-m", "bench.million", str(keys), "--child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.stdin, process.stdout
        process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="start-up, memory and decisions at a million keys")
    parser.add_argument("keys", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--anew", action="store_true", help="make the snapshot file from nothing")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.keys)
        return
    counts = [1000, options.keys]
    for keys in counts:
        folder = folder_of(keys)
        if options.anew or not (folder / "data" / "snapshot").exists():
            make_file(folder)
        answer("snapshot", "--data-dir", folder / "data")
        size = max((folder / "data" / "snapshot").glob("*.facts")).stat().st_size
        print(f"{keys:,} keys: a file of {size / 1e6:.0f} MB, {size / keys:.0f} bytes a key", flush=True)
    # Before any server adds a change of its own: the file is as of the last one.
    decisions(counts)
    for workers in (1, 1, 1, 4):
        serve(folder, options.keys, workers)


if __name__ == "__main__":
    main()
