"""Workloads as data: worlds of so many keys and rules. Everything follows from a few numbers.

A world is one workspace: users in nested teams, keys of both kinds in every state, pipelines, an allowlist of 17
networks, and a policy of N rules, of which half name one pipeline and half a prefix. What is asked about it:
`questions.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, Literal

import msgspec

from policy_service.engine.program import Program
from policy_service.engine.snapshot import Snapshot
from policy_service.model.api_key import format_api_key
from policy_service.model.canonical import canonical_text
from policy_service.model.changes import ChangeDraft, Effect, chain
from policy_service.model.facts import (
    AllowlistEntry,
    ApiKey,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    Team,
    User,
    Workspace,
)
from policy_service.service.peppers import Peppers
from tests.worlds import Programs, activation, as_json

NOW: Final = 1_800_000_000_000_000_000
"""The instant of every decision. Nothing in a world begins or ends within ten years of it, so a real clock does too."""
_TEN_YEARS: Final = 315_360_000_000_000_000
ACME: Final = "acme"
READ, RUN = "pipelines:read", "pipelines:run"
NETWORKS: Final = (*(f"10.{number}.0.0/16" for number in range(0, 32, 2)), "2001:db8::/32")
"""The workspace's allowlist, which is on."""
KEY_NETWORK: Final = "10.0.0.0/24"
"""What a `narrow` key is limited to."""
TICKETS: Final = "OPS-"
"""What a ticket starts with, where one is shown; a condition of the chain."""

Guard = Literal["locked", "tiered"]
GUARDS: Final[dict[Guard, str]] = {
    "locked": 'has(resource.attr.env) && resource.attr.env == "prod" && !("prod-operators" in principal.teams)',
    "tiered": "resource.attr.tier > 3",  # no pipeline has a tier: this one faults
}


class Rule(msgspec.Struct, frozen=True):
    """One rule on pipelines. `pattern` ends with `*` for a prefix; `guard` names its condition."""

    name: str
    effect: Literal["allow", "deny"]
    pattern: str
    guard: Guard | None = None
    reason: str | None = None


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A key with all that is known of it: what an engine without facts of its own must be told in each question.

    Args:
        scopes: as issued.
        team: of a user, its own; `teams_of` and `roles_of` tell what follows.
    """

    key: str
    kind: Literal["user", "service"]
    principal: str
    scopes: tuple[str, ...] = (RUN,)
    team: str | None = None
    revoked: bool = False
    suspended: bool = False
    starts: int | None = None
    ends: int | None = None
    network: str | None = None


class World(msgspec.Struct, frozen=True):
    """So many keys (a multiple of 100), rules (at least 10) and teams.

    Args:
        zipf: the exponent: how much busier the busy keys are.
    """

    keys: int = 1000
    rules: int = 100
    teams: int = 20
    seed: int = 7
    zipf: float = 1.0

    def policy(self) -> tuple[Rule, ...]:
        """Its rules. All but the last four are about pipelines that are few among many."""
        return (
            *map(_filler, range(self.rules - 4)),
            Rule("etl", "allow", "etl-*"),
            Rule("etl-frozen", "deny", "etl-frozen-*"),
            Rule("etl-production", "deny", "etl-prod-*", "locked", "production_locked"),
            Rule("etl-tiers", "deny", "etl-faulty-*", "tiered"),
        )

    def pipelines(self) -> tuple[Resource, ...]:
        """Those that are registered: some of every sort, and one for each of the first 400 rules."""
        named = [f"etl-{number}" for number in range(200)] + [f"other-{number}" for number in range(20)]
        named += [f"etl-frozen-{number}" for number in range(10)] + [f"etl-faulty-{number}" for number in range(5)]
        named += [pipeline_of(rule) for rule in self.policy()[: min(400, self.rules - 4)]]
        production = [f"etl-prod-{number}" for number in range(20)]
        return (
            *(_pipeline(name, {"env": "dev"}) for name in named),
            *(_pipeline(name, {"env": "prod"}) for name in production),
        )

    def holders(self) -> Iterator[Holder]:
        """Its keys, in order."""
        return (self.holder(number) for number in range(self.keys))

    def holder(self, number: int) -> Holder:
        """One key. Of each hundred the first ten are special, the next sixty users' and the last thirty services'."""
        name, place = f"k{number:011d}", number % 100
        if place >= 70:
            return Holder(key=name, kind="service", principal=f"svc{number // 5}")
        if place >= 10:
            group = number // 5
            return Holder(key=name, kind="user", principal=f"u{group}", team=f"team{group % self.teams}")
        special = SPECIAL[place]
        return Holder(key=name, kind="user", principal=f"x{number}", **{"team": "team0", **_SPECIAL[special]})

    def facts(self) -> Iterator[Fact]:
        """All facts but the active bundle."""
        yield Workspace(id=ACME)
        yield Team(workspace=ACME, id="engineers")
        yield Team(workspace=ACME, id="prod-operators", parent="engineers")
        yield Team(workspace=ACME, id="guests")
        yield from (Team(workspace=ACME, id=f"team{n}", parent="engineers") for n in range(self.teams))
        yield RoleBinding(workspace=ACME, id="b1", role="operator", team="engineers")
        yield RoleBinding(workspace=ACME, id="b2", role="viewer", team="guests")
        yield from self.pipelines()
        entries = tuple(AllowlistEntry(cidr=cidr) for cidr in NETWORKS)
        yield IpAllowlist(workspace=ACME, enabled=True, entries=entries)
        for number, holder in enumerate(self.holders()):
            # The five keys of an ordinary user follow each other.
            if holder.team is not None and (number % 100 < 10 or number % 5 == 0):
                yield User(workspace=ACME, id=holder.principal, suspended=holder.suspended)
                yield Membership(workspace=ACME, team=holder.team, user=holder.principal)
            yield _api_key(holder)

    def files(self) -> dict[str, str]:
        """Its rule files."""
        rules = "".join(map(_rule_text, self.policy()))
        return {**_FILES, "resources/pipeline.yaml": _PIPELINE + rules}


SPECIAL: Final = (
    "revoked",
    "expired",
    "early",
    "suspended",
    "readers",
    "reading",
    "guest",
    "guests",
    "narrow",
    "operator",
)
"""The ten special keys of each hundred, by their last two digits."""
_SPECIAL: Final[dict[str, dict[str, Any]]] = {
    "revoked": {"revoked": True},
    "expired": {"ends": NOW - _TEN_YEARS},
    "early": {"starts": NOW + _TEN_YEARS},
    "suspended": {"suspended": True},
    "readers": {"scopes": (READ,)},
    "reading": {"scopes": (READ,)},
    "guest": {"team": "guests"},
    "guests": {"team": "guests"},
    "narrow": {"network": KEY_NETWORK},
    "operator": {"team": "prod-operators"},
}
_CHECKS: Final = ("credential", "revocation", "workspace", "scope", "rbac", "resource_policy", "ip_allowlist")
_FILES: Final = {
    "chain.yaml": "chain:\n"
    + "".join(f"  - check: {name}\n" for name in _CHECKS)
    + "  - check: condition\n    name: tickets\n    when: has(request.context.ticket)\n"
    + f'    require: request.context.ticket.startsWith("{TICKETS}")\n    reason: ticket_required\n',
    "context.yaml": "context:\n  ticket: string\n",
    "scopes.yaml": f"scopes:\n  {READ}: {{on: [pipeline]}}\n  {RUN}: {{on: [pipeline], implies: [{READ}]}}\n"
    "  connections:read: {on: [connection]}\n  decisions:evaluate: {on: []}\n",
    "roles.yaml": f"roles:\n  viewer: {{scopes: [{READ}]}}\n  operator: {{scopes: [{RUN}], inherits: [viewer]}}\n",
}
_PIPELINE: Final = """\
resource: pipeline
attributes:
  env: {type: string, from: store}
  tier: {type: int, from: store}
rules:
"""


def _filler(number: int) -> Rule:
    pattern = f"p{number}" if number % 2 else f"g{number}-*"
    return Rule(f"r{number}", "allow" if number % 3 else "deny", pattern)


def pipeline_of(rule: Rule) -> str:
    """A pipeline that the rule is about."""
    return rule.pattern.replace("*", "a")


def _pipeline(name: str, attributes: dict[str, Any]) -> Resource:
    return Resource(workspace=ACME, type="pipeline", id=name, attributes=attributes)


def _rule_text(rule: Rule) -> str:
    lines = [f"  - name: {rule.name}", f"    effect: {rule.effect}", f'    resources: ["{rule.pattern}"]']
    lines += [f"    when: '{GUARDS[rule.guard]}'"] if rule.guard else []
    lines += [f"    reason: {rule.reason}"] if rule.reason else []
    return "".join(f"{line}\n" for line in lines)


def _api_key(holder: Holder) -> ApiKey:
    return ApiKey(
        id=holder.key,
        workspace=ACME,
        principal_kind=holder.kind,
        principal_id=holder.principal,
        scopes=holder.scopes,
        slots=(SecretSlot(number=1, pepper_id="p1", created_at=0),),
        created_at=0,
        not_before=holder.starts,
        expires_at=holder.ends,
        revoked_at=1 if holder.revoked else None,
        cidrs=(holder.network,) if holder.network else (),
    )


def teams_of(holder: Holder) -> tuple[str, ...]:
    """The teams of a key's user, ancestors among them; none for a service."""
    if holder.team is None:
        return ()
    return ("guests",) if holder.team == "guests" else (holder.team, "engineers")


def roles_of(holder: Holder) -> tuple[str, ...]:
    """The roles of a key's user, inherited ones among them; none for a service."""
    if holder.team is None:
        return ()
    return ("viewer",) if holder.team == "guests" else ("operator", "viewer")


def scopes_of(holder: Holder) -> tuple[str, ...]:
    """The scopes of a key, implied ones among them."""
    return (READ, RUN) if RUN in holder.scopes else holder.scopes


def key_text(key_id: str) -> str:
    """What the holder of a key shows. All secrets of a world are alike: nobody here guesses."""
    return format_api_key("psx", key_id, "0123456789abcdefABCDEF")


# ---- from a world to a snapshot


def changes(world: World, peppers: Peppers | None = None, size: int = 2000) -> Iterator[ChangeDraft]:
    """Its facts as changes of so many facts each; with peppers they bring the verifiers of the keys' secrets too."""
    facts = world.facts()
    while part := list(islice(facts, size)):
        effects = tuple(Effect(fact.entity, fact.key(), None, as_json(fact)) for fact in part)
        keys = [fact.id for fact in part if isinstance(fact, ApiKey)] if peppers else []
        verifiers = {key: {"1": peppers.verifier("p1", key_text(key)).hex()} for key in keys if peppers}
        sealed = canonical_text({"verifiers": verifiers}) if verifiers else None
        yield ChangeDraft(action="bench.put", workspace=None, subject="", effects=effects, sealed=sealed)


def snapshot_of(world: World, program: Program, peppers: Peppers | None = None) -> Snapshot:
    """The world folded, with `program` deciding."""
    snapshot = Snapshot(Programs(program))
    active = tuple(Effect(fact.entity, fact.key(), None, as_json(fact)) for fact in activation(program))
    last = ChangeDraft(action="bench.activate", workspace=None, subject="", effects=active)
    for draft in (*changes(world, peppers), last):
        revision, before = snapshot.revision + 1, snapshot.chain_hash
        snapshot.apply(chain(draft, revision=revision, at=0, actor="local:0", previous_hash=before))
    return snapshot
