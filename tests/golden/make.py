"""Makes the golden records of the engine's present meaning, once: `python -m tests.golden.make`.

They are never made again: what they say is what this meaning says, for ever. A new meaning gets a folder of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from policy_service.engine.decide import decide
from policy_service.engine.program import Sight
from policy_service.engine.seen import seen_part
from policy_service.engine.snapshot import Snapshot
from policy_service.model.changes import Change
from policy_service.model.decision import SEMANTICS
from policy_service.model.facts import (
    AllowlistEntry,
    ApiKey,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential, Request, ResourceRef
from policy_service.service.auditing.replay_pack import write_pack
from policy_service.service.caller import Caller, local_caller
from policy_service.service.ports import Decided
from policy_service.service.recording.record_lines import write_request
from tests.reference_records import line_of
from tests.worlds import Feed, Programs, activation, program_of

FOLDER: Final = Path(__file__).parent / f"semantics-{SEMANTICS}"
NOW: Final = 1_800_000_000_000_000_000
DAY: Final = 86_400_000_000_000
CALLER: Final = Caller(actor="key:callerKey000", workspace="system", is_operator=True, key_id="callerKey000")

FILES: Final = {
    "chain.yaml": """\
chain:
  - check: credential
  - check: revocation
  - check: workspace
  - check: scope
  - check: rbac
  - check: resource_policy
  - check: ip_allowlist
  - check: condition
    name: change_freeze
    when: request.scope == "pipelines:run"
    require: request.time < timestamp("2027-01-20T00:00:00Z")
    reason: change_freeze
    message: Nothing runs during the freeze.
  - check: condition
    name: needs_a_ticket
    when: '"ticketed" in key.labels && request.context.ticket == ""'
    require: "false"
    reason: no_ticket
""",
    "scopes.yaml": """\
scopes:
  pipelines:read: {on: [pipeline, connection]}
  pipelines:run: {on: [pipeline], implies: [pipelines:read]}
  buckets:read: {on: [bucket]}
""",
    "roles.yaml": """\
roles:
  viewer: {scopes: [pipelines:read]}
  operator: {scopes: [pipelines:run], inherits: [viewer]}
""",
    "networks.yaml": 'networks:\n  office: [203.0.113.0/24, "2001:db8::/32"]\n',
    "context.yaml": "context:\n  ticket: string\n",
    "resources/pipeline.yaml": """\
resource: pipeline
attributes:
  env: string
  weight: double
  tags: list(string)
default: deny
rules:
  - {name: everything, effect: allow, resources: ["etl-*", "buero"]}
  - {name: no-secrets, effect: deny, when: 'has(resource.attr.tags) && "secret" in resource.attr.tags'}
  - name: prod-is-locked
    effect: deny
    scopes: [pipelines:run]
    when: has(resource.attr.env) && resource.attr.env == "prod" && !("chiefs" in principal.teams)
    reason: production_locked
  - {name: weighed, effect: deny, resources: ["etl-heavy"], when: resource.attr.weight > 9.5, reason: too_heavy}
  - {name: owners-only, effect: deny, resources: ["etl-own"], when: resource.owner != principal.id, reason: not_yours}
""",
    "resources/connection.yaml": "resource: connection\nunregistered: allow\ndefault: allow\n",
}
LATER: Final = {
    **FILES,
    "resources/connection.yaml": """\
resource: connection
unregistered: allow
default: allow
rules:
  - name: from-the-office
    effect: deny
    when: '!request.ip.inNetwork("office") || request.time.getDayOfWeek() == 0'
    reason: not_at_work
""",
}


class World:
    """Facts that change, and the lines of what was decided meanwhile. Its own archive."""

    def __init__(self) -> None:
        programs = [program_of(files) for files in (FILES, LATER)]
        self.early, self.late = programs
        self.files = {self.early.digest: FILES, self.late.digest: LATER}
        self.feed = Feed()
        self.snapshot = Snapshot(Programs(*programs))
        self.lines: list[bytes] = []

    def changes(self) -> Iterator[Change]:
        return iter(self.feed.changes)

    def bundle_files(self, digest: str) -> dict[str, str] | None:
        return self.files.get(digest)

    def put(self, *facts: Fact) -> None:
        self.snapshot.apply(self.feed.put(*facts))

    def remove(self, *facts: Fact) -> None:
        self.snapshot.apply(self.feed.remove(*facts))

    def ask(self, request: Request, now: int = NOW, **more: Any) -> None:
        """Decide, and record."""
        decision = decide(request, self.snapshot, now)
        decided = Decided(
            decision_id=f"golden{len(self.lines):016d}",
            caller=more.pop("caller", CALLER),
            request=request,
            decision=decision,
            chain=self.snapshot.chain_hash,
            asked=write_request(request, more.get("key_fingerprint")),
            facts=seen_part(request, self.snapshot, decision, Sight()),
            **more,
        )
        self.lines.append(line_of(decided))


def key(identity: str, principal: str, **changes: Any) -> ApiKey:
    """A key of `acme`: of a user where the principal is one of the users."""
    parts: dict[str, Any] = {
        "id": identity.ljust(12, "0"),
        "workspace": "acme",
        "principal_kind": "user" if principal in ("ada", "bob") else "service",
        "principal_id": principal,
        "scopes": ("pipelines:run",),
        "slots": (SecretSlot(number=1, pepper_id="p1", created_at=0),),
        "created_at": NOW - DAY,
    }
    return ApiKey(**parts | changes)


KEYS: Final = {
    "ada": key("ada", "ada"),
    "bob": key("bob", "bob"),
    "ci": key("ci", "ci"),
    "reader": key("reader", "ci", scopes=("pipelines:read",)),
    "office": key("office", "ci", cidrs=("10.0.0.0/8", "2001:db8::/32")),
    "ticketed": key("ticketed", "ci", labels={"ticketed": "yes"}),
    "buckets": key("buckets", "ci", scopes=("buckets:read", "gone:scope")),
    "expired": key("expired", "ci", expires_at=NOW),
    "early": key("early", "ci", not_before=NOW + 1),
    "rotated": key(
        "rotated",
        "ci",
        slots=(
            SecretSlot(number=1, pepper_id="p1", created_at=0, expires_at=NOW + 5),
            SecretSlot(number=2, pepper_id="p1", created_at=0),
        ),
    ),
}


def asked(name: str, resource: str = "pipeline:etl-1", scope: str = "pipelines:run", **more: Any) -> Request:
    """What the holder of a key asks."""
    kind, _, identity = resource.partition(":")
    place = ResourceRef(
        kind, identity, more.pop("workspace", "acme"), more.pop("owner", None), more.pop("attributes", {})
    )
    return Request(Credential("verified", KEYS[name].id, more.pop("slot", 1)), scope, place, **more)


def facts() -> Iterator[Fact]:
    """What is there at first."""
    yield from (Workspace(id=name) for name in ("system", "acme", "zeta"))
    acme: dict[str, Any] = {"workspace": "acme"}
    yield from (User(**acme, id=name) for name in ("ada", "bob"))
    yield ServicePrincipal(**acme, id="ci")
    yield from (Team(**acme, id="guild"), Team(**acme, id="chiefs", parent="guild"))
    yield Membership(**acme, team="chiefs", user="ada")
    yield RoleBinding(**acme, id="b1", role="operator", team="guild")
    pipelines: dict[str, tuple[str | None, dict[str, Any]]] = {
        "etl-1": (None, {"env": "dev"}),
        "etl-prod": (None, {"env": "prod", "tags": ["blue", "grün"]}),
        "etl-secret": (None, {"tags": ["secret"]}),
        "etl-heavy": (None, {"weight": 9.75}),
        "etl-odd": (None, {"env": 5, "weight": -0.0, "other": {"a": [1, 2.5, None]}}),
        "etl-own": ("ada", {}),
        "buero": (None, {}),
        "strange": (None, {}),
    }
    for name, (owner, attributes) in pipelines.items():
        yield Resource(**acme, type="pipeline", id=name, owner=owner, attributes=attributes)
    yield from (Resource(**acme, type="bucket", id="b"), Resource(workspace="zeta", type="pipeline", id="etl-1"))
    yield from KEYS.values()


def first_questions(world: World) -> None:
    """Every check of the chain, on the first policy."""
    place = ResourceRef("pipeline", "etl-1", "acme")
    for credential in (MISSING, MALFORMED, UNKNOWN):
        world.ask(Request(credential, "pipelines:run", place, "10.1.2.3"))
    world.ask(Request(UNKNOWN, "pipelines:run", place), key_fingerprint="f" * 32)
    for name in KEYS:
        for now in (NOW - 1, NOW, NOW + 5):
            world.ask(asked(name, source_ip="10.1.2.3", context={"ticket": "T-1"}), now)
    world.ask(asked("rotated", slot=1), NOW + 4)
    world.ask(asked("rotated", slot=2), NOW + 6)
    world.ask(asked("ci", workspace="zeta"))
    world.ask(asked("ci", "pipeline:none"))
    world.ask(asked("ci", "connection:db", "pipelines:read", attributes={"x": "ünïcode\u2028"}))
    world.ask(asked("ci", "connection:db", workspace=None))
    for scope in ("nobody:knows", "buckets:read"):
        world.ask(asked("ci", scope=scope))
    world.ask(asked("reader"))
    world.ask(asked("bob"))
    world.ask(asked("buckets", "bucket:b", "buckets:read"))
    for name in ("etl-prod", "etl-secret", "etl-heavy", "etl-odd", "etl-own", "buero", "strange"):
        for who in ("ada", "ci"):
            world.ask(asked(who, f"pipeline:{name}", owner="bob", attributes={"env": "dev", "weight": 1.5}))
    world.ask(asked("ticketed", context={}))
    world.ask(asked("ticketed", context={"ticket": ""}))
    world.ask(asked("ticketed", context={"ticket": 7}), batch_id="batch", item_id="é")
    world.ask(asked("ci"), NOW + 30 * DAY, explained=True, trace_id="a" * 32, request_id="r-1")
    for address in (None, "", "2001:DB8:0::1", "::ffff:10.1.2.3", "10.1.2.3", "192.0.2.1", "010.1.2.3"):
        for who in ("ci", "office"):
            world.ask(asked(who, source_ip=address), caller=local_caller(1000))


def later_questions(world: World) -> None:
    """The facts change, and the policy."""
    entries = (AllowlistEntry(cidr="10.0.0.0/8"), AllowlistEntry(cidr="10.1.0.0/16", label="here"))
    world.put(IpAllowlist(workspace="acme", enabled=True, entries=entries))
    for address in (None, "10.1.2.3", "10.9.9.9", "192.0.2.1"):
        world.ask(asked("ada", source_ip=address))
    world.put(IpAllowlist(workspace="acme", enabled=False, entries=entries))
    world.put(msgspec.structs.replace(KEYS["ci"], revoked_at=NOW, revoke_reason="leaked"))
    world.put(User(workspace="acme", id="bob", suspended=True))
    for name in ("ci", "bob"):
        world.ask(asked(name))
    world.remove(Membership(workspace="acme", team="chiefs", user="ada"))
    world.ask(asked("ada"))
    world.put(
        RoleBinding(
            workspace="acme", id="b2", role="operator", user="ada", resource_type="pipeline", resource_id="etl-1"
        )
    )
    for name in ("etl-1", "etl-prod"):
        world.ask(asked("ada", f"pipeline:{name}"))
    world.put(*activation(world.late))
    for address in (None, "203.0.113.9", "192.0.2.1"):
        for now in (NOW, NOW + 2 * DAY):
            world.ask(asked("reader", "connection:db", "pipelines:read", source_ip=address), now)
    world.put(*activation(world.early))
    world.ask(asked("reader", "connection:db", "pipelines:read", source_ip="192.0.2.1"))


def make(folder: Path) -> None:
    """Write records and pack into a folder that is not there yet."""
    folder.mkdir()
    world = World()
    world.put(*facts(), *activation(world.early))
    first_questions(world)
    later_questions(world)
    (folder / "records.jsonl").write_bytes(b"".join(line + b"\n" for line in world.lines))
    write_pack(world, folder / "pack.jsonl")
    (folder / "pack.jsonl").chmod(0o644)


if __name__ == "__main__":
    make(FOLDER)
