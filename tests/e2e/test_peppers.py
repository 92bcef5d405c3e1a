"""Peppers rotate under a running server: no key is reissued, and none stops working."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tests.e2e.processes import Server, answer, command
from tests.waiting import until

ETL = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}


def test_a_running_server_takes_a_new_pepper_on_sighup(tmp_path: Path) -> None:
    """Rotate, hang up, issue: old and new keys work; what the log says holds no pepper."""
    data = tmp_path / "data"
    keys = answer("init", "--demo", "--data-dir", data)
    with Server(data) as server:

        def decide(key: str) -> Any:
            return server.decide(keys["caller_key"], key=key, scope="pipelines:read", resource=ETL)["reason"]

        assert answer("peppers", "rotate", "--data-dir", data)["data"] == {"current": "p2"}
        os.kill(server._process.pid, signal.SIGHUP)
        until(lambda: "`p2` is current" in server.text())
        body = {"principal": {"kind": "service", "id": "ci"}, "scopes": ["pipelines:read"]}
        made = server.change("POST", "/v1/keys", keys["admin_key"], body)["data"]["key"]
        assert decide(made) == decide(keys["service_key"]) == "allowed"
        uses = {use["id"]: use for use in answer("peppers", "list", "--data-dir", data)["data"]}
        assert (uses["p1"]["state"], uses["p2"]["state"], uses["p2"]["working"]) == ("old", "current", 1)
        refused = command("peppers", "retire", "p1", "--data-dir", data)
        assert refused.returncode == 2
        assert "[pepper_in_use]" in refused.stderr
        content = (data / "pepper").read_text()
        secrets = [part for part in content.split('"') if len(part) == 64]
        assert len(secrets) == 2
        assert not [secret for secret in secrets if secret in server.text()]
