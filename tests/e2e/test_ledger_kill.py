"""`kill -9` at random moments under load: whatever was answered is in the ledger, once.

The normal suite runs a few rounds, `make security` (marker `long`) two hundred.
"""

from __future__ import annotations

import asyncio
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard

from policy_service.ledger.codec import decode_record
from policy_service.ledger.record import DecisionRecord
from policy_service.model.api_key import format_api_key
from tests.e2e.loads import Load, post
from tests.e2e.processes import Server, answer
from tests.security.test_secrets import found_in

CALLERS = 32
STRANGE_KEY = format_api_key("psx", "Nobodys00000", "nobodysSecret000000000")
LONGEST_S = 0.6
"""A round's load lasts up to so long: long enough for writes of every kind, short enough for many rounds."""


class House:
    """A demonstration whose server is killed again and again."""

    def __init__(self, data_dir: Path, durability: str) -> None:
        self.data_dir = data_dir
        self.durability = durability
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir)
        self.answered: Counter[str] = Counter()

    def server(self) -> Server:
        return Server(self.data_dir, POLICY_SERVICE_LEDGER_DURABILITY=self.durability)

    def requests(self) -> list[bytes]:
        """Allowed, denied, unknown; explained; in a batch."""
        caller = self.keys["caller_key"]
        resource = {"type": "pipeline", "id": "etl-42", "workspace": "demo", "attributes": {"weight": 0.1}}
        good: dict[str, Any] = {"key": self.keys["service_key"], "scope": "pipelines:run", "resource": resource}
        strange = {**good, "key": STRANGE_KEY, "source_ip": "ü\n"}
        return [
            post("/decide", caller, good),
            post("/decide", caller, strange),
            post("/decide?explain=true", caller, good),
            post("/decide/batch", caller, {"requests": [good, {**good, "id": "second"}, strange]}),
        ]

    def secrets(self) -> list[str]:
        """What must not be in the ledger in any form."""
        return [STRANGE_KEY, *(str(text) for name, text in self.keys.items() if name.endswith("_key"))]

    def round(self, lasts_s: float) -> None:
        """Serve, let callers ask, and kill the server in the middle of it."""
        server = self.server()
        load = Load(server.url, self.requests())

        async def scene() -> None:
            load.start(CALLERS)
            await asyncio.sleep(lasts_s)
            killed = await asyncio.to_thread(server.stop, signal.SIGKILL)
            assert killed == -signal.SIGKILL, server.text()
            await load.ended()

        asyncio.run(scene())
        assert set(load.statuses) <= {200}, load.statuses
        self.answered.update(load.answered)

    def lines(self) -> list[bytes]:
        """Every whole line of every shard, sealed or not."""
        found: list[bytes] = []
        for path in sorted((self.data_dir / "ledger").iterdir()):
            if path.name.endswith((".jsonl", ".jsonl.zst")):
                # What a crash cut off in mid-line was never answered: the next start takes it away.
                *whole, _torn = content(path).split(b"\n")
                found += whole
        return found


def content(path: Path) -> bytes:
    """A segment's bytes."""
    data = path.read_bytes()
    return zstandard.ZstdDecompressor().stream_reader(data).read() if path.suffix == ".zst" else data


def recorded(lines: list[bytes]) -> Counter[str]:
    """How often each decision is recorded. Every line is a record."""
    found: Counter[str] = Counter()
    for line in lines:
        record = decode_record(line)
        assert isinstance(record, DecisionRecord), (record, line)
        found[record.id] += 1
    return found


def check(house: House) -> None:
    """Nothing answered is missing, nothing is there twice, no secret is there at all."""
    lines = house.lines()
    found = recorded(lines)
    assert len(house.answered) > 0
    missing = [name for name in house.answered if name not in found]
    assert missing == []
    assert [name for name, count in (found + house.answered).items() if found[name] > 1] == []
    assert [name for name, count in house.answered.items() if count > 1] == []
    for path in (house.data_dir / "ledger").iterdir():
        assert found_in(path.read_bytes(), house.secrets()) == [], path.name
    assert found_in(b"\n".join(lines), house.secrets()) == []


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
