"""Records a second that `ledger verify` checks on one core, and the memory it takes.

    python -m bench.verify [--records 400000]

A data directory is written first: one closed shard of four segments under checkpoints. That it is good, and that one
altered byte is named, is asserted before anything is timed.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from policy_service.ledger.codec import encode_record
from policy_service.ledger.keys import load_verifiers
from policy_service.ledger.layout import Segment
from policy_service.ledger.merkle import Tree, leaf_hashes
from policy_service.ledger.verify import Verified
from policy_service.service.auditing.archive import StoreArchive
from policy_service.service.auditing.audit import audit
from tests.ledger_houses import LedgerHouse

WANTED = 500_000
SEGMENTS = 4


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


def seconds(work: Callable[[], object]) -> float:
    """Of processor time, the best of three rounds."""
    best = []
    for _ in range(3):
        start = time.process_time()
        work()
        best.append(time.process_time() - start)
    return min(best)


def hashing(segment: Segment) -> Tree:
    """What cannot be saved: one hash a line, one a node."""
    tree = Tree()
    tree.extend(leaf_hashes(segment.plain.read_bytes().split(b"\n")[:-1]))
    return tree


def main() -> int:
    """Print the figures; 1 where the rate is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=400_000)
    records = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        house = LedgerHouse(Path(folder) / "data")
        segments = fill(house, records)
        check(house, segments[1])
        rate = records / seconds(lambda: verified(house))
        floor = records / SEGMENTS / seconds(lambda: hashing(segments[0]))
        house.close()
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'verify':<40}{rate:12,.0f} records a second (wanted: {WANTED:,})")
    print(f"{'hashing lines and nodes alone':<40}{floor:12,.0f} records a second")
    print(f"{'memory, all of this bench':<40}{size:12,.0f} MiB")
    return int(rate < WANTED)


if __name__ == "__main__":
    raise SystemExit(main())
