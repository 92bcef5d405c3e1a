"""Deliberately broken policies: what an author could get wrong, one slip at a time.

Each is a text of a rule file and what stands there instead. `SHIPPED` breaks the shipped policies; `EXTENDED` those
with more files beside them (`extended/`): condition checks, networks, numbers and instants, of which the shipped
policies have none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from policy_service.service.policies.policy_folder import read_folder

POLICIES: Final = Path(__file__).parents[2] / "policies"
MORE: Final = Path(__file__).parent / "extended"


class Broken(msgspec.Struct, frozen=True):
    """One slip.

    Args:
        what: of it, in a few words; unique.
        file: without `.yaml`.
        old: what stands there now, once.
    """

    what: str
    file: str
    old: str
    new: str


PIPELINE: Final = "resources/pipeline"
CONNECTION: Final = "resources/connection"
ORGANIZATION: Final = "resources/organization"
REPORT: Final = "resources/report"

_PROD: Final = """  - name: production-runs-are-for-operators
    effect: deny
    scopes: [pipelines:run]
    # Service keys are held to their scopes alone; people need to be on the team.
    when: >-
      resource.attr.env == "prod" &&
      principal.kind == "user" && !("prod-operators" in principal.teams)
    reason: production_locked
    message: Production pipelines are run by the operators team.
"""
_RETIRED: Final = """  - name: retired-pipelines-do-not-run
    effect: deny
    scopes: [pipelines:run]
    when: '"retired" in resource.attr.tags'
    reason: pipeline_retired
    message: This pipeline is retired; start its successor instead.
"""
_SCRATCH: Final = 'principal.kind == "user" && (!has(resource.owner) || resource.owner != principal.id)'
_TAGS: Final = "tags: { type: list(string), default: [], from: store }"
_LOCKED: Final = "locked: { type: bool, default: false, from: store }"
_LOCK_RULE: Final = """  - name: locked-connections-do-not-change
    effect: deny
    scopes: [connections:write]
    when: resource.attr.locked
    reason: connection_locked
    message: This connection is locked; ask an administrator.
"""
_TICKET: Final = '(has(request.context.ticket) && request.context.ticket.matches("^OPS-[0-9]+$"))'
_READ_RULE: Final = """  - name: who-may-read-reads
    effect: allow
    scopes: [connections:read]
"""

SHIPPED: Final = (
    Broken("a deny rule is gone", PIPELINE, _PROD, ""),
    Broken("another deny rule is gone", PIPELINE, _RETIRED, ""),
    Broken("a deny rule for other scopes", PIPELINE, _RETIRED, _RETIRED.replace(":run]", ":read]")),
    Broken("a deny rule for more scopes", PIPELINE, _RETIRED, _RETIRED.replace(":run]", ":run, pipelines:read]")),
    Broken("a deny rule for all scopes", PIPELINE, _PROD, _PROD.replace("    scopes: [pipelines:run]\n", "")),
    Broken("deny turned into allow", PIPELINE, _RETIRED, _RETIRED.replace("effect: deny", "effect: allow")),
    Broken(
        "deny turned into allow, without its reason",
        PIPELINE,
        _RETIRED,
        "\n".join(_RETIRED.replace("effect: deny", "effect: allow").splitlines()[:4]) + "\n",
    ),
    Broken("a prefix shortened", PIPELINE, '["scratch-*"]', '["s*"]'),
    Broken("a prefix lengthened", PIPELINE, '["scratch-*"]', '["scratch-v*"]'),
    Broken("a prefix that has lost its star", PIPELINE, '["scratch-*"]', '["scratch-"]'),
    Broken("a rule for all ids", PIPELINE, '    resources: ["scratch-*"]\n', ""),
    Broken("a constant mistyped", PIPELINE, 'env == "prod"', 'env == "production"'),
    Broken("a constant in capitals", PIPELINE, 'env == "prod"', 'env == "Prod"'),
    Broken("equal turned into unequal", PIPELINE, 'env == "prod"', 'env != "prod"'),
    Broken("and turned into or", PIPELINE, '"prod" &&', '"prod" ||'),
    Broken("a negation lost", PIPELINE, '!("prod-operators"', '("prod-operators"'),
    Broken("the wrong kind of principal", PIPELINE, '"user" && !(', '"service" && !('),
    Broken("the wrong team", PIPELINE, '"prod-operators" in', '"operations" in'),
    Broken("teams taken for roles", PIPELINE, '"prod-operators" in principal.teams', '"operator" in principal.roles'),
    Broken("a clause lost: people and services", PIPELINE, 'principal.kind == "user" && !("p', '!("p'),
    Broken("a clause lost: every environment", PIPELINE, 'resource.attr.env == "prod" &&\n      ', ""),
    Broken("a clause lost: every team", PIPELINE, ' && !("prod-operators" in principal.teams)', ""),
    Broken("a condition that is always so", PIPELINE, "'\"retired\" in resource.attr.tags'", "'true'"),
    Broken("a condition negated", PIPELINE, "'\"retired\" in resource.attr.tags'", "'!(\"retired\" in resource.attr.tags)'"),
    Broken("has() dropped", PIPELINE, _SCRATCH, _SCRATCH.replace("!has(resource.owner) || ", "")),
    Broken(
        "has() the wrong way round",
        PIPELINE,
        _SCRATCH,
        _SCRATCH.replace("!has(resource.owner) ||", "has(resource.owner) &&"),
    ),
    Broken("has() without its negation", PIPELINE, "!has(resource.owner) ||", "has(resource.owner) ||"),
    Broken("another's key in place of one's own", PIPELINE, "owner != principal.id", "owner != key.id"),
    Broken("a reason mixed up with another", PIPELINE, "reason: production_locked", "reason: pipeline_retired"),
    Broken("deny by default", PIPELINE, "default: allow", "default: deny"),
    Broken("nothing unregistered", PIPELINE, "unregistered: allow", "unregistered: deny"),
    Broken("a default dropped", PIPELINE, "env: { type: string, default: dev }", "env: string"),
    Broken("another default", PIPELINE, "default: dev", "default: prod"),
    Broken("a list without its default", PIPELINE, _TAGS, _TAGS.replace("default: [], ", "")),
    Broken("the caller's word for the store's", PIPELINE, _TAGS, _TAGS.replace(", from: store", "")),
    Broken("the store's word alone", PIPELINE, "default: dev }", "default: dev, from: store }"),
    Broken("a list taken for a text", PIPELINE, "list(string), default: []", 'string, default: ""'),
    Broken("a tag mistyped", PIPELINE, '"retired" in', '"retierd" in'),
    Broken("unregistered: allow, where it was deny", CONNECTION, "unregistered: deny", "unregistered: allow"),
    Broken("allow by default", CONNECTION, "default: deny\n\n", "default: allow\n\n"),
    Broken("a lock without its default", CONNECTION, _LOCKED, _LOCKED.replace("default: false, ", "")),
    Broken("a lock that a caller may deny", CONNECTION, _LOCKED, _LOCKED.replace(", from: store", "")),
    Broken("locked by default", CONNECTION, "default: false", "default: true"),
    Broken("an environment that a caller may claim", CONNECTION, "{ type: string, from: store }", "string"),
    Broken("unequal turned into equal", CONNECTION, 'env != "prod"', 'env == "prod"'),
    Broken("an allow rule without its condition", CONNECTION, '    when: has(resource.attr.env) && resource.attr.env != "prod"\n', ""),
    Broken("or turned into and", CONNECTION, "|| (has(request", "&& (has(request"),
    Broken("an owner's right turned round", CONNECTION, "owner == principal.id", "owner != principal.id"),
    Broken("a pattern that may begin anywhere", CONNECTION, '"^OPS', '"OPS'),
    Broken("a pattern that may go on", CONNECTION, "]+$", "]+"),
    Broken("a pattern of no digits", CONNECTION, "]+$", "]*$"),
    Broken("any ticket will do", CONNECTION, _TICKET, "has(request.context.ticket)"),
    Broken("no ticket will do", CONNECTION, f"\n      || {_TICKET}", ""),
    Broken("a lock that locks nothing", CONNECTION, _LOCK_RULE, ""),
    Broken("a lock turned round", CONNECTION, "when: resource.attr.locked", "when: '!resource.attr.locked'"),
    Broken("a lock on reading", CONNECTION, _LOCK_RULE, _LOCK_RULE.replace(":write]", ":read]")),
    Broken("an allow rule is gone", CONNECTION, _READ_RULE, ""),
    Broken("an allow rule for more scopes", CONNECTION, _READ_RULE, _READ_RULE.replace(":read]", ":read, connections:write]")),
    Broken("an allow rule for all scopes", CONNECTION, _READ_RULE, _READ_RULE.replace("    scopes: [connections:read]\n", "")),
    Broken("everybody else's organization", ORGANIZATION, "id == workspace", "id != workspace"),
    Broken("every organization", ORGANIZATION, "    when: resource.id == workspace.id\n", ""),
    Broken("organizations that must be registered", ORGANIZATION, "unregistered: allow", "unregistered: deny"),
    Broken("organizations allowed by default", ORGANIZATION, "default: deny", "default: allow"),
    Broken("a role gains a scope", "roles", "scopes: [pipelines:read, connections:read, keys:own]", "scopes: [pipelines:run, connections:read, keys:own]"),
    Broken("a role loses a scope", "roles", "scopes: [pipelines:read, connections:read, keys:own]", "scopes: [pipelines:read, keys:own]"),
    Broken("a role gains a scope of another kind", "roles", "[decisions:read, decisions:explain]", "[decisions:read, decisions:explain, connections:read]"),
    Broken("a role gains the administrator's scope", "roles", "scopes: [connections:write]", "scopes: [connections:write, admin:organization]"),
    Broken("a role gains a scope of this service", "roles", "scopes: [pipelines:run]", "scopes: [pipelines:run, decisions:read]"),
    Broken("a role loses a scope of this service", "roles", "connections:read, keys:own]", "connections:read]"),
    Broken("a role inherits another", "roles", "inherits: [viewer]\n    scopes: [connections:write]", "inherits: [operator]\n    scopes: [connections:write]"),
    Broken("a role inherits no more", "roles", "    inherits: [viewer]\n    scopes: [pipelines:run]", "    scopes: [pipelines:run]"),
    Broken("an heir loses one of its roles", "roles", "[operator, connection-manager, auditor]", "[operator, auditor]"),
    Broken("roles that inherit each other", "roles", "inherits: [viewer]\n    scopes: [pipelines:run]", "inherits: [administrator]\n    scopes: [pipelines:run]"),
    Broken("a scope implies more", "scopes", "implies: [pipelines:read]", "implies: [pipelines:read, connections:write]"),
    Broken("reading implies running", "scopes", "    description: See pipelines and their runs\n    on: [pipeline]\n", "    description: See pipelines and their runs\n    on: [pipeline]\n    implies: [pipelines:run]\n"),
    Broken("a scope implies no more", "scopes", "    on: [pipeline]\n    implies: [pipelines:read]\n", "    on: [pipeline]\n"),
    Broken("another scope implies no more", "scopes", "    on: [connection]\n    implies: [connections:read]\n", "    on: [connection]\n"),
    Broken("a scope on another type", "scopes", "    on: [organization]", "    on: [pipeline]"),
    Broken("a scope on one type more", "scopes", "    on: [organization]", "    on: [organization, pipeline]"),
    Broken("a scope on nothing", "scopes", "    description: See connections, never their secrets\n    on: [connection]", "    description: See connections, never their secrets\n    on: []"),
    Broken("a check is gone", "chain", "  - check: rbac #", "  #"),
    Broken("a check comes twice", "chain", "  - check: rbac #", "  - check: scope\n  - check: rbac #"),
    Broken("the workspace checked last", "chain", "  - check: workspace # does the resource belong to the key's workspace?\n", ""),
    Broken("a check with a condition", "chain", "  - check: scope #", "  - check: scope\n    when: 'false' #"),
    Broken("roles before scopes", "chain", "  - check: scope # was the key issued with this scope, and is the scope meant for this type of resource?\n  - check: rbac #", "  - check: rbac\n  - check: scope #"),
    Broken("the context's type changed", "context", "ticket: string", "ticket: int"),
    Broken("the context undeclared", "context", "context:\n  ticket: string", "context: {} #"),
)  # fmt: skip

_FREEZE: Final = 'request.time < timestamp("2026-12-20T00:00:00Z")'
EXTENDED: Final = (
    Broken("a condition check is gone", "chain", (MORE / "chain.yaml").read_text().partition("  - check: condition\n    name: working")[0], ""),
    Broken("a time window one instant wider", "chain", _FREEZE, _FREEZE.replace("<", "<=")),
    Broken("a time window some days wider", "chain", "2026-12-20", "2026-12-27"),
    Broken("a time window of another year", "chain", "2027-01-04", "2026-01-04"),
    Broken("a time window that ends early", "chain", ">= timestamp", "> timestamp"),
    Broken("a requirement negated", "chain", f"{_FREEZE} ||", f"!({_FREEZE}) ||"),
    Broken("a requirement of both, not of one", "chain", 'Z") || request.time', 'Z") && request.time'),
    Broken("a check for all scopes", "chain", '    name: change_freeze\n    when: request.scope == "pipelines:run"\n    require: >-', "    name: change_freeze\n    require: >-"),
    Broken("a check for another scope", "chain", 'scope == "pipelines:run"\n    require: >-', 'scope == "pipelines:read"\n    require: >-'),
    Broken("an hour more in the evening", "chain", "< 20", "<= 20"),
    Broken("an hour less in the morning", "chain", ">= 6", "> 6"),
    Broken("day or night", "chain", ">= 6 &&", ">= 6 ||"),
    Broken("a check's reason mixed up", "chain", "reason: not_at_night", "reason: change_freeze"),
    Broken("a condition before the rules", "chain", "  - check: scope #", "  - check: condition\n    name: early\n    require: request.time < timestamp(\"2026-12-20T00:00:00Z\") || request.scope != \"pipelines:run\"\n    reason: change_freeze\n  - check: scope #"),
    Broken("a CIDR widened", "networks", "203.0.113.0/24", "203.0.112.0/23"),
    Broken("a CIDR narrowed", "networks", "203.0.113.0/24", "203.0.113.0/25"),
    Broken("a CIDR widened to everybody", "networks", "[203.0.113.0/24,", "[any,"),
    Broken("a CIDR is gone", "networks", ', "2001:db8::/32"]', "]"),
    Broken("a CIDR with host bits", "networks", "203.0.113.0/24", "203.0.113.7/24"),
    Broken("another network", REPORT, 'inNetwork("office")', 'inNetwork("vpn")'),
    Broken("a network nobody declared", REPORT, 'inNetwork("office")', 'inNetwork("ofice")'),
    Broken("any address, if there is one", REPORT, ' && request.ip.inNetwork("office")', ""),
    Broken("one page less", REPORT, "<= 100", "< 100"),
    Broken("one page more", REPORT, "<= 100", "<= 101"),
    Broken("no page will do", REPORT, ">= 1", ">= 0"),
    Broken("a limit off by one", REPORT, "level > 2", "level > 3"),
    Broken("a limit off by one, the other way", REPORT, "level > 2", "level >= 2"),
    Broken("a comparison turned round", REPORT, "level > 2", "level < 2"),
    Broken("open by default", REPORT, "default: 3", "default: 1"),
    Broken("a level that a caller may claim", REPORT, "default: 3, from: store", "default: 3"),
    Broken("pages that a caller may claim", REPORT, "pages: { type: int, from: store }", "pages: int"),
    Broken("one instant later", REPORT, "published <= request.time", "published < request.time"),
    Broken("not yet in place of already", REPORT, "published <= request.time", "published >= request.time"),
    Broken("a prefix one letter shorter", REPORT, '["public-*"]', '["public*"]'),
    Broken("an instant for a number", REPORT, "published: { type: timestamp", "published: { type: int"),
)  # fmt: skip


def shipped() -> dict[str, str]:
    """The shipped files, tests and invariants among them."""
    return read_folder(POLICIES)


def extended() -> dict[str, str]:
    """Those with more of everything: what stands in both is put together."""
    files = shipped()
    for path in sorted(MORE.rglob("*.yaml")):
        name = path.relative_to(MORE).as_posix()
        files[name] = files.get(name, "") + path.read_text()
    return files


def applied(broken: Broken, files: dict[str, str]) -> dict[str, str]:
    """The files with that slip in them."""
    name = f"{broken.file}.yaml"
    assert files[name].count(broken.old) == 1, f"{broken.what}: stands there {files[name].count(broken.old)} times"
    return files | {name: files[name].replace(broken.old, broken.new)}
