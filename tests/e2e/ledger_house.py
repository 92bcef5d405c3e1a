"""A demonstration whose server is asked by many at once and comes to harm, and what must be in its ledger then."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from policy_service.ledger.codec import decode_record
from policy_service.ledger.record import DecisionRecord
from policy_service.model.api_key import format_api_key
from tests.e2e.loads import Load, post
from tests.e2e.processes import Server, answer, command
from tests.security.test_secrets import found_in

CALLERS = 32
Harm = Callable[[], contextlib.AbstractContextManager[object]]
"""What comes over a ledger's folder, until the block ends."""
STRANGE_KEY = format_api_key("psx", "Nobodys00000", "nobodysSecret000000000")


class House:
    """A demonstration whose server is killed again and again."""

    def __init__(self, data_dir: Path, durability: str) -> None:
        self.data_dir = data_dir
        self.durability = durability
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir)
        self.answered: Counter[str] = Counter()

    def server(self, **more: str) -> Server:
        return Server(self.data_dir, POLICY_SERVICE_LEDGER_DURABILITY=self.durability, **more)

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

    def round(
        self, lasts_s: float, harm: Harm = contextlib.nullcontext, harmed_s: float = 0.0, *, patient: bool = False
    ) -> Load:
        """Serve, let callers ask, and kill the server after so many seconds, in the middle of it.

        Args:
            harm: comes over the ledger's folder after that, and is over once the server is dead.
            harmed_s: how long the server is asked on in that state.
            patient: whether both begin only once something was answered, and refused: however slow the machine is.
        """
        server = self.server()
        load = Load(server.url, self.requests())

        async def scene() -> None:
            load.start(CALLERS)
            if patient:
                await load.answers()
            await asyncio.sleep(lasts_s)
            with harm():
                if patient and harmed_s:
                    await load.refusals()
                await asyncio.sleep(harmed_s)
                killed = await asyncio.to_thread(server.stop, signal.SIGKILL)
                assert killed == -signal.SIGKILL, server.text()
                await load.ended()

        asyncio.run(scene())
        assert set(load.statuses) <= ({200} if harmed_s == 0 else {200, 503}), load.statuses
        self.answered.update(load.answered)
        return load

    def lines(self) -> list[bytes]:
        """Every whole line of every shard, sealed or not."""
        found: list[bytes] = []
        folder = self.data_dir / "ledger"
        # A kill between sealing a segment and removing its plain file leaves it twice: that is one segment.
        segments = {path.name.removesuffix(".zst"): path for path in sorted(folder.glob("*.jsonl*"), reverse=True)}
        for _, path in sorted(segments.items()):
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


def check_verified(house: House) -> None:
    """`ledger verify` finds nothing, `ledger replay` no difference: what a kill left open or torn is neither."""
    for verb in ("verify", "replay"):
        done = command("ledger", verb, "--data-dir", house.data_dir)
        assert done.returncode == 0, (verb, done.stdout + done.stderr)
