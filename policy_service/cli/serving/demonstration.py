"""What the demonstration shows: who its keys are for, and requests to paste."""

from __future__ import annotations

import json
import shlex
from typing import Any, Final

import msgspec

from policy_service.service.setup import ADA, ADMIN, CI, GATEWAY, OPERATOR, Initialized


class KeyRole(msgspec.Struct, frozen=True):
    """One of the demonstration's keys. `member`: its field in `Initialized`."""

    member: str
    title: str
    text: str


KEY_ROLES: Final = (
    KeyRole("caller_key", GATEWAY, "a service that asks for decisions (Authorization: Bearer …)"),
    KeyRole("service_key", CI, "a program in workspace demo: reads and runs pipelines"),
    KeyRole("user_key", ADA, "a person in workspace demo, by her team's role"),
    KeyRole("admin_key", ADMIN, "administers workspace demo under /v1"),
    KeyRole("system_key", OPERATOR, "the operator's: covers every workspace"),
)

_ETL: Final = {"type": "pipeline", "id": "etl-42", "workspace": "demo"}


def examples(made: Initialized, url: str) -> list[tuple[str, str]]:
    """Titles and `curl` lines: one that is allowed, others denied for different reasons."""
    ci, ada = made.service_key, made.user_key
    questions: tuple[tuple[str, str | None, str, Any], ...] = (
        ("allowed", ci, "pipelines:run", _ETL),
        (
            "denied, insufficient_scope: the key was not issued for that",
            ci,
            "connections:write",
            "connection:warehouse",
        ),
        ("denied, workspace_mismatch: tenants are walls", ci, "pipelines:run", {**_ETL, "workspace": "acme"}),
        (
            "denied, production_locked: a rule of policies/resources/pipeline.yaml",
            ada,
            "pipelines:run",
            "pipeline:etl-nightly",
        ),
        ("denied, unknown_resource: nobody registered it", ada, "connections:read", "connection:lost"),
        ("denied, malformed_key: a typing mistake", f"{ci}x", "pipelines:run", _ETL),
    )
    lines = [(title, _curl(url, made.caller_key, key, scope, resource)) for title, key, scope, resource in questions]
    explained = _curl(url, made.caller_key, ada, "pipelines:run", "pipeline:etl-nightly", "?explain=true")
    return [*lines, ("the same deny, every check explained", explained)]


def _curl(url: str, caller_key: str | None, key: str | None, scope: str, resource: Any, query: str = "") -> str:
    body = json.dumps({"key": key, "scope": scope, "resource": resource})
    target = shlex.quote(f"{url}/decide{query}")
    return (
        f"curl -sS {target} -H 'Authorization: Bearer {caller_key}' "
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
