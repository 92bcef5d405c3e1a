"""How long a batch of 100 takes in process: read excluded, keys' secrets checked, all of it recorded in a real shard.

The questions are a world's (`bench.questions`): busy keys and quiet ones, 87 % allowed, denials for every reason.
Answers are asserted first. Then the batch is timed, and what its steps take by themselves: their sum is less than the
whole, which has all of their code and data in turn in the processor's caches.

Run: python -m bench.batch [--rules 100] [--keys 1000] [--seconds 1.0]
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

from bench.decide import median_ns
from bench.peers.ours import PEPPERS, folded
from bench.questions import Question, questions
from bench.workloads import NOW, World
from policy_service.engine.decide import decide
from policy_service.engine.program import Sight
from policy_service.engine.seen import seen_part
from policy_service.engine.snapshot import Snapshot
from policy_service.ledger.shard import Limits, ShardWriter
from policy_service.model.request import Request
from policy_service.service.caller import Caller
from policy_service.service.deciding.credentials import Credentials
from policy_service.service.deciding.decisions import Answered, Ask, Decisions
from policy_service.service.following.replica import Replica
from policy_service.service.identifiers import RandomIds
from policy_service.service.ports import Decided
from policy_service.service.recording.record_lines import LineWriter, write_request
from policy_service.service.recording.recorder import Recorder

SIZE: Final = 100
CALLER: Final = Caller(actor="key:callerKey000", workspace="system", is_operator=True, key_id="callerKey000", slot=1)


class _Replica:
    """A replica that has seen it all."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def view(self) -> Snapshot:
        return self._snapshot


class _Clock:
    def now(self) -> int:
        return NOW


class _Kept:
    """A sink that keeps what was decided."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.decided: list[Decided] = []

    def record(self, decided: Any) -> Any:
        self.decided = list(decided)
        return self._recorder.record(decided)


class Batch:
    """A hundred questions about a world, and a service that answers them."""

    def __init__(self, world: World, folder: Path) -> None:
        self.snapshot = folded(world)
        self.asked: list[Question] = questions(world, SIZE)[:SIZE]
        self.asks = [_ask(question) for question in self.asked]
        self.log = ShardWriter(folder, "20270115T080000Z-bench000", Limits(), elapsed=time.monotonic)
        self.credentials, self.ids = Credentials(PEPPERS), RandomIds()
        self.recorder = Recorder("os", self.log)
        replica = cast("Replica", _Replica(self.snapshot))
        kept = _Kept(self.recorder)
        Decisions(replica, self.credentials, _Clock(), self.ids, kept).decide_batch(CALLER, self.asks)
        self.decided = kept.decided
        self.decisions = Decisions(replica, self.credentials, _Clock(), self.ids, self.recorder)

    def check(self) -> None:
        """Assert every answer."""
        answers = self.decisions.decide_batch(CALLER, self.asks).value()
        for question, answer in zip(self.asked, answers, strict=True):
            assert isinstance(answer, Answered), answer
            assert answer.decision.reason == question.reason, (question, answer)

    def steps(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """What is timed: a name, and what does it a hundred times."""
        snapshot, decided = self.snapshot, self.decided
        texts = [question.text for question in self.asked]
        requests = [one.request for one in decided]
        sights = [self._sight(request) for request in requests]
        met = [(one.request, snapshot, one.decision, sight) for one, sight in zip(decided, sights, strict=True)]
        lines = list(map(LineWriter().line_of, decided))
        line_of, sight, check = LineWriter().line_of, Sight(), self.credentials.check
        yield "secret: looked up, compared", lambda: [check(text, snapshot) for text in texts]
        yield "request: may it be recorded", lambda: [write_request(request) for request in requests]
        yield "decision", lambda: [decide(request, snapshot, NOW, sight) for request in requests]
        yield "facts for the record", lambda: [seen_part(*one) for one in met]
        yield "decision id", lambda: [self.ids.decision_id() for _ in requests]
        yield "line", lambda: list(map(line_of, decided))
        yield "append to the shard", lambda: self.log.append(lines)
        yield "the whole batch", lambda: self.decisions.decide_batch(CALLER, self.asks).value()

    def _sight(self, request: Request) -> Sight:
        sight = Sight()
        decide(request, self.snapshot, NOW, sight)
        return sight


def _ask(question: Question) -> Ask:
    request = question.request
    return Ask(
        key=question.text,
        scope=request.scope,
        resource=request.resource,
        source_ip=request.source_ip,
        context=request.context,
        request_id="0190f5a2-7a90-7c3e-9f3b-2f4f5d1c9a10",
    )


def measure(world: World, seconds: float) -> dict[str, float]:
    """Nanoseconds for each of the hundred decisions, by step."""
    with tempfile.TemporaryDirectory() as folder:
        batch = Batch(world, Path(folder))
        batch.check()
        gc.collect()
        gc.freeze()
        try:
            return {name: median_ns(once, seconds, calls=10) / SIZE for name, once in batch.steps()}
        finally:
            gc.unfreeze()
            batch.log.close()


def show(found: dict[str, float]) -> None:
    """Print the table."""
    for name, ns in found.items():
        print(f"  {name:40} {ns:7.0f} ns")
    whole = found["the whole batch"]
    print(f"  {1e9 / whole:,.0f} decisions a second of processor time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rules", type=int, default=100)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    print(f"a batch of {SIZE}, {options.rules} rules, {options.keys} keys: each decision")
    show(measure(World(rules=options.rules, keys=options.keys), options.seconds))


if __name__ == "__main__":
    main()
