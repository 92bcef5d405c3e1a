"""Rego, by two engines: regorus (Rust, the package `celine-regorus`) and rego-cpp (C++, the package `regopy`).

Both get the same policy and data. Rules are data in objects, by pipeline and by prefix, so that no rule is looked at
that is not about the pipeline in question; of the prefixes of its name each is looked up. Keys, users and pipelines are
objects by id, with teams, roles and scopes worked out beforehand.

Set-up of regorus: policy and data are added to one `Engine` once, each call sets the input and evaluates one rule. Of
rego-cpp: policy and data are compiled into a bundle with one entry point, each call runs it on an `Input`.

Source: OPA's documentation, "Policy Performance": "Use objects over arrays", the linear fragment; regorus's README,
`Engine.eval_rule`; regopy's README, `Interpreter.build` and `query_bundle_entrypoint`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from bench.peers.peer import ADDRESSES, FAULTS, SECRETS, limits
from bench.questions import Question
from bench.workloads import ACME, NETWORKS, NOW, TICKETS, Holder, World, roles_of, scopes_of, teams_of

_POLICY: Final = """
package authz

import rego.v1

default allow := false

key := data.keys[input.key]

pipeline := data.pipelines[input.id]

allow if {
    input.type == "pipeline"
    pipeline
    valid
    in_workspace
    key.scopes[input.scope]
    granted
    rule_allows
    not rule_denies
    from_here
    ticket
}

valid if {
    not key.revoked
    key.starts <= input.now
    input.now < key.ends
}

in_workspace if not input.workspace

in_workspace if input.workspace == key.workspace

granted if key.kind == "service"

granted if {
    some role in key.roles
    data.roles[role][input.scope]
}

about contains rule if some rule in data.rules.exact[input.id]

about contains rule if {
    some length in numbers.range(1, count(input.id))
    some rule in data.rules.prefix[substring(input.id, 0, length)]
}

rule_allows if {
    some rule in about
    rule.effect == "allow"
}

rule_denies if {
    some rule in about
    rule.effect == "deny"
    holds(rule.guard)
}

holds("-") := true

holds("locked") if {
    pipeline.env == "prod"
    not key.teams["prod-operators"]
}

holds("tiered") if pipeline.tier > 3

ticket if not input.ticket

ticket if startswith(input.ticket, data.tickets)
"""
_ADDRESSES: Final = """
from_here if {
    some cidr in data.networks
    net.cidr_contains(cidr, input.ip)
    in_key_network
}

in_key_network if not key.network

in_key_network if net.cidr_contains(key.network, input.ip)
"""
_NO_ADDRESSES: Final = "\nfrom_here := true\n"
_FOREVER: Final = 1 << 62


class Regorus:
    """`Engine.set_input` and `Engine.eval_rule`."""

    name: ClassVar[str] = "regorus"
    requires: ClassVar[str] = "celine-regorus"
    beyond: ClassVar[Mapping[str, str]] = limits(SECRETS, FAULTS, ADDRESSES)

    def __init__(self, world: World) -> None:
        import regorus  # noqa: PLC0415 - only where it is asked for

        self._engine = regorus.Engine()
        self._engine.add_policy("authz.rego", _POLICY + _ADDRESSES)
        self._engine.add_data_json(json.dumps(_data(world)))

    def prepare(self, question: Question) -> dict[str, Any]:
        return _input(question)

    def allows(self, prepared: dict[str, Any]) -> bool:
        self._engine.set_input(prepared)
        allowed: bool = self._engine.eval_rule("data.authz.allow")
        return allowed


class RegoCpp:
    """`Interpreter.query_bundle_entrypoint`."""

    name: ClassVar[str] = "regopy"
    requires: ClassVar[str] = "regopy"
    beyond: ClassVar[Mapping[str, str]] = limits(SECRETS, FAULTS, ADDRESSES, ip_not_allowed="has no `net.*` functions")

    def __init__(self, world: World) -> None:
        import regopy  # noqa: PLC0415 - only where it is asked for

        self._input = regopy.Input
        self._interpreter = regopy.Interpreter()
        self._interpreter.add_module("authz", _POLICY + _NO_ADDRESSES)
        self._interpreter.add_data_json(json.dumps(_data(world)))
        self._bundle = self._interpreter.build(None, ["authz/allow"])

    def prepare(self, question: Question) -> Any:
        return self._input(_input(question))

    def allows(self, prepared: Any) -> bool:
        self._interpreter.set_input(prepared)
        # Held in a name: its nodes are read from memory that goes with it.
        output = self._interpreter.query_bundle_entrypoint(self._bundle, "authz/allow")
        allowed: bool = output.expressions()[0].value
        return allowed


def _input(question: Question) -> dict[str, Any]:
    request = question.request
    given = {
        "key": request.credential.key_id,
        "scope": request.scope,
        "type": request.resource.type,
        "id": request.resource.id,
        "workspace": request.resource.workspace,
        "ip": request.source_ip,
        "ticket": request.context.get("ticket"),
        "now": NOW,
    }
    return {name: value for name, value in given.items() if value is not None}


def _data(world: World) -> dict[str, Any]:
    exact: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    prefix: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for rule in world.policy():
        told: dict[str, str] = {"effect": rule.effect, "guard": rule.guard or "-"}
        (prefix if rule.pattern.endswith("*") else exact)[rule.pattern.rstrip("*")].append(told)
    return {
        "rules": {"exact": exact, "prefix": prefix},
        "roles": {
            "operator": {"pipelines:run": True, "pipelines:read": True},
            "viewer": {"pipelines:read": True},
        },
        "pipelines": {pipeline.id: pipeline.attributes for pipeline in world.pipelines()},
        "keys": {holder.key: _key(holder) for holder in world.holders()},
        "networks": NETWORKS,
        "tickets": TICKETS,
    }


def _key(holder: Holder) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": holder.kind,
        "workspace": ACME,
        "scopes": dict.fromkeys(scopes_of(holder), True),
        "teams": dict.fromkeys(teams_of(holder), True),
        "roles": roles_of(holder),
        "revoked": holder.revoked or holder.suspended,
        "starts": holder.starts or 0,
        "ends": holder.ends or _FOREVER,
    }
    return told | ({"network": holder.network} if holder.network else {})
