"""Engines over HTTP: each a server process on one core, asked the same questions about the same world."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from bench.peers import cerbos, plain_route
from bench.peers.inprocess import DisagreementError
from bench.peers.ours import PEPPERS
from bench.questions import Question
from bench.workloads import NOW, World, changes
from policy_service.model.changes import ChangeDraft
from policy_service.store import Store
from tests.e2e.processes import Server, answer, environment

OURS, FSYNC, CERBOS, PLAIN = "policy-service", "policy-service, fsync", "Cerbos, audit off", "plain FastAPI route"
ROUTE: Final = "policy-service, documented route"
"""The same server with its fast lane off."""
SERVER_CORE: Final = 0
START_S: Final = 30
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Target(msgspec.Struct, frozen=True):
    """A running server.

    Args:
        headers: of every request, but for those that follow from the body.
        body: a question as it wants it.
        allowed: what an answer says.
    """

    name: str
    url: str
    path: str
    pid: int
    headers: Mapping[str, str]
    body: Callable[[Question], Mapping[str, Any]]
    allowed: Callable[[Mapping[str, Any]], bool]
    beyond: Mapping[str, str] = {}

    def bodies(self, asked: Sequence[Question]) -> list[str]:
        """Questions as JSON text."""
        return [msgspec.json.encode(self.body(question)).decode() for question in asked]

    def cpu_s(self) -> float:
        """Processor time that the server has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

    def peak_mb(self) -> float:
        """Most resident memory that the server ever had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

    def check(self, asked: Sequence[Question]) -> None:
        """Have every question answered. Raises DisagreementError unless all answers are the expected ones."""
        with httpx.Client(base_url=self.url, headers=dict(self.headers), trust_env=False, timeout=10) as client:
            for question, body in zip(asked, self.bodies(asked), strict=True):
                response = client.post(self.path, content=body)
                if response.status_code != 200 or self.allowed(response.json()) != question.allowed:
                    raise DisagreementError(f"{self.name} answers {response.text} to {question}")


@contextmanager
def ours(world: World, durability: str = "os", lane: str = "on") -> Iterator[Target]:
    """Our server: caller authenticated, secret checked, every decision recorded as `durability` says.

    Args:
        lane: `off`: every question takes the documented route.
    """
    with tempfile.TemporaryDirectory() as name:
        data, policies = Path(name, "data"), Path(name, "policies")
        caller = filled(data, policies, world)
        given = {"POLICY_SERVICE_LEDGER_DURABILITY": durability, "POLICY_SERVICE_FAST_LANE": lane}
        with _pinned(), Server(data, **given) as server:
            yield Target(
                name=FSYNC if durability == "fsync" else ROUTE if lane == "off" else OURS,
                url=server.url,
                path="/decide",
                pid=server._process.pid,
                headers=_headers(caller),
                body=body_of,
                allowed=_allowed,
            )


@contextmanager
def plain(world: World) -> Iterator[Target]:
    """The plain route of `plain_route`."""
    (port,) = _free_ports(1)
    described = msgspec.json.encode(world).decode()
    command = [sys.executable, "-m", plain_route.__name__, str(port), described]
    with _process(command, f"http://127.0.0.1:{port}", "/openapi.json", environment()) as (url, pid):
        yield Target(
            name=PLAIN,
            url=url,
            path="/decide",
            pid=pid,
            headers=_headers(plain_route.CALLER),
            body=body_of,
            allowed=_allowed,
        )


@contextmanager
def cerbos_server(world: World) -> Iterator[Target | str]:
    """Cerbos; why there is none where its binary is not."""
    binary = cerbos.binary()
    if binary is None:
        yield f"needs the npm package `{cerbos.PACKAGE}`; `make bench-peers` installs it where npm is"
        return
    with tempfile.TemporaryDirectory() as name:
        Path(name, "pipeline.yaml").write_text(cerbos.policy(world))
        http_port, grpc_port = _free_ports(2)
        command = [str(binary), *cerbos.arguments(Path(name), http_port, grpc_port)]
        url, alone = f"http://127.0.0.1:{http_port}", {**os.environ, "GOMAXPROCS": "1"}
        with _process(command, url, "/_cerbos/health", alone) as (_, pid):
            yield Target(
                name=CERBOS,
                url=url,
                path="/api/check/resources",
                pid=pid,
                headers={"Content-Type": "application/json"},
                body=cerbos.question,
                allowed=cerbos.allowed,
                beyond=cerbos.BEYOND,
            )


def filled(data: Path, policies: Path, world: World, size: int = 2000) -> str:
    """Fill a data directory with the world's facts and policy, so many facts a change; gives the caller's key."""
    for name, text in world.files().items():
        (policies / name).parent.mkdir(parents=True, exist_ok=True)
        (policies / name).write_text(text)
    data.mkdir(mode=0o700)
    descriptor = os.open(data / "pepper", os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(PEPPERS.document())
    operator = answer("init", "--data-dir", data, "--policies", policies)["system_key"]
    store = Store.open(f"sqlite:///{data / 'policy.db'}")
    try:
        for draft in changes(world, PEPPERS, size):
            store.commit(partial(_planned, draft), actor="local:0", now=NOW)
    finally:
        store.close()
    return str(operator)


def _planned(draft: ChangeDraft, _facts: object) -> ChangeDraft:
    """A plan that looks at nothing: the store is ours alone."""
    return draft


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}


def body_of(question: Question) -> dict[str, Any]:
    """The body of `POST /decide`; what is absent is left out."""
    request = question.request
    place = {"type": request.resource.type, "id": request.resource.id, "workspace": request.resource.workspace}
    body = {
        "key": question.text,
        "scope": request.scope,
        "resource": {name: value for name, value in place.items() if value is not None},
        "source_ip": request.source_ip,
        "context": request.context or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def _allowed(answered: Mapping[str, Any]) -> bool:
    return bool(answered["decision"] == "allow")


@contextmanager
def _pinned() -> Iterator[None]:
    """Processes started in this block run on the server's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _process(command: list[str], url: str, health: str, variables: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A server process on its core, from when it answers to the end of the block."""
    with _pinned():
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(command, env=variables, cwd=cerbos.ROOT, stdout=nowhere, stderr=nowhere)
    try:
        _wait_for(url + health, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(START_S)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"nothing answers at {url}")


def _free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
