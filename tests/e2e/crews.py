"""A server with several workers, and a connection to each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.e2e.processes import Server, answer

ETL = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}
MOST_TRIES = 400


class Lines:
    """One connection to each worker of a server. Which worker is at its end is asked before each request."""

    def __init__(self, url: str, count: int) -> None:
        self._url = url
        self._open: dict[int, httpx.Client] = {}
        self.count = count

    def close(self) -> None:
        for client in self._open.values():
            client.close()
        self._open.clear()

    def to(self, worker: int) -> httpx.Client:
        """A connection to this worker. An idle connection may have been closed, or its worker be another by now."""
        for _ in range(MOST_TRIES):
            client = self._open.pop(worker, None) or self._connect()
            reached = _worker_of(client)
            if reached is None:
                client.close()
                continue
            if reached != worker and reached in self._open:
                client.close()
                continue
            self._open[reached] = client
            if reached == worker:
                return client
        raise AssertionError(f"no connection reaches worker {worker}")

    def every(self) -> dict[int, httpx.Client]:
        """A connection to each."""
        return {worker: self.to(worker) for worker in range(self.count)}

    def _connect(self) -> httpx.Client:
        limits = httpx.Limits(max_connections=1)
        return httpx.Client(base_url=self._url, timeout=30, trust_env=False, limits=limits)


def _worker_of(client: httpx.Client) -> int | None:
    try:
        document = client.get("/readyz").json()
    except httpx.HTTPError:
        return None
    worker = document.get("worker")
    return worker if isinstance(worker, int) else None


class Site:
    """A demonstration for several workers."""

    def __init__(self, data_dir: Path, count: int = 2, **variables: str) -> None:
        self.data_dir = data_dir
        self.count = count
        self.variables = variables
        self.keys: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir, **variables)

    def server(self, *arguments: str | Path, **more: str) -> Server:
        return Server(self.data_dir, "--workers", str(self.count), *arguments, **self.variables, **more)

    def question(self, **more: Any) -> dict[str, Any]:
        """About the service key, which is allowed while nothing is wrong."""
        return {"key": self.keys["service_key"], "scope": "pipelines:run", "resource": ETL, **more}

    def ask(self, client: httpx.Client, **more: Any) -> httpx.Response:
        """One question on one connection."""
        headers = {"Authorization": f"Bearer {self.keys['caller_key']}"}
        return client.post("/decide", headers=headers, json=self.question(**more))

    def new_key(self, client: httpx.Client) -> Any:
        """A key to be revoked, issued by one worker."""
        body = {"principal": {"kind": "service", "id": "ci"}, "scopes": ["pipelines:run"]}
        return self.change(client, "POST", "/v1/keys", body)["data"]

    def change(self, client: httpx.Client, method: str, path: str, body: Any = None) -> Any:
        """One change on one connection; its answer, which must be a success."""
        headers = {"Authorization": f"Bearer {self.keys['admin_key']}"}
        response = client.request(method, path, headers=headers, json=body)
        assert response.is_success, response.text
        return response.json()


def pids(server: Server) -> list[int]:
    """The processes of the workers, in no order."""
    path = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def lives(pid: int) -> bool:
    """Whether a process runs. One that has ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False
