"""Reading conformance cases: folders of plain YAML, each a policy, some facts, and requests with what they must get.

A case folder holds `requests.yaml`, and `policies/` and `facts.yaml` where they differ from `common/`: a file of the
case replaces the common file of that name, a fact of the case the common fact of that entity and key. See README.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import yaml

from policy_service.model.facts import ENTITIES, ApiKey, Fact, SecretSlot
from policy_service.model.instants import parse_rfc3339
from policy_service.model.names import split_resource
from policy_service.model.reasons import REASONS
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential, Request, ResourceRef
from tests.oracle.oracle import Verdict
from tests.oracle.rule_files import Loader

HERE = Path(__file__).parent
CASES = sorted(path.name for path in (HERE / "cases").iterdir() if path.is_dir())

WORKSPACE = "demo"
NOW = "2026-06-01T12:00:00Z"
DEFAULTS: dict[str, Any] = {"key": "serviceKey00", "scope": "pipelines:run", "resource": "pipeline:etl-1", "now": NOW}
TIMES = ("created_at", "not_before", "expires_at", "revoked_at")


class Asked(msgspec.Struct, frozen=True):
    """One request of a case. `verdict` is what every implementation must say."""

    name: str
    request: Request
    now: int
    verdict: Verdict


class ConformanceCase(msgspec.Struct, frozen=True):
    """A policy, all facts, and requests."""

    files: dict[str, str]
    facts: list[Fact]
    asked: list[Asked]


def read_case(name: str) -> ConformanceCase:
    """One case by the name of its folder."""
    folder = HERE / "cases" / name
    files = {**read_files(HERE / "common" / "policies"), **read_files(folder / "policies")}
    facts = {(fact.entity, fact.key()): fact for place in (HERE / "common", folder) for fact in read_facts(place)}
    asked = [read_asked(entry) for entry in read_yaml(folder / "requests.yaml")]
    return ConformanceCase(files, list(facts.values()), asked)


def read_yaml(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=Loader) or []


def read_files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.yaml"))
    }


def read_facts(folder: Path) -> list[Fact]:
    path = folder / "facts.yaml"
    entries = read_yaml(path) if path.exists() else []
    return [read_fact(entity, dict(fields)) for entry in entries for entity, fields in entry.items()]


def read_fact(entity: str, fields: dict[str, Any]) -> Fact:
    """A fact by its fields; the workspace and what every key has may be left out."""
    kind = ENTITIES[entity]
    if "workspace" in kind.__struct_fields__:
        fields.setdefault("workspace", WORKSPACE)
    if kind is ApiKey:
        complete_key(fields)
    if isinstance(fields.get("resource"), str):
        fields["resource_type"], fields["resource_id"] = split_resource(fields.pop("resource")) or ("", "")
    for name in TIMES:
        if isinstance(fields.get(name), str):
            fields[name] = instant(fields[name])
    return msgspec.convert(fields, kind)


def complete_key(fields: dict[str, Any]) -> None:
    """`user: ada` or `service: ci` names the principal; one slot, unless slots are given."""
    for kind in ("user", "service"):
        if kind in fields:
            fields["principal_kind"], fields["principal_id"] = kind, fields.pop(kind)
    fields.setdefault("created_at", "2026-01-01T00:00:00Z")
    fields["slots"] = [read_slot(slot) for slot in fields.get("slots", [{"number": 1}])]


def read_slot(slot: dict[str, Any]) -> SecretSlot:
    ends = slot.get("expires_at")
    return SecretSlot(number=slot["number"], pepper_id="p1", created_at=0, expires_at=instant(ends) if ends else None)


def instant(text: str) -> int:
    found = parse_rfc3339(text)
    assert found is not None, text
    return found


def read_asked(entry: dict[str, Any]) -> Asked:
    """One request; what it leaves out is in DEFAULTS."""
    fields = {**DEFAULTS, **entry}
    claim = fields["resource"]
    if isinstance(claim, str):
        kind, identity = split_resource(claim) or ("", "")
        claim = {"type": kind, "id": identity}
    resource = ResourceRef(
        claim["type"], claim["id"], claim.get("workspace"), claim.get("owner"), claim.get("attributes", {})
    )
    request = Request(
        read_credential(fields), fields["scope"], resource, fields.get("source_ip"), fields.get("context", {})
    )
    return Asked(fields["name"], request, instant(fields["now"]), read_verdict(fields["expect"]))


def read_credential(fields: dict[str, Any]) -> Credential:
    outcomes = {"missing": MISSING, "malformed": MALFORMED, "unknown": UNKNOWN}
    return outcomes.get(fields["key"]) or Credential("verified", fields["key"], fields.get("slot", 1))


def read_verdict(expected: Any) -> Verdict:
    """`allowed`, a built-in reason, or `{reason, check, rule}`."""
    if expected == "allowed":
        return Verdict(True, "allowed", None, None, 200)
    fields = {"reason": expected} if isinstance(expected, str) else expected
    built_in = REASONS.get(fields["reason"])
    check = fields.get("check") or (built_in.check if built_in else None) or "resource_policy"
    status = built_in.http_status if built_in else 403
    return Verdict(False, fields["reason"], check, fields.get("rule"), status)
