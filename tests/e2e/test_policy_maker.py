"""A large policy on a running server: made by a process beside it, which may be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.policy_activation import rule_files
from tests.e2e.processes import Server, answer
from tests.unit.api.desk import problem_code
from tests.waiting import until

EDITED = {"type": "pipeline", "id": "edited", "workspace": "demo"}


def children(server: Server) -> list[int]:
    """The processes that the server has started."""
    return children_of(server._process.pid)


def children_of(process: int) -> list[int]:
    """The processes that a process has started."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Any]:
    folder = tmp_path / "policies"
    for name, text in rule_files(10, 0, 0).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    found: dict[str, Any] = answer("init", "--demo", "--data-dir", tmp_path / "data", "--policies", folder)
    return found


def reason(server: Server, keys: dict[str, Any]) -> str:
    question = {"key": keys["service_key"], "scope": "pipelines:run", "resource": EDITED}
    return str(server.decide(keys["caller_key"], **question)["reason"])


@contextlib.contextmanager
def killing(server: Server) -> Iterator[list[int]]:
    """Every process that the server starts is killed as soon as it is there."""
    killed: list[int] = []
    is_over = threading.Event()

    def kill() -> None:
        while not is_over.is_set():
            for process in children(server):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                killed.append(process)
            time.sleep(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        is_over.set()
        thread.join()


def test_where_the_maker_is_killed_the_old_policy_decides_on(tmp_path: Path, keys: dict[str, Any]) -> None:
    """503 with its own code, nothing changed; left alone it is made, decides, and the process ends with the server."""
    with Server(tmp_path / "data") as server:
        assert reason(server, keys) == "edited_0"
        files = rule_files(300, 1, 1)
        before = server.call("GET", "/v1/changes", keys["system_key"]).json()
        with killing(server) as killed:
            refused = server.call("POST", "/v1/bundles", keys["system_key"], {"files": files})
        assert problem_code(refused, 503) == "policy_maker_failed"
        assert len(set(killed)) == 2
        assert reason(server, keys) == "edited_0"
        assert server.call("GET", "/readyz", None).status_code == 200
        assert server.call("GET", "/v1/changes", keys["system_key"]).json() == before
        published = server.change("POST", "/v1/bundles", keys["system_key"], {"files": files})
        server.change("POST", f"/v1/bundles/{published['data']['digest']}/activate", keys["system_key"], {})
        assert reason(server, keys) == "edited_1"
        (maker,) = children(server)
    until(lambda: not Path(f"/proc/{maker}").exists(), "the process beside the server stays")
    assert "failed at attempt 2" in server.text()
    assert "Traceback" not in server.text()


def makers(server: Server) -> list[int]:
    """The processes that make programs, of all workers."""
    found = []
    for worker in children(server):
        for process in children_of(worker):
            with contextlib.suppress(OSError):
                if b"policy_maker" in Path(f"/proc/{process}/cmdline").read_bytes():
                    found.append(process)
    return found


def everybody_decides_by(server: Server, keys: dict[str, Any], expected: str, revision: int) -> None:
    """Connections of their own: each worker gets some of them."""
    question = {"key": keys["service_key"], "scope": "pipelines:run", "resource": EDITED, "min_revision": revision}
    headers = {"Authorization": f"Bearer {keys['caller_key']}"}
    for _ in range(8):
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            until(lambda: client.post("/decide", json=question, headers=headers).status_code == 200)
            assert client.post("/decide", json=question, headers=headers).json()["reason"] == expected


def test_of_several_workers_one_makes_and_the_others_link(tmp_path: Path, keys: dict[str, Any]) -> None:
    """One process more for all of them; and a worker that is started again finds what is made."""
    with Server(tmp_path / "data", "--workers", "2") as server:
        published = server.change("POST", "/v1/bundles", keys["system_key"], {"files": rule_files(300, 1, 1)})
        active = server.change("POST", f"/v1/bundles/{published['data']['digest']}/activate", keys["system_key"], {})
        everybody_decides_by(server, keys, "edited_1", active["revision"])
        (maker,) = makers(server)
        with_maker, without = sorted(children(server), key=lambda worker: maker not in children_of(worker))
        os.kill(without, signal.SIGKILL)
        until(lambda: len(children(server)) == 2 and without not in children(server))
        until(lambda: "answers again" in server.text())
        everybody_decides_by(server, keys, "edited_1", active["revision"])
        assert makers(server) == [maker]
        assert with_maker in children(server)


def test_what_somebody_wrote_onto_the_shelf_is_not_run(tmp_path: Path, keys: dict[str, Any]) -> None:
    """A process of the same user can reach the memory that workers share; a worker that finds it altered makes anew."""
    with Server(tmp_path / "data", "--workers", "2") as server:
        published = server.change("POST", "/v1/bundles", keys["system_key"], {"files": rule_files(300, 1, 1)})
        active = server.change("POST", f"/v1/bundles/{published['data']['digest']}/activate", keys["system_key"], {})
        everybody_decides_by(server, keys, "edited_1", active["revision"])
        (maker,) = makers(server)
        (without,) = [worker for worker in children(server) if maker not in children_of(worker)]
        assert altered(without, b"policy_service") > 0
        os.kill(without, signal.SIGKILL)
        until(lambda: "answers again" in server.text())
        everybody_decides_by(server, keys, "edited_1", active["revision"])
        assert len(makers(server)) == 2
    assert "is not what was put there" in server.text()


def altered(process: int, word: bytes) -> int:
    """How many times a word was replaced in the nameless memory of a process."""
    count = 0
    for link in Path(f"/proc/{process}/fd").iterdir():
        if link.readlink().name.startswith("memfd:policy-"):
            with link.open("r+b") as file:
                data = file.read()
                file.seek(0)
                file.write(data.replace(word, word[::-1]))
                count += data.count(word)
    return count


def test_a_worker_that_is_killed_while_it_makes_holds_up_nobody(tmp_path: Path, keys: dict[str, Any]) -> None:
    """The others make it themselves, at the next request."""
    job = {"files": rule_files(2000, 1, 1)}
    with Server(tmp_path / "data", "--workers", "2") as server:
        asked = threading.Thread(target=lambda: refused.append(publish(server, keys, job)))
        refused: list[int] = []
        asked.start()
        until(lambda: len(makers(server)) == 1)
        (maker,) = makers(server)
        (worker,) = [one for one in children(server) if maker in children_of(one)]
        os.kill(worker, signal.SIGKILL)
        asked.join()
        assert refused == [0]
        published = server.change("POST", "/v1/bundles", keys["system_key"], job)
        active = server.change("POST", f"/v1/bundles/{published['data']['digest']}/activate", keys["system_key"], {})
        everybody_decides_by(server, keys, "edited_1", active["revision"])
        until(lambda: not Path(f"/proc/{maker}").exists())


def publish(server: Server, keys: dict[str, Any], job: dict[str, Any]) -> int:
    """The status; 0 where the worker was gone before it answered."""
    headers = {"Authorization": f"Bearer {keys['system_key']}"}
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        try:
            return client.post("/v1/bundles", json=job, headers=headers).status_code
        except httpx.HTTPError:
            return 0
