"""Two tenants behind one real server, keys of every kind, and ways to speak to it that no polite client has."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from policy_service.model.api_key import checksum, format_api_key
from tests.e2e.processes import Server, answer

VICTIM = "rival"
"""The workspace that keys of `demo` try to get at."""
CANARY = "canary-of-the-rival"
"""Stands in every free text of the victim's facts: no answer to another tenant may hold it."""
NEVER = "NeverThere12"
"""An id of every form (of a key as well) that names nothing."""
VICTIM_ID = "prize"
"""What the victim's user, team, service principal and resource are called: nothing in `demo` is."""
BAD_KEYS = ("none", "malformed", "unknown", "wrong secret", "revoked", "expired", "not yet valid", "suspended user")
LISTS = (
    "users",
    "service-principals",
    "teams",
    f"teams/{VICTIM_ID}/members",
    "resources",
    "role-bindings",
    "ip-allowlist",
    "keys",
)


class House:
    """A demonstration with a second tenant.

    Args:
        keys: key texts by kind; `none` shows none.
        victims: what each path parameter's noun is called in the victim's workspace.
    """

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.init: dict[str, str] = answer("init", "--demo", "--data-dir", data_dir)
        self.server = Server(data_dir, **settings)
        self.client = httpx.Client(base_url=self.server.url, timeout=60, trust_env=False)
        self.keys: dict[str, str | None] = {}
        self.victims: dict[str, str] = {}
        self._furnish_victim()
        self._furnish_keys()

    def close(self) -> None:
        """End the client; the server ends with its own block."""
        self.client.close()

    # speaking

    def system(self, method: str, path: str, body: Any = None, workspace: str | None = None, **params: Any) -> Any:
        """A change or a look by the operator, which must succeed."""
        query = {**params, **({"workspace": workspace} if workspace else {})}
        response = self.server.call(method, f"/v1/{path}", self.init["system_key"], body, **query)
        assert response.is_success, response.text
        return response.json()

    def call(self, method: str, path: str, key: str | None, **more: Any) -> httpx.Response:
        """Any request, with a key as Bearer."""
        headers = {**more.pop("headers", {}), **({} if key is None else {"Authorization": f"Bearer {key}"})}
        return self.client.request(method, path, headers=headers, **more)

    def batch(self, questions: list[dict[str, Any]], key: str | None = None) -> list[dict[str, Any]]:
        """Decisions on any number of questions, in order; an item that is none has `error`."""
        results: list[dict[str, Any]] = []
        for start in range(0, len(questions), 1000):
            body = json.dumps({"requests": questions[start : start + 1000]})
            response = self.call("POST", "/decide/batch", key or self.init["caller_key"], content=body)
            assert response.status_code == 200, response.text
            results += response.json()["results"]
        return results

    def revision(self) -> int:
        """The last change that the server has seen."""
        found: int = self.call("GET", "/readyz", None).json()["revision"]
        return found

    def connect(self, timeout_s: float = 60) -> socket.socket:
        """A naked connection."""
        parts = urlsplit(self.server.url)
        return socket.create_connection((parts.hostname, parts.port), timeout=timeout_s)

    def raw(self, data: bytes, timeout_s: float = 60) -> bytes:
        """Send bytes, say that no more will come, and read until the server closes."""
        received = b""
        with self.connect(timeout_s) as connection, contextlib.suppress(ConnectionError, BrokenPipeError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        return received

    # the victim

    def _furnish_victim(self) -> None:
        self.system("POST", "workspaces", {"id": VICTIM, "name": CANARY})
        put = {"name": CANARY}
        for noun in ("users", "service-principals", "teams"):
            name = VICTIM_ID if noun != "service-principals" else f"{VICTIM_ID}-program"
            self.system("PUT", f"{noun}/{name}", put, VICTIM)
        self.system("PUT", f"teams/{VICTIM_ID}/members/{VICTIM_ID}", {}, VICTIM)
        secret = {"owner": VICTIM_ID, "attributes": {"env": "dev", "note": CANARY}}
        self.system("PUT", f"resources/pipeline/{VICTIM_ID}", secret, VICTIM)
        entries = [{"cidr": "192.0.2.0/24", "label": CANARY}]
        self.system("PUT", "ip-allowlist", {"enabled": False, "entries": entries}, VICTIM)
        bound = self.system("POST", "role-bindings", {"role": "operator", "team": VICTIM_ID}, VICTIM)
        key = self.make_key("user", VICTIM_ID, ["pipelines:run"], VICTIM, labels={"note": CANARY})
        self.keys["victim"] = key["key"]
        self.keys["victim's admin"] = self.make_key("service", f"{VICTIM_ID}-program", ["admin:organization"], VICTIM)[
            "key"
        ]
        self.victims = {
            "workspaces": VICTIM,
            "users": VICTIM_ID,
            "service-principals": f"{VICTIM_ID}-program",
            "teams": VICTIM_ID,
            "resources": VICTIM_ID,
            "role-bindings": bound["data"]["id"],
            "changes": str(bound["revision"]),
            "keys": key["id"],
        }

    def victim_facts(self) -> str:
        """Everything that the victim has, as its operator sees it."""
        found = {path: self.system("GET", path, workspace=VICTIM)["data"] for path in LISTS}
        return json.dumps(found, sort_keys=True)

    # keys

    def make_key(self, kind: str, name: str, scopes: list[str], workspace: str = "demo", **more: Any) -> dict[str, Any]:
        """A key's document, with its text."""
        body = {"principal": {"kind": kind, "id": name}, "scopes": scopes, **more}
        made: dict[str, Any] = self.system("POST", "keys", body, workspace)["data"]
        return made

    def _furnish_keys(self) -> None:
        for name, role in (("viv", "viewer"), ("adam", "administrator"), ("narrow", None), ("sue", "administrator")):
            self.system("PUT", f"users/{name}", {"name": name}, "demo")
            if role:
                self.system("POST", "role-bindings", {"role": role, "user": name}, "demo")
        over = {"type": "pipeline", "id": "etl-nightly"}
        self.system("POST", "role-bindings", {"role": "administrator", "user": "narrow", "resource": over}, "demo")
        every = ["admin:organization", "decisions:explain", "decisions:read", "keys:own"]
        expired, over_at = self._make_key_that_ends_soon(every)
        made = {
            "revoked": self.make_key("service", "admin", every),
            "expired": expired,
            "not yet valid": self.make_key("service", "admin", every, not_before="2099-01-01T00:00:00Z"),
            "suspended user": self.make_key("user", "sue", every),
            "from elsewhere": self.make_key("service", "admin", every, cidrs=["203.0.113.0/24"]),
            "pipelines only": self.make_key("service", "ci", ["pipelines:run"]),
            "user without the role": self.make_key("user", "viv", every),
            "user with the role over one resource": self.make_key("user", "narrow", every),
            "user's own keys": self.make_key("user", "viv", ["keys:own", "pipelines:read"]),
            "decider": self.make_key("service", "ci", ["decisions:evaluate"]),
            "explainer": self.make_key("service", "ci", ["decisions:explain"]),
            "log reader": self.make_key("service", "ci", ["decisions:read"]),
            "admin by role": self.make_key("user", "adam", every),
            "admin": self.make_key("service", "admin", ["admin:organization"]),
        }
        self.keys.update({kind: key["key"] for kind, key in made.items()})
        self.system("POST", f"keys/{made['revoked']['id']}/revoke", {"reason": "leaked"}, "demo")
        self.system("PUT", "users/sue", {"name": "sue", "suspended": True}, "demo")
        self.keys.update(
            {
                "none": None,
                "malformed": "psx_",
                "unknown": format_api_key("psx", NEVER, "A" * 22),
                "wrong secret": format_api_key("psx", made["admin"]["id"], "A" * 22),
                "system": self.init["system_key"],
                "caller": self.init["caller_key"],
            }
        )
        time.sleep(max(0.0, over_at + 0.1 - time.time()))

    def _make_key_that_ends_soon(self, scopes: list[str]) -> tuple[dict[str, Any], int]:
        """A key, and the second in which it ends: as soon as this machine is able to make it before that."""
        for seconds in (2, 4, 8, 16, 32):
            over_at = int(time.time()) + seconds
            ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(over_at))
            body = {"principal": {"kind": "service", "id": "admin"}, "scopes": scopes, "expires_at": ends}
            made = self.server.call("POST", "/v1/keys", self.init["system_key"], body, workspace="demo")
            if made.is_success:
                return made.json()["data"], over_at
        raise AssertionError(made.text)


def with_crc(body: str) -> str:
    """A key's text with the right checksum behind whatever is before it."""
    return body + checksum(body)
