"""Revoke, and see how long any worker allows: `python -m bench.revocation [--workers 4] [--keys 200]`.

On SQLite and on PostgreSQL: keys are revoked one by one through one worker after the other, while `wrk` (Debian's
package of that name) asks at half of the rate that it measured as the peak. One connection to each worker asks about
the key that is revoked, again and again. Counted from the answer to the revocation: when the last question was *sent*
that was still allowed, and when its answer *came* (the decision fell between the two), the worst of all workers for
each key. With `min_revision`, no worker may allow at all, which is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.http import LUA, load
from bench.lines import Line, connect_to_each
from tests.databases import postgres_database, serve_postgres
from tests.e2e.loads import post
from tests.e2e.processes import Server, answer

GOALS_MS: Final = {"sqlite": 20.0, "postgresql": 10.0}
PAUSE_S: Final = 0.004
QUIET_S: Final = 0.05
"""How long nobody may allow before the next key's turn."""
CONNECTIONS: Final = 16
LONGEST_S: Final = 600
ETL: Final = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}

PACED = (
    LUA
    + """
function delay()
  return {pause_ms}
end
"""
)


class Asker:
    """Asks one worker about a key, again and again."""

    def __init__(self, line: Line, caller: str) -> None:
        self._line = line
        self._caller = caller
        self.sent = self.came = 0.0
        self.is_asking = False

    async def run(self, key: str) -> None:
        """Until told to stop; `sent` and `came` are those of the last question that was allowed."""
        self.is_asking, self.sent, self.came = True, 0.0, 0.0
        request = post("/decide", self._caller, {"key": key, "scope": "pipelines:run", "resource": ETL})
        while self.is_asking:
            sent = time.perf_counter()
            status, document = await self._line.ask(request)
            assert status == 200, document
            if document["decision"] == "allow":
                self.sent, self.came = sent, time.perf_counter()
            await asyncio.sleep(PAUSE_S)

    async def strictly(self, key: str, revision: int) -> str:
        """One question that must see a revision: its reason."""
        body = {"key": key, "scope": "pipelines:run", "resource": ETL, "min_revision": revision}
        status, document = await self._line.ask(post("/decide", self._caller, body))
        assert status == 200, document
        return str(document["reason"])


async def measure(url: str, keys: dict[str, str], workers: int, count: int) -> list[tuple[float, float]]:
    """For each key, ms from the answer of its revocation until the last allow was sent, and until its answer came."""
    admins = await connect_to_each(url, workers)
    askers = [Asker(line, keys["caller_key"]) for line in await connect_to_each(url, workers)]
    return [await _one(admins, askers, keys["admin_key"], number) for number in range(count)]


async def _one(admins: list[Line], askers: list[Asker], key: str, number: int) -> tuple[float, float]:
    body = {"principal": {"kind": "service", "id": "ci"}, "scopes": ["pipelines:run"]}
    # Connections that are not used for five seconds are closed: all are used in each round.
    made = await asyncio.gather(*(line.ask(post("/v1/keys", key, body)) for line in admins))
    mine, other = (made[(number + step) % len(made)][1] for step in (0, 1))
    asking = [asyncio.create_task(asker.run(mine["data"]["key"])) for asker in askers]
    await asyncio.sleep(0)  # they have begun
    await _settled(askers, lambda asker: asker.came > 0)
    admin = admins[number % len(admins)]
    status, revoked = await admin.ask(post(f"/v1/keys/{mine['data']['id']}/revoke", key, {}))
    answered = time.perf_counter()
    assert status in (200, 201), revoked
    await _settled(askers, lambda asker: time.perf_counter() - max(asker.came, answered) > QUIET_S)
    for asker in askers:
        asker.is_asking = False
    await asyncio.gather(*asking)
    await _strictly(askers, other, admin, key)
    lags = [(asker.sent - answered, asker.came - answered) for asker in askers]
    return max(0.0, *(sent for sent, _ in lags)) * 1e3, max(0.0, *(came for _, came in lags)) * 1e3


async def _strictly(askers: list[Asker], made: Any, admin: Line, key: str) -> None:
    """Revoke another key and ask all workers at once for that revision: none may allow."""
    _, revoked = await admin.ask(post(f"/v1/keys/{made['data']['id']}/revoke", key, {}))
    reasons = await asyncio.gather(*(asker.strictly(made["data"]["key"], revoked["revision"]) for asker in askers))
    assert set(reasons) == {"revoked_key"}, reasons


async def _settled(askers: list[Asker], is_so: Any) -> None:
    async with asyncio.timeout(30):
        while not all(is_so(asker) for asker in askers):
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def half_load(url: str, keys: dict[str, str], folder: Path, workers: int) -> Iterator[float]:
    """Half of the peak rate, from `wrk` and the askers, while the block runs. Yields the peak."""
    body = json.dumps({"key": keys["service_key"], "scope": "pipelines:run", "resource": ETL})
    peak, _, failures = load(url, keys["caller_key"], body, 3, 2 * CONNECTIONS, folder)
    assert failures == 0
    # The askers are part of the load.
    rate = max(peak / 2 - workers / PAUSE_S, 100)
    pause_ms = max(1, round(CONNECTIONS / rate * 1e3))
    script = folder / "paced.lua"
    script.write_text(PACED.format(key=keys["caller_key"], body=body, pause_ms=pause_ms))
    wrk = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{LONGEST_S}s", "-s", str(script), f"{url}/decide"]
    running = subprocess.Popen(wrk, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield peak
    finally:
        running.terminate()
        running.wait()


def bench(database: str, url: str | None, options: argparse.Namespace) -> bool:
    """One database's figures; whether its goal was met."""
    variables = {} if url is None else {"POLICY_SERVICE_DATABASE_URL": url}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = answer("init", "--demo", "--data-dir", folder / "data", **variables)
        with Server(folder / "data", "--workers", str(options.workers), **variables) as server:
            lags: list[tuple[float, float]] = []
            with (
                half_load(server.url, keys, folder, options.workers) as peak,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                lags = runner.run(measure(server.url, keys, options.workers, options.keys))
    sent, came = (sorted(lag[which] for lag in lags) for which in (0, 1))
    print(
        f"{database:<11} {options.workers} workers, half of {peak:5.0f} requests/s beside: revoked to last allow, ms: "
        f"sent median {statistics.median(sent):5.1f} p99 {percentile(sent):5.1f}   "
        f"answered median {statistics.median(came):5.1f} p99 {percentile(came):5.1f} max {came[-1]:5.1f}"
        f"   (goal: p99 {GOALS_MS[database]:.0f})"
    )
    return percentile(came) <= GOALS_MS[database]


def percentile(values: list[float], of: float = 0.99) -> float:
    """Of sorted values."""
    return values[min(int(len(values) * of), len(values) - 1)]


def main() -> int:
    """Both databases, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--database", choices=tuple(GOALS_MS), action="append")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("skipped: needs wrk (apt-get install wrk)")
        return 0
    wanted = options.database or list(GOALS_MS)
    met = True
    if "sqlite" in wanted:
        met &= bench("sqlite", None, options)
    if "postgresql" in wanted:
        with serve_postgres(durable=True) as server, postgres_database(server) as url:
            met &= bench("postgresql", url, options)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
