"""`kill -9` at random moments under load: whatever was answered is in the ledger, once.

So it is where the disk is full or read-only when the kill comes.

The normal suite runs a few rounds; `make kills` two hundred of each kind.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.ledger_house import CALLERS, Harm, House, check, check_verified
from tests.e2e.processes import Server
from tests.unit.ledger.disks import fill, open_files_can_be_refused, read_only, small_disk
from tests.waiting import PATIENCE_S

DISK = "256m"
"""Room for the records of two hundred rounds, and for what they are compressed to."""
LONGEST_S = 0.6
"""A round's load lasts up to so long: long enough for writes of every kind, short enough for many rounds."""


def kill(house: House, rounds: int, harm: Callable[[random.Random], Harm] | None = None) -> None:
    """So many rounds on one data directory, looked at in the end and now and then.

    Args:
        harm: what comes over the ledger's folder in mid-load, some moments before the kill; None: nothing.
    """
    seed = time.time_ns()
    print(f"random.seed({seed})")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    statuses: Counter[int] = Counter()
    for number in range(1, rounds + 1):
        lasts_s = chance.uniform(0.05, LONGEST_S)
        if harm is None:
            load = house.round(lasts_s, patient=number == 1)
        else:
            load = house.round(lasts_s, harm(chance), chance.uniform(0.01, LONGEST_S), patient=number == 1)
        statuses.update(load.statuses)
        if number % 20 == 0 or number == rounds:
            check(house)
            check_verified(house)
    print(  # noqa: T201 - likewise
        f"{rounds} rounds, {len(house.answered)} answered, {len(house.lines())} recorded, statuses {dict(statuses)}"
    )
    assert (statuses[503] > 0) == (harm is not None)


def kill_on_a_full_disk(data_dir: Path, durability: str, rounds: int) -> None:
    """The disk has room for some bytes more when it fills up: for a part of a group, or for nothing."""
    house = House(data_dir, durability)
    folder = data_dir / "ledger"

    def full(chance: random.Random) -> Harm:
        @contextlib.contextmanager
        def filled() -> Iterator[None]:
            ballast = fill(folder, leave=chance.choice((0, chance.randrange(1, 20_000))))
            try:
                yield
            finally:
                ballast.unlink()

        return filled

    with small_disk(folder, DISK):
        kill(house, rounds, full)


def kill_on_a_read_only_folder(data_dir: Path, durability: str, rounds: int) -> None:
    """The folder, and the open segment where the file system can refuse that."""
    house = House(data_dir, durability)
    folder = data_dir / "ledger"
    if not open_files_can_be_refused(folder):
        pytest.skip("this file system takes writes to immutable files that were open before")
    kill(house, rounds, lambda _: lambda: read_only(folder))


@pytest.mark.parametrize(("durability", "rounds"), [("os", 2), ("fsync", 1)])
def test_whatever_was_answered_is_recorded_once(tmp_path: Path, durability: str, rounds: int) -> None:
    """`kill -9` at a random moment under load from concurrent callers, a few times."""
    kill(House(tmp_path / "data", durability), rounds)


HARMED = pytest.mark.parametrize("harmed", [kill_on_a_full_disk, kill_on_a_read_only_folder])


@HARMED
@pytest.mark.parametrize(("durability", "rounds"), [("os", 1), ("fsync", 1)])
def test_whatever_was_answered_is_recorded_once_on_a_disk_that_fails(
    tmp_path: Path, harmed: Callable[[Path, str, int], None], durability: str, rounds: int
) -> None:
    """Killed while it refuses: the start after it, with the disk mended, finds every answer."""
    harmed(tmp_path / "data", durability, rounds)


@pytest.mark.long
@HARMED
@pytest.mark.parametrize(("durability", "rounds"), [("os", 100), ("fsync", 100)])
def test_whatever_was_answered_is_recorded_once_on_a_disk_that_fails_in_two_hundred_rounds(
    tmp_path: Path, harmed: Callable[[Path, str, int], None], durability: str, rounds: int
) -> None:
    """The same, often."""
    harmed(tmp_path / "data", durability, rounds)


@pytest.mark.long
@pytest.mark.parametrize(("durability", "rounds"), [("os", 100), ("fsync", 100)])
def test_whatever_was_answered_is_recorded_once_in_two_hundred_rounds(
    tmp_path: Path, durability: str, rounds: int
) -> None:
    """The same, often."""
    kill(House(tmp_path / "data", durability), rounds)


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_records_of_one_turn_share_a_write(tmp_path: Path, durability: str) -> None:
    """Group commit: what the event loop finds waiting is in one write. It stands still while many ask."""
    house = House(tmp_path / "data", durability)
    with house.server() as server, contextlib.ExitStack() as stack:
        where = urlsplit(server.url)
        connections = [
            stack.enter_context(socket.create_connection((where.hostname, where.port), PATIENCE_S))
            for _ in range(CALLERS)
        ]
        question = house.requests()[0]
        for connection in connections:
            ask(connection, question)
        records, writes = written(server)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            for connection in connections:
                connection.sendall(question)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        for connection in connections:
            ask(connection, b"")
        more_records, more_writes = (
            after - before for after, before in zip(written(server), (records, writes), strict=True)
        )
    print(f"{durability}: {more_records:.0f} records in {more_writes:.0f} writes")  # noqa: T201 - shown where it fails
    assert more_records == CALLERS
    assert more_writes <= CALLERS / 4


def ask(connection: socket.socket, question: bytes) -> None:
    """Send a question, if it is not sent yet, and wait for its whole answer."""
    connection.sendall(question)
    received = b""
    while not received.endswith(b"}"):
        chunk = connection.recv(65536)
        assert chunk, received
        received += chunk
    assert received.startswith(b"HTTP/1.1 200 ")


def written(server: Server) -> tuple[float, float]:
    """Records and writes so far."""
    metrics = server.call("GET", "/metrics", None).text
    name = "policy_service_ledger_records_per_write"
    records, writes = (re.search(rf"^{name}_{part} (\S+)$", metrics, re.M) for part in ("sum", "count"))
    assert records is not None
    assert writes is not None
    return float(records[1]), float(writes[1])
