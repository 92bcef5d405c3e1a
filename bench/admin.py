"""Keys created a second through `POST /v1/keys`: `python -m bench.admin [COUNT]`, on SQLite and on PostgreSQL.

A real server on its own process, one client and then eight; every key is on disk before it is answered. First the keys
are right: one that was just made is allowed by the next decision, and one that was just revoked is denied by the next.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.databases import postgres_database, serve_postgres
from tests.e2e.processes import Server, answer

BODY = {"principal": {"kind": "service", "id": "ci"}, "scopes": ["pipelines:run"]}
ETL = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}
CLIENTS = 8


@contextmanager
def databases() -> Iterator[dict[str, dict[str, str]]]:
    """The settings of a fresh database of each kind."""
    with serve_postgres(durable=True) as server, postgres_database(server) as postgres:
        yield {"sqlite": {}, "postgresql": {"POLICY_SERVICE_DATABASE_URL": postgres}}


def create(url: str, key: str, count: int, times: list[float]) -> None:
    """Create so many keys over one connection, and note how long each took."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        for _ in range(count):
            started = time.perf_counter()
            response = client.post("/v1/keys", json=BODY)
            times.append(time.perf_counter() - started)
            assert response.status_code == 201, response.text


def measure(url: str, key: str, clients: int, count: int) -> str:
    """Keys a second by so many clients, and the time that one takes."""
    times: list[float] = []
    threads = [threading.Thread(target=create, args=(url, key, count // clients, times)) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(times) / (time.perf_counter() - started)
    times.sort()
    median, late = times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3
    return f"{rate:6.0f}/s by {clients} (median {median:5.1f} ms, 99th {late:5.1f} ms)"


def revoked_to_denied(server: Server, keys: dict[str, str], rounds: int) -> float:
    """Assert that the very next decision knows of a new key and of a revoked one; ms from revocation to denial."""
    took = []
    for _ in range(rounds):
        made = server.change("POST", "/v1/keys", keys["admin_key"], BODY)["data"]
        question: dict[str, Any] = {"key": made["key"], "scope": "pipelines:run", "resource": ETL}
        assert server.decide(keys["caller_key"], **question)["reason"] == "allowed"
        started = time.perf_counter()
        server.change("POST", f"/v1/keys/{made['id']}/revoke", keys["admin_key"])
        assert server.decide(keys["caller_key"], **question)["reason"] == "revoked_key"
        took.append(time.perf_counter() - started)
    return sorted(took)[rounds // 2] * 1e3


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    with databases() as settings, tempfile.TemporaryDirectory() as folder:
        for name, variables in settings.items():
            data_dir = Path(folder) / name
            keys = answer("init", "--demo", "--data-dir", data_dir, **variables)
            with Server(data_dir, **variables) as server:
                denied_ms = revoked_to_denied(server, keys, 20)
                alone = measure(server.url, keys["admin_key"], 1, count)
                together = measure(server.url, keys["admin_key"], CLIENTS, count)
            print(
                f"{name:<11} POST /v1/keys {alone}  {together}  revoke to denied {denied_ms:.1f} ms, the next decision"
            )


if __name__ == "__main__":
    main()
