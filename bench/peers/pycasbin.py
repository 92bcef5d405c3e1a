"""Casbin (Python), the package `casbin`.

Set-up: one enforcer with all rules in memory, logging off. The matcher puts the cheapest and most selective part
first, the path, so that it stops there for nearly every line; Casbin looks at every line of the policy in turn. Scopes
and roles are two role graphs, `g2` from keys and `g` from users to what they may do, built once. `FastEnforcer` indexes
lines by exact values only and has nothing to say about prefixes; `CachedEnforcer`, which remembers answers, does not
exist in Python.

Source: casbin.org, "Performance Optimization" and "Syntax for Models"; pycasbin's `casbin/fast_enforcer.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from bench.peers.peer import NOT_ENFORCED, SECRETS, limits
from bench.questions import Question
from bench.workloads import Guard, Rule, World, roles_of, scopes_of, teams_of

_MODEL: Final = """
[request_definition]
r = key, user, obj, act, env, teams
[policy_definition]
p = obj, guard, eft
[role_definition]
g = _, _
g2 = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = keyMatch(r.obj, p.obj) && g2(r.key, r.act) && g(r.user, r.act) && holds(p.guard, r.env, r.teams)
"""
_SERVICE: Final = "service"
_KEY_STATE: Final = dict.fromkeys(
    ("revoked_key", "expired_key", "key_not_yet_valid", "principal_suspended", "workspace_mismatch"), NOT_ENFORCED
)
_REST: Final = {
    **dict.fromkeys(("ip_not_allowed", "invalid_source_ip", "ticket_required"), NOT_ENFORCED),
    "policy_error": "a condition that cannot be evaluated is an error of the call, not an answer",
}


class Casbin:
    """`Enforcer.enforce` with everything in memory."""

    name: ClassVar[str] = "pycasbin"
    requires: ClassVar[str] = "casbin"
    beyond: ClassVar[Mapping[str, str]] = limits(SECRETS, _KEY_STATE, _REST)

    def __init__(self, world: World) -> None:
        import casbin  # noqa: PLC0415 - only where it is asked for

        logging.getLogger("casbin").setLevel(logging.CRITICAL)
        model = casbin.Model()
        model.load_model_from_text(_MODEL)
        self._enforcer = casbin.Enforcer(model, enable_log=False)
        self._enforcer.add_function("holds", _holds)
        self._enforcer.add_policies([_line(rule) for rule in world.policy()])
        self._enforcer.add_named_grouping_policies("g2", sorted(_key_scopes(world)))
        self._enforcer.add_named_grouping_policies("g", sorted(set(_user_scopes(world))))
        self._environments = {pipeline.id: pipeline.attributes["env"] for pipeline in world.pipelines()}

    def prepare(self, question: Question) -> tuple[Any, ...]:
        request, holder = question.request, question.holder
        assert holder is not None
        user = holder.principal if holder.team else _SERVICE
        place = f"{request.resource.type}:{request.resource.id}"
        environment = self._environments.get(request.resource.id, "")
        return holder.key, user, place, request.scope, environment, teams_of(holder)

    def allows(self, prepared: tuple[Any, ...]) -> bool:
        allowed: bool = self._enforcer.enforce(*prepared)
        return allowed


def _holds(guard: Guard | str, environment: str, teams: tuple[str, ...]) -> bool:
    """What a condition says. A function of its own costs Casbin less than `eval()`, which compiles in every line."""
    if guard == "locked":
        return environment == "prod" and "prod-operators" not in teams
    return guard != "tiered"


def _line(rule: Rule) -> list[str]:
    return [f"pipeline:{rule.pattern}", rule.guard or "-", rule.effect]


def _key_scopes(world: World) -> Iterator[list[str]]:
    return ([holder.key, scope] for holder in world.holders() for scope in scopes_of(holder))


def _user_scopes(world: World) -> Iterator[tuple[str, str]]:
    """User → role, role → scopes; a service may do whatever its key's scopes say."""
    yield from (("operator", "pipelines:run"), ("viewer", "pipelines:read"))
    yield from ((_SERVICE, "operator"), (_SERVICE, "viewer"))
    for holder in world.holders():
        yield from ((holder.principal, role) for role in roles_of(holder))
