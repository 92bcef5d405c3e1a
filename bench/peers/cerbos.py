"""Cerbos (Go) over HTTP: its policy, its set-up, its questions.

Set-up: policies in a folder that is not watched, audit and telemetry off, log level `error`, one thread of Go on the
core it is pinned to. Cerbos holds no facts, so each question brings the key's: whoever asks has looked them up, which
costs Cerbos nothing here. Rules that deny in our chain are deny rules there. Its gRPC endpoint, which its documentation
calls the faster one, is not measured: our callers speak HTTP, and so does `wrk`.

Source: docs.cerbos.dev, "Configuration" (audit, telemetry, disk driver) and "Conditions" (`inIPAddrRange`).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from bench.peers.peer import FAULTS, SECRETS, limits
from bench.questions import Question
from bench.workloads import ACME, NETWORKS, READ, RUN, TICKETS, Guard, Rule, World, roles_of, scopes_of, teams_of
from policy_service.model.instants import format_rfc3339

PACKAGE: Final = "@cerbos/cerbos-linux-x64"
ROOT: Final = Path(__file__).parents[2]
INSTALLED: Final = ROOT / "build/peers/node_modules" / PACKAGE / "cerbos-linux-x64"
"""Where `make bench-peers` puts it."""
BEYOND: Final[Mapping[str, str]] = limits(SECRETS, FAULTS)

_GUARDS: Final[dict[Guard, str]] = {
    "locked": 'R.attr.env == "prod" && !("prod-operators" in P.attr.teams)',
    "tiered": "R.attr.tier > 3.0",
}
_DENIED: Final = (
    "P.attr.revoked",
    "has(P.attr.ends) && now() >= timestamp(P.attr.ends)",
    "has(P.attr.starts) && now() < timestamp(P.attr.starts)",
    "has(R.attr.workspace) && R.attr.workspace != P.attr.workspace",
    "!has(R.attr.env)",
    "has(P.attr.network) && !P.attr.ip.inIPAddrRange(P.attr.network)",
    f'has(P.attr.ticket) && !P.attr.ticket.startsWith("{TICKETS}")',
)


def binary() -> Path | None:
    """The server's binary: `CERBOS`, else what is installed for this bench, else what is on the path."""
    named = os.environ.get("CERBOS") or (str(INSTALLED) if INSTALLED.exists() else shutil.which("cerbos"))
    return Path(named) if named else None


def arguments(policies: Path, http_port: int, grpc_port: int) -> list[str]:
    """How it is started."""
    settings = {
        "server.httpListenAddr": f"127.0.0.1:{http_port}",
        "server.grpcListenAddr": f"127.0.0.1:{grpc_port}",
        "audit.enabled": "false",
        "telemetry.disabled": "true",
        "storage.driver": "disk",
        "storage.disk.directory": str(policies),
        "storage.disk.watchForChanges": "false",
    }
    return ["server", "--log-level=error", *(f"--set={name}={value}" for name, value in settings.items())]


def policy(world: World) -> str:
    """The one resource policy of a world, as YAML, which JSON is."""
    rules = [*_chain(), *map(_rule, world.policy())]
    document = {
        "apiVersion": "api.cerbos.dev/v1",
        "resourcePolicy": {"version": "default", "resource": "pipeline", "rules": rules},
    }
    return yaml.safe_dump(document, sort_keys=False)


def question(asked: Question) -> dict[str, Any]:
    """The body of `POST /api/check/resources`."""
    request, holder = asked.request, asked.holder
    assert holder is not None
    times = {"starts": holder.starts, "ends": holder.ends}
    principal = {
        "teams": teams_of(holder),
        "scopes": scopes_of(holder),
        "workspace": ACME,
        "revoked": holder.revoked or holder.suspended,
        "ip": request.source_ip,
        **{name: format_rfc3339(instant) for name, instant in times.items() if instant is not None},
        **({"network": holder.network} if holder.network else {}),
        **request.context,
    }
    claimed = {"workspace": request.resource.workspace} if request.resource.workspace else {}
    attributes = {**_attributes(request.resource.id), **claimed}
    resource = {"kind": request.resource.type, "id": request.resource.id, "attr": attributes}
    return {
        "principal": {"id": holder.key, "roles": roles_of(holder) or ("service",), "attr": principal},
        "resources": [{"actions": [request.scope], "resource": resource}],
    }


def allowed(answer: Mapping[str, Any]) -> bool:
    """What an answer says."""
    (effect,) = answer["results"][0]["actions"].values()
    return bool(effect == "EFFECT_ALLOW")


def _attributes(name: str) -> dict[str, Any]:
    """What is known of a pipeline; one that is not registered has no environment."""
    if name.startswith("nowhere-"):
        return {}
    return {"env": "prod" if name.startswith("etl-prod-") else "dev"}


def _chain() -> Iterator[dict[str, Any]]:
    """The checks of our chain that are no rules on pipelines."""
    yield from (_deny({"expr": expression}) for expression in _DENIED)
    # `none`: an address that is none makes every part an error, which is not satisfied, so that it is denied.
    yield _deny({"none": {"of": [{"expr": f'P.attr.ip.inIPAddrRange("{cidr}")'} for cidr in NETWORKS]}})
    for scope, role in ((RUN, "operator"), (READ, "viewer")):
        yield _deny({"expr": f'!("{scope}" in P.attr.scopes)'}, [scope])
        yield _deny({"expr": f'!("{role}" in P.roles || "service" in P.roles)'}, [scope])


def _deny(match: dict[str, Any], actions: list[str] | None = None) -> dict[str, Any]:
    return {
        "actions": actions or ["*"],
        "effect": "EFFECT_DENY",
        "roles": ["*"],
        "condition": {"match": match},
    }


def _rule(rule: Rule) -> dict[str, Any]:
    """A rule on pipelines."""
    start = json.dumps(rule.pattern.rstrip("*"))
    about = f"R.id.startsWith({start})" if rule.pattern.endswith("*") else f"R.id == {start}"
    condition = f"{about} && {_GUARDS[rule.guard]}" if rule.guard else about
    return {
        "actions": [READ, RUN],
        "effect": f"EFFECT_{rule.effect.upper()}",
        "roles": ["*"],
        "name": rule.name,
        "condition": {"match": {"expr": condition}},
    }
