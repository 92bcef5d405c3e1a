"""The few facts that one request meets, copied out of a snapshot: for whoever thinks on after the decision."""

from __future__ import annotations

from collections.abc import Iterator

from policy_service.analysis.remedies import texts_in
from policy_service.analysis.situation import Situation
from policy_service.engine.grants import with_ancestors
from policy_service.engine.key_view import KeyView
from policy_service.engine.snapshot import Snapshot
from policy_service.language.ir import Condition
from policy_service.language.policy import ConditionCheck, Policy
from policy_service.model.facts import (
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
from policy_service.model.request import Request


def situation_of(request: Request, snapshot: Snapshot, now: int) -> Situation | None:
    """A request with the facts of its key's workspace that can have a say; None where no key was verified.

    It holds facts, which never change, and nothing of the snapshot: it may go to another thread.

    INVARIANT: every fact is of the key's workspace (test_explain_route: walls).

    Cost: some lookups, however large the snapshot; more for somebody in many teams.
    """
    key = snapshot.keys[request.credential.key_id or ""]
    if key is None or snapshot.program is None:
        return None
    facts = {(fact.entity, fact.key()): fact for fact in _facts(request, snapshot, key, snapshot.program.policy)}
    return Situation(request, (key.fact, *facts.values()), now)


def _facts(request: Request, snapshot: Snapshot, key: KeyView, policy: Policy) -> Iterator[Fact]:
    workspace, principal, asked = key.workspace_id, key.principal_id, request.resource
    names = [
        (Workspace.entity, (workspace,)),
        ((User if key.is_user else ServicePrincipal).entity, (workspace, principal)),
        (Resource.entity, (workspace, asked.type, asked.id)),
        (IpAllowlist.entity, (workspace,)),
    ]
    if key.is_user:
        yield from key.workspace.bindings_of(principal)
        mentioned = texts_in(_conditions(policy, asked.type))
        teams = with_ancestors([*key.grants().teams, *mentioned], lambda name: _team(key, name))
        for team in sorted(teams):
            yield from _bindings(key, team)
            names += [(Team.entity, (workspace, team)), (Membership.entity, (workspace, team, principal))]
    for entity, name in names:
        fact = snapshot.fact(entity, name)
        if fact is not None:
            yield fact


def _team(key: KeyView, name: str) -> Team | None:
    view = key.workspace.team(name)
    return None if view is None else view.fact


def _bindings(key: KeyView, team: str) -> Iterator[Fact]:
    view = key.workspace.team(team)
    yield from view.bindings if view is not None else ()


def _conditions(policy: Policy, type_: str) -> list[Condition]:
    """All that a request on a type can meet: they name the teams that somebody could be put into."""
    resource = policy.resources.get(type_)
    found = [rule.condition for rule in resource.rules] if resource is not None else []
    for check in policy.chain:
        if isinstance(check, ConditionCheck):
            found += [check.when, check.require]
    return [one for one in found if one is not None]
