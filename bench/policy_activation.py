"""How long a policy of 10,000 rules takes to decide, and what the requests feel meanwhile.

    python -m bench.policy_activation [RULES] [--rounds 3] [--rate 500]

A real server is asked at a fixed rate of arrival, whatever it answers; a request's latency counts from when it was due.
Meanwhile a whole new policy is published and activated over HTTP, as `policy activate --url` does, and then one of its
files is edited and the same is done again. Told are the seconds from the request that publishes to the first decision
by the new bundle, and the slowest request from then to one second after.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import httpx

from bench.peers.open_loop import Connection, _request
from bench.policy_check import policy_files
from bench.policy_live import COMMAND, PIPELINES, listening_url

LIMIT_S: Final = 3.0
LIMIT_MS: Final = 50.0
CONNECTIONS: Final = 16
AFTER_S: Final = 1.0
"""What is put off, such as freeing the old program, is felt too."""


class Felt(NamedTuple):
    """One request: when it was due, on the machine's monotonic clock, and how long after that it was answered."""

    due: float
    latency_ms: float


class Round(NamedTuple):
    """What one activation took."""

    published_s: float
    activated_s: float
    decides_s: float
    slowest_ms: float
    requests: int
    late: int


def rule_files(rules: int, whole: int, edited: int) -> dict[str, str]:
    """So many rules, and a type that is asked about.

    Args:
        whole: another number, another policy: no condition of one is in the other.
        edited: another number, another file of the type that is asked about; all others stay.
    """
    files = {}
    for name, text in policy_files(rules).items():
        for word in ("prod-", "frozen-", "operators-", "etl-"):
            text = text.replace(word, f"{word}{whole}-")  # noqa: PLW2901 - one after the other
        files[name] = text.replace("2099-", f"{2099 + whole}-")
    files["scopes.yaml"] += "  pipelines:run:\n    on: [pipeline]\n  pipelines:read:\n    on: [pipeline]\n"
    files["roles.yaml"] = "roles:\n  operator:\n    scopes: [pipelines:read, pipelines:run]\n"
    files["resources/pipeline.yaml"] = PIPELINES.format(round=edited)
    return files


# ---- the asking, in a process of its own


def probe(job: dict[str, Any]) -> None:
    """Ask at a fixed rate until standard input ends; print what each request felt. It sleeps between two of them."""
    where = urlsplit(job["url"])
    assert where.hostname is not None
    assert where.port is not None
    idle = deque(Connection((where.hostname, where.port)) for _ in range(CONNECTIONS))
    by_descriptor = {one.socket.fileno(): one for one in idle}
    asked = _request("/decide", where.netloc, job["headers"], job["body"])
    poller = select.epoll()
    for descriptor in (0, *by_descriptor):
        poller.register(descriptor, select.EPOLLIN)
    felt: list[Felt] = []
    start, sent, end = time.monotonic(), 0, float("inf")
    # What was due before the end is asked and answered, however late.
    while len(felt) < sent or start + sent / job["rate"] < end:
        while idle and (due := start + sent / job["rate"]) <= min(time.monotonic(), end):
            one = idle.popleft()
            one.due = due
            one.socket.send(asked)
            sent += 1
        pause = max(0.0, start + sent / job["rate"] - time.monotonic()) if idle else 1.0
        for descriptor, _ in poller.poll(pause):
            if descriptor == 0:
                end = time.monotonic()
                poller.unregister(0)
            elif (status := (one := by_descriptor[descriptor]).receive()) is not None:
                assert status == 200, status
                felt.append(Felt(one.due, (time.monotonic() - one.due) * 1000))
                idle.append(one)
    print(json.dumps(felt))


@contextmanager
def asking(job: dict[str, Any]) -> Iterator[list[Felt]]:
    """Asked as long as the block runs; what was felt is there afterwards."""
    felt: list[Felt] = []
    command = [sys.executable, "-m", "bench.policy_activation", "--probe", json.dumps(job)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield felt
        told, _ = process.communicate()
        felt += [Felt(*one) for one in json.loads(told)]


# ---- the activations


class Author:
    """Publishes and activates over HTTP, and waits for the first decision by it."""

    def __init__(self, url: str, keys: dict[str, str]) -> None:
        self._client = httpx.Client(base_url=url, timeout=120, trust_env=False)
        self._operator = {"Authorization": f"Bearer {keys['system_key']}"}
        self._caller = {"Authorization": f"Bearer {keys['caller_key']}"}
        self._service_key = keys["service_key"]
        self.spans: list[tuple[float, float, float, float]] = []

    def question(self) -> dict[str, Any]:
        """Denied with a reason that tells which edit decides."""
        resource = {"type": "pipeline", "id": "edited", "workspace": "demo"}
        return {"key": self._service_key, "scope": "pipelines:run", "resource": resource}

    def activate(self, files: dict[str, str], edited: int) -> None:
        """One activation, timed."""
        began = time.monotonic()
        published = self._client.post("/v1/bundles", json={"files": files}, headers=self._operator)
        assert published.is_success, published.text[:500]
        digest = published.json()["data"]["digest"]
        at_hand = time.monotonic()
        activated = self._client.post(f"/v1/bundles/{digest}/activate", json={}, headers=self._operator)
        assert activated.is_success, activated.text[:500]
        active = time.monotonic()
        while True:
            answer = self._client.post("/decide", json=self.question(), headers=self._caller).json()
            if answer["reason"] == f"edited_{edited}":
                break
            assert time.monotonic() - active < 60, "the new policy never decides"
        decides = time.monotonic()
        time.sleep(AFTER_S)
        self.spans.append((began, at_hand, active, decides))


def rounds_of(spans: list[tuple[float, float, float, float]], felt: list[Felt]) -> list[Round]:
    """Each activation with what was felt in it."""
    found = []
    for began, at_hand, active, decides in spans:
        within = [one.latency_ms for one in felt if began - 0.1 <= one.due <= decides + AFTER_S]
        late = sum(one > LIMIT_MS for one in within)
        found.append(Round(at_hand - began, active - at_hand, decides - began, max(within), len(within), late))
    return found


def measured(rules: int, rounds: int, rate: float) -> tuple[list[Round], list[Felt], float]:
    """The rounds, whole policies and edits by turns; all that was felt; and until when nothing was done."""
    with tempfile.TemporaryDirectory() as place:
        small = Path(place, "small")
        for name, text in rule_files(10, 0, 0).items():
            (small / name).parent.mkdir(parents=True, exist_ok=True)
            (small / name).write_text(text)
        data = str(Path(place, "data"))
        init = [*COMMAND, "init", "--demo", "--json", "--data-dir", data, "--policies", str(small)]
        keys = json.loads(subprocess.run(init, check=True, capture_output=True, text=True).stdout)
        serve = [*COMMAND, "serve", "--port", "0", "--data-dir", data]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=environment) as server:
            assert server.stdout is not None
            try:
                author = Author(listening_url(server.stdout), keys)
                job = {
                    "url": str(author._client.base_url),
                    "headers": {**author._caller, "Content-Type": "application/json"},
                    "body": json.dumps(author.question()),
                    "rate": rate,
                }
                with asking(job) as felt:
                    time.sleep(3)
                    quiet_until = time.monotonic()
                    for number in range(1, rounds + 1):
                        author.activate(rule_files(rules, number, 2 * number - 1), 2 * number - 1)
                        author.activate(rule_files(rules, number, 2 * number), 2 * number)
            finally:
                server.terminate()
    return rounds_of(author.spans, felt), felt, quiet_until


def told(name: str, rounds: list[Round]) -> bool:
    """Print them; whether the figures are met."""
    seconds, slowest = [one.decides_s for one in rounds], [one.slowest_ms for one in rounds]
    print(
        f"  {name:16} to the first decision: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s "
        f"(published {statistics.median(one.published_s for one in rounds):.2f} s, "
        f"activated {statistics.median(one.activated_s for one in rounds):.2f} s)"
    )
    print(
        f"  {'':16} slowest request: median {statistics.median(slowest):.1f} ms, worst {max(slowest):.1f} ms; "
        f"{sum(one.late for one in rounds)} of {sum(one.requests for one in rounds)} past {LIMIT_MS:.0f} ms"
    )
    return statistics.median(seconds) <= LIMIT_S and statistics.median(slowest) <= LIMIT_MS


def main() -> int:
    """Print the figures; 1 where one is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", type=int, nargs="?", default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--probe", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe is not None:
        probe(options.probe)
        return 0
    rounds, felt, quiet_until = measured(options.rules, options.rounds, options.rate)
    before = sorted(one.latency_ms for one in felt if one.due < quiet_until)
    print(f"policy activation: {options.rules} rules, asked {options.rate:.0f} times a second all the while")
    print(f"  before           p50 {before[len(before) // 2]:.1f} ms, slowest {before[-1]:.1f} ms")
    is_met = told("a whole policy", rounds[::2])
    is_met &= told("one file edited", rounds[1::2])
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
