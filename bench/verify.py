"""Records a second that `ledger verify` checks on one core, and as time passes with several; and the memory it takes.

    python -m bench.verify [--records 400000] [--jobs 2]

A data directory is written first: one closed shard of four segments under checkpoints. That it is good, and that one
altered byte is named, is asserted before anything is timed. Each way to verify is measured in a process of its own, so
that its memory is its own; with several jobs it is that of the largest process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from policy_service.ledger.codec import encode_record
from policy_service.ledger.keys import load_verifiers
from policy_service.ledger.layout import FOLDER, Segment
from policy_service.ledger.merkle import BLOCK, HASH_BYTES, block_roots, leaf_hashes
from policy_service.ledger.reader import blocks
from policy_service.ledger.shard_facts import ShardFacts
from policy_service.ledger.verify import Verified, scanners
from policy_service.service.auditing.archive import StoreArchive
from policy_service.service.auditing.audit import audit, wrong_bundles
from policy_service.service.auditing.tables import Folded
from policy_service.settings import Settings
from policy_service.store import Store
from tests.ledger_houses import LedgerHouse

WANTED = 500_000
SEGMENTS = 4
WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def fill(house: LedgerHouse, records: int) -> list[Segment]:
    """One shard; all lines differ by their id alone."""
    shard, line = house.open_shard(), encode_record(house.record())
    segments = [Segment(house.folder, shard, number) for number in range(1, SEGMENTS + 1)]
    for segment in segments:
        with segment.plain.open("wb") as file:
            for number in range(records // SEGMENTS):
                fresh = b"E%021d" % (segment.number * 10**12 + number)
                file.write(line.replace(b"D%021d" % 1, fresh) + b"\n")
    house.close_shard(shard, *segments)
    return segments


def verified(house: LedgerHouse) -> Verified:
    """What verify says."""
    return audit(house.folder, load_verifiers(house.data_dir / "signing.pub"), StoreArchive(house.store))


def check(house: LedgerHouse, segment: Segment) -> None:
    """Good as it is; one byte altered, its line is named."""
    assert verified(house).is_good
    content = segment.plain.read_bytes()
    at = content.index(b'"allow', len(content) // 2)
    segment.plain.write_bytes(content[: at + 1] + b"A" + content[at + 2 :])
    assert verified(house).findings[0].line == content.count(b"\n", 0, at) + 1
    segment.plain.write_bytes(content)


class Spent(NamedTuple):
    """What a piece of work took, in seconds and MiB. `begun`: the memory before it."""

    processor: float
    elapsed: float
    begun: float
    most: float


def spent(work: Callable[[], object]) -> Spent:
    """The best of three rounds, in a process of its own and its children."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_rounds, args=(theirs, work))
    process.start()
    found: Spent = ours.recv()
    process.join()
    return found


def _rounds(pipe: Connection, work: Callable[[], object]) -> None:
    begun, rounds = _memory(), []
    for _ in range(3):
        start, wall = _processor(), time.perf_counter()
        work()
        rounds.append((_processor() - start, time.perf_counter() - wall))
    pipe.send(Spent(min(one for one, _ in rounds), min(one for _, one in rounds), begun, _memory()))


def _processor() -> float:
    return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, WHO))


def _memory() -> float:
    """Of this process, or of its largest child. (`ru_maxrss` of this one would be its parent's, before `exec`.)"""
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return max(int(own.split()[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def audited(data_dir: Path, jobs: int) -> None:
    """What the command does."""
    with scanners(jobs) as helpers:
        store = Store.open(Settings(data_dir=data_dir).store_url())
        found = audit(data_dir / FOLDER, load_verifiers(data_dir / "signing.pub"), StoreArchive(store), helpers=helpers)
        store.close()
    assert found.is_good


def facts_alone(data_dir: Path) -> None:
    """The changes, the bundles and the tables: what does not grow with the records."""
    store = Store.open(Settings(data_dir=data_dir).store_url())
    archive, folded = StoreArchive(store), Folded()
    facts = ShardFacts(folded.through(archive.changes()))
    assert not wrong_bundles(facts.bundles, archive)
    assert not folded.differences(archive)
    store.close()


def hashing(segment: Segment) -> None:
    """What cannot be saved: one hash a line, one a node."""
    hashes = b"".join(b"".join(leaf_hashes(block.lines)) for block in blocks(segment.plain))
    block_roots(hashes[: len(hashes) // (BLOCK * HASH_BYTES) * BLOCK * HASH_BYTES])


def main() -> int:
    """Print the figures; 1 where the rate is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=400_000)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    records = options.records
    with tempfile.TemporaryDirectory() as folder:
        house = LedgerHouse(Path(folder) / "data")
        segments = fill(house, records)
        check(house, segments[1])
        house.close()
        alone = spent(partial(audited, house.data_dir, 1))
        shared = spent(partial(audited, house.data_dir, options.jobs))
        facts = spent(partial(facts_alone, house.data_dir))
        floor = records / SEGMENTS / spent(partial(hashing, segments[0])).processor
    rate = records / alone.processor
    print(f"{'verify':<40}{rate:12,.0f} records a second of processor time (wanted: {WANTED:,})")
    print(f"{'':<40}{records / alone.elapsed:12,.0f} records a second as time passes")
    print(f"{f'verify --jobs {options.jobs}':<40}{records / shared.elapsed:12,.0f} records a second as time passes")
    print(f"{'':<40}{records / shared.processor:12,.0f} records a second of processor time, of all processes")
    print(f"{'hashing lines and nodes alone':<40}{floor:12,.0f} records a second of processor time")
    print(f"{'changes, bundles and tables alone':<40}{facts.processor * 1000:12,.0f} ms")
    print(f"{'memory at most':<40}{alone.most:12,.0f} MiB, of which {alone.begun:,.0f} before it began")
    print(f"{f'memory at most with --jobs {options.jobs}':<40}{shared.most:12,.0f} MiB in one process")
    return int(rate < WANTED)


if __name__ == "__main__":
    raise SystemExit(main())
