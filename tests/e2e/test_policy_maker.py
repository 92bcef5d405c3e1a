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
from tests.e2e.test_ledger_faults import eventually
from tests.unit.api.desk import problem_code

EDITED = {"type": "pipeline", "id": "edited", "workspace": "demo"}


def children(server: Server) -> list[int]:
    """The processes that the server has started."""
    process = server._process.pid
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):
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
    assert not Path(f"/proc/{maker}").exists()
    assert "failed at attempt 2" in server.text()
    assert "Traceback" not in server.text()


def test_several_workers_make_a_large_policy_each(tmp_path: Path, keys: dict[str, Any]) -> None:
    """Whoever answers decides by it once it is active."""
    with Server(tmp_path / "data", "--workers", "2") as server:
        published = server.change("POST", "/v1/bundles", keys["system_key"], {"files": rule_files(300, 1, 1)})
        active = server.change("POST", f"/v1/bundles/{published['data']['digest']}/activate", keys["system_key"], {})
        question: dict[str, Any] = {"key": keys["service_key"], "scope": "pipelines:run", "resource": EDITED}
        question["min_revision"] = active["revision"]
        # Connections of their own: each worker gets some of them.
        for _ in range(8):
            with httpx.Client(base_url=server.url, timeout=10, trust_env=False) as client:
                headers = {"Authorization": f"Bearer {keys['caller_key']}"}
                eventually(lambda: client.post("/decide", json=question, headers=headers).status_code == 200)  # noqa: B023 - at once
                assert client.post("/decide", json=question, headers=headers).json()["reason"] == "edited_1"
