"""A ledger's folder that turns read-only under a running server, and back: refused meanwhile, and nothing is lost.

Files are made immutable: that stops root too, and writes through descriptors that were open before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_service.ledger.layout import contents
from tests.e2e.ledger_house import CALLERS, House, check, check_verified
from tests.e2e.loads import Load
from tests.e2e.processes import Server
from tests.unit.api.desk import problem_code
from tests.unit.ledger.disks import open_files_can_be_refused, read_only, set_immutable, skip_unless_immutable


def turns(house: House, server: Server, harm: contextlib.AbstractContextManager[None]) -> None:
    """Under load: all is well, then harmed and refused and red, then well again by itself."""
    load = Load(server.url, house.requests())

    async def scene() -> None:
        load.start(CALLERS)
        await load.answers()
        with harm:
            await load.refusals()
            ready = await asyncio.to_thread(server.call, "GET", "/readyz", None)
            assert problem_code(ready, 503) == "ledger_unavailable"
        # Nobody looks at /readyz here: the decisions themselves find the folder mended.
        await load.answers()
        await load.stop()

    asyncio.run(scene())
    house.answered.update(load.answered)
    assert set(load.statuses) == {200, 503}, load.statuses
    assert server.call("GET", "/readyz", None).status_code == 200


@pytest.mark.parametrize("durability", ["os", "fsync"])
def test_a_folder_that_turns_read_only_under_load_loses_nothing_and_allows_nothing(
    tmp_path: Path, durability: str
) -> None:
    """Three times over, the open segment included; nobody restarts anything."""
    house = House(tmp_path / "data", durability)
    folder = house.data_dir / "ledger"
    if not open_files_can_be_refused(folder):
        pytest.skip("this file system takes writes to immutable files that were open before")
    with house.server(POLICY_SERVICE_CHECKPOINT_INTERVAL_S="0.1") as server:
        for _ in range(3):
            turns(house, server, read_only(folder))
            assert all(path.read_bytes()[-1:] in {b"", b"\n"} for path in folder.glob("*.jsonl"))
    check(house)
    check_verified(house)


def test_a_folder_that_takes_no_new_segment_stops_the_deciding_until_it_does(tmp_path: Path) -> None:
    """The open segment can still be written to: what is refused is what would have ended it, and all that follows."""
    house = House(tmp_path / "data", "os")
    folder = house.data_dir / "ledger"
    skip_unless_immutable(folder)

    @contextlib.contextmanager
    def closed_folder() -> Iterator[None]:
        set_immutable([folder])
        try:
            yield
        finally:
            set_immutable([folder], immutable=False)

    with house.server(POLICY_SERVICE_LEDGER_SEGMENT_BYTES="65536") as server:
        for _ in range(2):
            turns(house, server, closed_folder())
    (segments,) = contents(folder).values()
    assert len(segments) > 2
    check(house)
    check_verified(house)
