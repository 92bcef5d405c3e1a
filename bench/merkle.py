"""Microseconds a record line for hashing it and adding it to a tree, and for a proof's share of a leaf.

    python -m bench.merkle [--lines 50000] [--length 700]

The root is asserted before anything is timed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from policy_service.ledger.merkle import Tree, inclusion_proof, leaf_hash, leaf_hashes, subtree_root

BATCH = 4096


def one_by_one(lines: list[bytes]) -> Tree:
    """As a line comes."""
    tree = Tree()
    for line in lines:
        tree.append(leaf_hash(line))
    return tree


def in_bulk(lines: list[bytes]) -> Tree:
    """As a segment is sealed or verified: some thousand lines at a time."""
    tree = Tree()
    for start in range(0, len(lines), BATCH):
        tree.extend(leaf_hashes(lines[start : start + BATCH]))
    return tree


def timed(name: str, count: int, work: Callable[[], object], rounds: int = 9) -> None:
    """Print the best of a few rounds."""
    best = min(_seconds(work) for _ in range(rounds))
    print(f"{name:<40}{best / count * 1e6:8.2f} µs a leaf {count / best:12,.0f} a second")


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()  # of this process alone: neighbours on the machine count less
    work()
    return time.process_time() - start


def main() -> None:
    """Assert, then time."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=50_000)
    arguments.add_argument("--length", type=int, default=700)
    options = arguments.parse_args()
    lines = [str(number).encode().ljust(options.length, b"x") for number in range(options.lines)]
    leaves = leaf_hashes(lines)
    stored = b"".join(leaves)
    assert one_by_one(lines).root() == in_bulk(lines).root() == subtree_root(stored)
    timed("hash a line, append it", len(lines), lambda: one_by_one(lines))
    timed("the same in bulk", len(lines), lambda: in_bulk(lines))
    timed("  of it: hashing lines", len(lines), lambda: leaf_hashes(lines))
    timed("  of it: the tree", len(lines), lambda: Tree().extend(leaves))
    timed("root of stored leaf hashes", len(lines), lambda: subtree_root(stored))
    timed("inclusion proof from stored leaf hashes", len(lines), lambda: inclusion_proof(stored, len(lines) // 3))


if __name__ == "__main__":
    main()
