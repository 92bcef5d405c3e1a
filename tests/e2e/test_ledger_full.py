"""A disk that fills up under load: from then on 503 and never an allow; with room again all is well, by itself.

The system is made to refuse the server's writes past a file size, in mid-write: to it that is a disk without room.
"""

from __future__ import annotations

import asyncio
import random
import resource
from pathlib import Path

import pytest

from tests.e2e.ledger_house import CALLERS, House, check, recorded
from tests.e2e.loads import Load
from tests.e2e.processes import Server
from tests.unit.api.desk import problem_code


def live_bytes(house: House) -> int:
    """Size of the largest segment that may be written."""
    return max(path.stat().st_size for path in (house.data_dir / "ledger").glob("*.jsonl"))


def limit(server: Server, size: int) -> None:
    """Let the server write no file past this size."""
    resource.prlimit(server._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def fill(house: House, server: Server, room: int) -> Load:
    """Load, with so much room left from some moment on; until the server was seen to refuse."""
    load = Load(server.url, house.requests())

    async def scene() -> None:
        load.start(CALLERS)
        await load.answers(50)
        limit(server, live_bytes(house) + room)
        await load.refusals()
        await load.stop()

    asyncio.run(scene())
    return load


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_a_disk_that_fills_up_under_load_loses_nothing_and_allows_nothing(tmp_path: Path, durability: str) -> None:
    """Three times over, with room for a random part of a group; nobody restarts anything."""
    house = House(tmp_path / "data", durability)
    with house.server() as server:
        for _ in range(3):
            load = fill(house, server, random.randrange(1, 20_000))
            house.answered.update(load.answered)
            assert set(load.statuses) == {200, 503}, load.statuses
            # What did not fit may have been a large group, and a small one would: now not a byte more fits.
            limit(server, live_bytes(house))
            asked = {"scope": "pipelines:run", "resource": "pipeline:etl-1"}
            refused = server.call("POST", "/decide", house.keys["caller_key"], asked)
            assert problem_code(refused, 503) == "ledger_full"
            ready = server.call("GET", "/readyz", None)
            assert problem_code(ready, 503) == "ledger_full"
            assert all(path.read_bytes()[-1:] == b"\n" for path in (house.data_dir / "ledger").glob("*.jsonl"))
            limit(server, resource.RLIM_INFINITY)
            assert server.call("GET", "/readyz", None).status_code == 200
    check(house)
    assert len(recorded(house.lines())) >= len(house.answered)
