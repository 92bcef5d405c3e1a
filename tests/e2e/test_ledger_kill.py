"""`kill -9` at random moments under load: whatever was answered is in the ledger, once.

The normal suite runs a few rounds; `pytest -m long tests/e2e/test_ledger_kill.py` two hundred.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from pathlib import Path

import pytest

from tests.e2e.ledger_house import CALLERS, House, check, check_verified
from tests.e2e.loads import Load

LONGEST_S = 0.6
"""A round's load lasts up to so long: long enough for writes of every kind, short enough for many rounds."""


def kill(data_dir: Path, durability: str, rounds: int) -> None:
    """So many rounds on one data directory, looked at in the end and now and then."""
    seed = time.time_ns()
    print(f"random.seed({seed})")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    house = House(data_dir, durability)
    for number in range(1, rounds + 1):
        house.round(chance.uniform(0.05, LONGEST_S))
        if number % 20 == 0 or number == rounds:
            check(house)
            check_verified(house)
    print(f"{rounds} rounds, {len(house.answered)} answered, {len(house.lines())} recorded")  # noqa: T201 - likewise


@pytest.mark.parametrize(("durability", "rounds"), [("os", 3), ("fsync", 2)])
def test_whatever_was_answered_is_recorded_once(tmp_path: Path, durability: str, rounds: int) -> None:
    """`kill -9` at a random moment under load from concurrent callers, a few times."""
    kill(tmp_path / "data", durability, rounds)


@pytest.mark.long
@pytest.mark.parametrize(("durability", "rounds"), [("os", 100), ("fsync", 100)])
def test_whatever_was_answered_is_recorded_once_in_two_hundred_rounds(
    tmp_path: Path, durability: str, rounds: int
) -> None:
    """The same, often."""
    kill(tmp_path / "data", durability, rounds)


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_under_load_many_records_share_a_write(tmp_path: Path, durability: str) -> None:
    """Group commit: the records of one turn of the event loop, or of one sync of the disk, in one write."""
    house = House(tmp_path / "data", durability)
    with house.server() as server:
        load = Load(server.url, house.requests()[:1])

        async def scene() -> None:
            load.start(CALLERS)
            await asyncio.sleep(2)
            await load.stop()

        asyncio.run(scene())
        metrics = server.call("GET", "/metrics", None).text
    records, writes = (
        float(re.search(rf"^policy_service_ledger_records_per_write_{name} (\S+)$", metrics, re.M)[1])  # type: ignore[index]  # it is there
        for name in ("sum", "count")
    )
    print(f"{durability}: {records:.0f} records in {writes:.0f} writes, {records / writes:.1f} each")  # noqa: T201
    assert records >= len(load.answered) > 0
    assert records / writes > 1.5
