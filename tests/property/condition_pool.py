"""Conditions for drawn policies: one for each thing that conditions can see or do, and combinations of them."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.property.drawing import pick

EVERYWHERE = (
    "true",
    "false",
    'request.scope == "pipelines:run"',
    'request.time < timestamp("2026-06-01T12:00:00Z")',
    'request.time >= timestamp("2026-06-01T12:00:00.000000001Z")',
    'request.time - key.created_at < duration("24h")',
    "request.time.getHours() < 12",
    "request.time.getDayOfWeek() == 1",
    "request.time.getMonth() == 5 && request.time.getDate() == 1 && request.time.getDayOfMonth() == 0",
    "request.time.getDayOfYear() == 151 && request.time.getMinutes() == 0",
    "request.time.getSeconds() == 0 && request.time.getMilliseconds() == 0",
    'request.ip.inCidr("10.0.0.0/8")',
    '!request.ip.inNetwork("office")',
    'has(request.ip) && request.ip.inNetwork("office")',
    'has(request.ip) ? request.ip.inCidr("2001:db8::/32") : true',
    'key.kind == "service"',
    'key.id.startsWith("user")',
    '"pipelines:run" in key.scopes',
    "key.expires_at > request.time",
    'has(key.expires_at) && key.expires_at - request.time < duration("1h")',
    'key.labels.env == "prod"',
    "has(key.labels.env)",
    '"env" in key.labels',
    'key.labels["env"] != "dev"',
    "size(key.labels) == 0",
    'principal.id == "ada"',
    'principal.kind == "user"',
    '"core" in principal.teams',
    'principal.teams.exists(t, t.startsWith("c"))',
    "size(principal.teams) > 1",
    '"operator" in principal.roles',
    'principal.roles.all(r, r != "viewer")',
    "resource.owner == principal.id",
    "has(resource.owner)",
    "!has(resource.owner) || resource.owner == principal.id",
    'resource.id.startsWith("etl-")',
    'resource.type == "pipeline"',
    "resource.workspace == workspace.id",
    'workspace.id == "acme"',
    'request.context.ticket == "T-1"',
    "has(request.context.ticket)",
    'request.context.ticket.matches("^T-[0-9]+$")',
    "request.context.level > 2",
    "10 / request.context.level > 3",
    "request.context.urgent",
    'request.context.urgent || request.ip.inCidr("10.0.0.0/8")',
    "request.context.until > request.time",
)
"""What any condition may say."""

ARITHMETIC = (
    "resource.attr.level * 3 - 1 >= 2",
    "resource.attr.level * resource.attr.level <= 9",
    "resource.attr.ratio + 1.5 < 2.0 || -resource.attr.ratio <= -2.0",
    "resource.attr.ratio * 2.0 - 0.5 > 0.0",
    'resource.attr.env + "!" == "prod!"',
    'resource.attr.env.contains("ro") || resource.attr.env.endsWith("v")',
    'resource.attr.env < "m" || resource.attr.env >= "z"',
    'resource.attr.env <= "dev" || resource.attr.env > "prod"',
    'string(resource.attr.level) == "-7" || string(resource.attr.frozen) == "true"',
    "bool(resource.attr.env)",
    "resource.attr.frozen > false || resource.attr.frozen >= has(resource.attr.env)",
    "resource.attr.frozen < true && resource.attr.frozen <= has(resource.attr.env)",
    "int(resource.attr.since) > 1700000000",
    "timestamp(resource.attr.level * 500000000) <= request.time",
    'resource.attr.since + duration("1h") > request.time && duration("1h") + resource.attr.since > request.time',
    'resource.attr.since - duration("1s") < request.time',
    'request.time - resource.attr.since >= duration("0s") && request.time - resource.attr.since <= duration("36h")',
    'request.time - resource.attr.since + duration("1h") > duration("2h")',
    '(request.time - resource.attr.since - duration("1h")).getHours() > 22',
    "(request.time - resource.attr.since).getMinutes() == 0 || (request.time - resource.attr.since).getSeconds() < 0",
    "(request.time - resource.attr.since).getMilliseconds() == 0",
    '(resource.attr.tags + ["prod"]).exists(t, t == "secret")',
    '"secret" in resource.attr.tags + [resource.attr.env]',
)
"""Every operator and function that the others have no use for."""

ON_PIPELINES = (
    'resource.attr.env == "prod"',
    'has(resource.attr.env) && resource.attr.env == "prod"',
    'resource.attr.env in ["prod", "stage"]',
    'resource.attr.env.matches("^p.*d$")',
    "size(resource.attr.env) > 3",
    "resource.attr.level > 2",
    "10 / resource.attr.level > 3",
    "resource.attr.level + 9223372036854775807 > 0",
    "resource.attr.level % 2 == 0",
    "-resource.attr.level < 0",
    "resource.attr.ratio >= 0.5",
    "1.0 / resource.attr.ratio > 1.0",
    "resource.attr.frozen",
    "has(resource.attr.frozen) && !resource.attr.frozen",
    "resource.attr.since < request.time",
    "resource.attr.since.getFullYear() == 2026",
    '"secret" in resource.attr.tags',
    'resource.attr.tags[0] == "secret"',
    "resource.attr.tags.exists(t, t == request.scope)",
    'resource.attr.tags.exists_one(t, t == "secret")',
    'resource.attr.tags.filter(t, t != "secret").size() == 1',
    "resource.attr.tags.map(t, size(t)).exists(n, n > 3)",
    "resource.attr.sizes.all(n, n > 0)",
    "resource.attr.sizes.exists(n, 10 / n > 3)",
    "1 in resource.attr.sizes",
    "resource.attr.ratios.exists(r, r > 1.0)",
    "resource.attr.flags.all(f, f)",
    "resource.attr.times.exists(t, t > request.time)",
    *ARITHMETIC,
)
"""What conditions on pipelines may say besides."""

ON_CONNECTIONS = ("resource.attr.locked", 'has(resource.attr.env) && resource.attr.env == "prod"')

_ON = {"pipeline": EVERYWHERE + ON_PIPELINES * 2, "connection": EVERYWHERE + ON_CONNECTIONS * 8}
_FORMS = ("{0}", "{0}", "!({0})", "({0}) && ({1})", "({0}) || ({1})")


def condition(draw: st.DrawFn, resource_type: str | None) -> str:
    """A condition for rules on a type, or for condition checks (None: on every type)."""
    pool = _ON.get(resource_type or "", EVERYWHERE)
    form = pick(draw, _FORMS)
    return form.format(pick(draw, pool), pick(draw, pool) if "{1}" in form else "")
