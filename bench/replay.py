"""Records a second on one core that are replayed, and peak memory; the answers are asserted first.

    python -m bench.replay [--records 200000] [--keys 10000] [--changes 500] [--shards 4] [--jobs 2] [--unknown 0]
                           [--distinct]

A world of keys is asked for decisions while it changes: memberships come and go, keys are revoked, resources and the
allowlist edited, bundles activated. Replay is measured in processor time of its one process, in a process of its own,
and beside what it costs on this machine, at this hour, to decode the same records whole and to hash them as `verify`
does: the ratios say more than the rates, wherever others use the processor too.
With `--unknown 10` of a hundred requests ten come with a key that nobody knows.
With `--distinct` every request has a ticket of its own, so that nothing that was derived can be used again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from bench.decide import rule_files
from policy_service.engine.link import compile_policy
from policy_service.engine.program import Program, Sight
from policy_service.engine.seen import seen_part
from policy_service.engine.snapshot import Snapshot
from policy_service.language.load import load_policy
from policy_service.ledger.codec import decode_record
from policy_service.ledger.merkle import Tree, leaf_hashes
from policy_service.ledger.reader import blocks, sources
from policy_service.model.changes import Change, ChangeDraft, Effect, chain
from policy_service.model.facts import (
    ActiveBundle,
    AllowlistEntry,
    ApiKey,
    Bundle,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    Team,
    User,
    Workspace,
)
from policy_service.model.request import Credential, Request, ResourceRef
from policy_service.service.auditing.replay import ReplayOptions, replay
from policy_service.service.auditing.replay_sharing import replay_shared, replayers
from policy_service.service.caller import Caller
from policy_service.service.ports import Decided
from policy_service.service.recording.record_lines import LineWriter, write_request

NOW = 1_800_000_000_000_000_000
LINES = LineWriter()
CALLER = Caller(actor="key:callerKey000", workspace="system", is_operator=True, key_id="callerKey000")
PLACES = ("etl-1", "etl-2", "etl-cond-1", "p1", "adhoc")
WORKSPACES, USERS = 20, 2000


class World:
    """The facts, changing; it is its own archive."""

    def __init__(self, keys: int, seed: int) -> None:
        self.chance = random.Random(seed)
        policies = [load_policy(rule_files(count)) for count in (60, 61)]
        self.programs = {policy.digest: compile_policy(policy) for policy in policies}
        self.files = {policy.digest: rule_files(count) for policy, count in zip(policies, (60, 61), strict=True)}
        self.snapshot = Snapshot(self)
        self.log: list[Change] = []
        self.keys = [self._key(number) for number in range(keys)]
        self._put(*self._first())

    def program(self, digest: str) -> Program:
        return self.programs[digest]

    def changes(self) -> Iterator[Change]:
        return iter(self.log)

    def bundle_files(self, digest: str) -> dict[str, str] | None:
        return self.files.get(digest)

    def change(self) -> None:
        """One of the changes that administrators make."""
        chance = self.chance
        kind, where = chance.randrange(100) / 8, f"w{chance.randrange(WORKSPACES)}"
        if kind < 5:
            self._toggle(Membership(workspace=where, team="prod-operators", user=f"u{chance.randrange(USERS)}"))
        elif kind < 8:
            key = chance.choice(self.keys)
            self._put(msgspec.structs.replace(key, revoked_at=NOW))
        elif kind < 10:
            env = chance.choice(("prod", "dev"))
            self._put(Resource(workspace=where, type="pipeline", id="etl-cond-1", attributes={"env": env}))
        elif kind < 12.3:
            entries = (AllowlistEntry(cidr="10.0.0.0/8"),)
            self._put(IpAllowlist(workspace=where, enabled=chance.random() < 0.5, entries=entries))
        else:
            self._put(ActiveBundle(digest=chance.choice(list(self.programs))))

    def request(self, distinct: int | None, unknown: int = 0) -> Request:
        """What some key asks."""
        chance = self.chance
        key, place = chance.choice(self.keys), chance.choice(PLACES)
        context = {} if distinct is None else {"ticket": f"T-{distinct}"}
        where = ResourceRef("pipeline", place, key.workspace)
        known = Credential("verified", key.id, 1)
        if unknown and chance.randrange(100) < unknown:
            known = Credential("unknown", f"stranger{chance.randrange(10_000):04d}")
        return Request(known, "pipelines:run", where, "10.1.2.3", context)

    def _key(self, number: int) -> ApiKey:
        is_user = number % 2 == 0
        return ApiKey(
            id=f"key{number:09d}",
            workspace=f"w{number % WORKSPACES}",
            principal_kind="user" if is_user else "service",
            principal_id=f"u{number % USERS}" if is_user else "ci",
            scopes=("pipelines:run",),
            slots=(SecretSlot(number=1, pepper_id="p1", created_at=0),),
            created_at=0,
        )

    def _first(self) -> Iterator[Fact]:
        digest = next(iter(self.programs))
        yield from (Bundle(digest=one, content_sha256="0" * 64) for one in self.programs)
        yield ActiveBundle(digest=digest)
        for number in range(WORKSPACES):
            where: dict[str, Any] = {"workspace": f"w{number}"}
            yield Workspace(id=f"w{number}")
            yield Team(**where, id="engineers")
            yield Team(**where, id="prod-operators", parent="engineers")
            yield RoleBinding(**where, id=f"b{number}", role="operator", team="engineers")
            yield from (Resource(**where, type="pipeline", id=place, attributes={"env": "dev"}) for place in PLACES[:3])
        for number in range(USERS):
            where = {"workspace": f"w{number % WORKSPACES}"}
            yield User(**where, id=f"u{number}")
            yield Membership(**where, team="engineers", user=f"u{number}")
        yield from self.keys

    def _toggle(self, fact: Fact) -> None:
        there = self.snapshot.fact(fact.entity, fact.key())
        self._append([Effect(fact.entity, fact.key(), _json(there), None if there else _json(fact))])

    def _put(self, *facts: Fact) -> None:
        before = [self.snapshot.fact(fact.entity, fact.key()) for fact in facts]
        self._append([Effect(f.entity, f.key(), _json(b), _json(f)) for f, b in zip(facts, before, strict=True)])

    def _append(self, effects: list[Effect]) -> None:
        draft = ChangeDraft(action="bench.put", workspace=None, subject="", effects=tuple(effects))
        at = self.snapshot
        self.log.append(chain(draft, revision=at.revision + 1, at=NOW, actor="local:0", previous_hash=at.chain_hash))
        at.apply(self.log[-1])


def _json(fact: Fact | None) -> dict[str, Any] | None:
    return None if fact is None else msgspec.to_builtins(fact)


def write(world: World, folder: Path, options: argparse.Namespace) -> int:
    """Records, round-robin in as many shards; the bytes written."""
    files = [(folder / f"{number}.jsonl").open("wb") for number in range(options.shards)]
    every = max(1, options.records // options.changes)
    for number in range(options.records):
        if number % every == every - 1:
            world.change()
        files[number % len(files)].write(_line(world, number, options) + b"\n")
    for file in files:
        file.close()
    return sum(file.stat().st_size for file in folder.iterdir())


def _line(world: World, number: int, options: argparse.Namespace) -> bytes:
    snapshot, asked = world.snapshot, world.request(number if options.distinct else None, options.unknown)
    assert snapshot.program is not None
    decision = snapshot.program.decide(asked, snapshot, NOW + number * 1000)
    known = seen_part(asked, snapshot, decision, Sight())
    name, chained = f"D{number:021d}", snapshot.chain_hash
    return LINES.line_of(
        Decided(
            decision_id=name,
            caller=CALLER,
            request=asked,
            decision=decision,
            chain=chained,
            asked=write_request(asked),
            facts=known,
            request_id=name,
        )
    )


def shared(world: World, folder: Path, records: int, jobs: int) -> float:
    """Seconds that pass where several processes replay."""
    start = time.perf_counter()
    options = ReplayOptions()
    with replayers(jobs, lambda: nullcontext(world), options) as helpers:
        report = replay_shared(helpers, sources([folder]), jobs, shown=options.shown)
    assert report.same == records, report
    return time.perf_counter() - start


def measure(world: World, folder: Path, records: int, jobs: int) -> None:
    """In a process of its own: replay, assert, and tell."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, wall = time.process_time(), time.perf_counter()
    report = replay(world, sources([folder]), ReplayOptions())
    spent, passed = time.process_time() - start, time.perf_counter() - wall
    assert report.is_clean, report.findings[:3]
    assert report.same == records, report
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    together = shared(world, folder, records, jobs)
    decoding, hashing = yardsticks(folder)
    print(f"replay  {records / spent:12,.0f} records/s of processor time  {spent / records * 1e6:6.2f} µs a record")
    print(f"        {records / passed:12,.0f} records/s as time passed")
    print(f"--jobs {jobs}{records / together:12,.0f} records/s as time passed")
    print(f"ratio   {spent / records / decoding:12.2f} of decoding a record whole ({decoding * 1e6:.2f} µs)")
    print(f"        {spent / records / hashing:12.2f} of its leaf hash in the Merkle tree ({hashing * 1e6:.2f} µs)")
    print(f"memory  {peak / 1024:12,.0f} MB at most, of which {before / 1024:,.0f} MB before it began")


def yardsticks(folder: Path) -> tuple[float, float]:
    """Seconds a record to decode it whole, and to hash it and add it to the tree."""
    block = next(blocks(next(folder.iterdir())))
    lines = block.lines
    start = time.process_time()
    for line in lines:
        decode_record(line, is_checked=False)
    decoded = time.process_time()
    Tree().extend(leaf_hashes(lines))
    return (decoded - start) / len(lines), (time.process_time() - decoded) / len(lines)


def main() -> None:
    """Write, then replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("records", 200_000),
        ("keys", 10_000),
        ("changes", 500),
        ("shards", 4),
        ("seed", 1),
        ("unknown", 0),
        ("jobs", 2),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--distinct", action="store_true", help="no request is asked twice")
    options = parser.parse_args()
    world = World(options.keys, options.seed)
    with tempfile.TemporaryDirectory() as name:
        size = write(world, Path(name), options)
        print(f"{options.records:,} records, {size / options.records:.0f} bytes each, {len(world.log)} changes")
        arguments = (world, Path(name), options.records, options.jobs)
        process = multiprocessing.get_context("fork").Process(target=measure, args=arguments)
        process.start()
        process.join()
    raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
