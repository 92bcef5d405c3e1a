"""A replay that several processes share gives the report of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from policy_service.ledger.reader import Source
from policy_service.model.errors import StoreError, UsageError
from policy_service.service.auditing.archive import Archive, StoreArchive
from policy_service.service.auditing.replay import ReplayOptions, replay
from policy_service.service.auditing.replay_sharing import replay_shared, replayers, shares
from tests.unit.service.auditing.test_replay import changed
from tests.unit.service.recorded import Recorded


@pytest.fixture
def files(tmp_path: Path) -> tuple[Recorded, list[Source]]:
    """Seven files: good records, altered ones, of other semantics, no records, and a torn line."""
    past = Recorded(tmp_path)
    key = past.house.key()
    past.ask(key.text, None, "psx_nonsense", resource="pipeline:locked-1")
    lines = past.lines()
    contents = [
        lines,
        [lines[0], changed(lines[1], reason="made_up"), lines[0]],
        [changed(lines[0], semantics=9), b"no record"],
        [changed(lines[0], revision=10_000), changed(lines[0], revision=9_999)],
        [changed(lines[2], id=f"F{number:021d}", reason="other") for number in range(30)],
        [changed(lines[0], v=2), b""],
        [],
    ]
    found = []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in content) + (b"torn" if number == 6 else b""))
        found.append(Source("", 0, path))
    return past, found


@pytest.mark.parametrize("jobs", [1, 2, 3, 9])
def test_one_or_several_give_the_same_report(files: tuple[Recorded, list[Source]], jobs: int) -> None:
    """Down to the findings that are shown, and their order."""
    past, found = files
    archive = StoreArchive(past.house.store)
    expected = replay(archive, found, ReplayOptions(shown=5))
    assert expected.differ > 5
    read: list[int] = []
    with replayers(jobs, lambda: nullcontext(archive), ReplayOptions(shown=5)) as helpers:
        report = replay_shared(helpers, found, jobs, shown=5, progress=read.append)
    assert report == expected
    assert sum(read) == sum(source.path.stat().st_size for source in found)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("error", [UsageError("no_pack", "no pack"), StoreError("store_unreachable", "no store")])
def test_why_the_past_cannot_be_opened_is_told(
    files: tuple[Recorded, list[Source]], jobs: int, error: StoreError | UsageError
) -> None:
    """With the code that it has."""

    def past() -> nullcontext[Archive]:
        raise error

    with replayers(jobs, past, ReplayOptions()) as helpers, pytest.raises((StoreError, UsageError)) as raised:
        replay_shared(helpers, files[1], jobs, shown=5)
    assert (raised.value.code, raised.value.message) == (error.code, error.message)


def test_shares_are_of_about_the_same_size_and_complete(tmp_path: Path) -> None:
    """The largest file stands against the others; nothing is in two of them."""
    found = [Source("", 0, tmp_path / f"{size}.jsonl") for size in (90, 10, 40, 30, 20)]
    for source in found:
        source.path.write_bytes(b"x" * int(source.path.stem))
    parts = shares([*found, Source("", 0, tmp_path / "gone.jsonl")], 2)
    assert sorted(map(_total, parts)) == [90, 100]
    assert sorted(source for part in parts for source in part if source in found) == sorted(found)
    assert len(shares(found[:1], 4)) == 1


def _total(part: Sequence[Source]) -> int:
    return sum(int(source.path.stem) for source in part if source.path.exists())
