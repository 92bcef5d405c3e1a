"""A house whose decisions are written down, and files of them to replay."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from policy_service.ledger.reader import Source, sources
from policy_service.service.auditing.archive import StoreArchive
from policy_service.service.auditing.replay import ReplayOptions, replay
from policy_service.service.auditing.replay_report import ReplayReport
from tests.reference_records import line_of
from tests.unit.service.house import House


class Recorded:
    """A furnished house, and a folder for its records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.house = House().furnish()

    def ask(self, *keys: str | None, **more: Any) -> None:
        """Decide for each of the keys, and move the clock on."""
        for key in keys:
            self.house.decide(key, **more)
            self.house.clock.advance(1)

    def lines(self) -> list[bytes]:
        """What was decided so far, as it is recorded."""
        return [line_of(decided) for decided in self.house.sink.decided]

    def written(self, lines: Iterable[bytes] | None = None, name: str = "records.jsonl") -> list[Source]:
        """A file of these lines, or of all."""
        path = self.folder / name
        path.write_bytes(b"".join(line + b"\n" for line in (self.lines() if lines is None else lines)))
        return sources([path])

    def archive(self) -> StoreArchive:
        return StoreArchive(self.house.store)

    def replayed(self, lines: Iterable[bytes] | None = None, **options: Any) -> ReplayReport:
        return replay(self.archive(), self.written(lines), ReplayOptions(**options))
