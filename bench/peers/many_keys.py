"""What keys cost: memory of a snapshot and time of a decision, by the number of keys, in turn.

A key comes with what belongs to it: its secret's verifier, and 22 users with a membership each for every hundred keys.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from bench.peers.inprocess import OURS, WITH_SECRET, Worker, worker
from bench.workloads import World

COUNT: Final = 2000
"""Questions: enough to meet a thousand different keys."""


def measure(counts: Sequence[int], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """A line for each number of keys: memory, time to fold, time of a decision with and without the secret's check."""
    with ExitStack() as stack:
        pairs = [(count, _started(stack, OURS, count), _started(stack, WITH_SECRET, count)) for count in counts]
        for _ in range(rounds):
            for _, alone, with_secret in pairs:
                alone.time(seconds)
                with_secret.time(seconds)
        return [_line(*pair) for pair in pairs]


def _started(stack: ExitStack, name: str, keys: int) -> Worker:
    """Our engine on so many keys, its questions answered once."""
    world = World(keys=keys, rules=100, teams=max(20, keys // 1000))
    one = stack.enter_context(worker(name, world, COUNT))
    assert isinstance(one, Worker)
    one.ask("answer", range(COUNT))
    one.ask("keep", range(COUNT))
    return one


def _line(keys: int, alone: Worker, with_secret: Worker) -> dict[str, Any]:
    ready = alone.ready
    return {
        "keys": keys,
        "process_mb": round(ready["before_mb"] + ready["built_mb"], 1),
        "bytes_a_key": round(ready["built_mb"] * 1024 * 1024 / keys),
        "folded_s": round(ready["setup_s"], 2),
        "decide_us": round(statistics.median(alone.rounds_us), 2),
        "rounds_us": [round(one, 3) for one in alone.rounds_us],
        "with_secret_us": round(statistics.median(with_secret.rounds_us), 2),
    }
