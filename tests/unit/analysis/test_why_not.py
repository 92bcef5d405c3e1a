"""The smallest changes that would flip a denial, by who can make them; each of them does flip it."""

from __future__ import annotations

from typing import Any

import pytest

from policy_service.analysis.situation import Situation
from policy_service.analysis.why_not import why_not
from policy_service.language.load import load_policy
from policy_service.model.facts import AllowlistEntry, ApiKey, Fact, IpAllowlist, Resource, SecretSlot, User
from policy_service.model.request import Credential, Request, ResourceRef
from tests.unit.analysis.policies import files

NOW = 1_800_000_000_000_000_000
PROD = '[{name: prod, effect: deny, when: \'resource.attr.env == "prod" && !("ops" in principal.teams)\'}]'


def situation(*more: Fact, env: str = "dev", registered: bool = True, **changes: Any) -> Situation:
    """`ann` runs a pipeline with a key for it, but has no role."""
    key = ApiKey(
        id="annsKey",
        workspace="demo",
        principal_kind=changes.pop("kind", "user"),
        principal_id="ann",
        scopes=changes.pop("scopes", ("pipelines:run",)),
        slots=(SecretSlot(number=1, pepper_id="p", created_at=0),),
        created_at=0,
        **changes,
    )
    resource = Resource(workspace="demo", type="pipeline", id="etl", attributes={"env": env})
    facts = (key, User(workspace="demo", id="ann"), *([resource] if registered else []), *more)
    request = Request(
        Credential("verified", "annsKey", 1), "pipelines:run", ResourceRef("pipeline", "etl"), "192.0.2.9"
    )
    return Situation(request, facts, NOW)


def told(asked: Situation, rules: str = "[]") -> dict[str, list[tuple[str, ...]]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for flip in why_not(asked, load_policy(files(rules))):
        found.setdefault(flip.who, []).append(flip.steps)
    return found


def test_a_missing_role_is_the_administrators() -> None:
    """The role that grants least first; the caller cannot help."""
    assert told(situation()) == {"administrator": [("give ann the role operator",)]}


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({"revoked_at": 5}, "issue ann a new key like annsKey"),
        ({"scopes": ("pipelines:read",)}, "issue a key with the scope pipelines:run"),
        ({"registered": False}, "register pipeline:etl in demo"),
        ({"cidrs": ("10.0.0.0/8",)}, "issue a key whose CIDRs hold 192.0.2.9"),
    ],
)
def test_each_check_has_its_remedy(changes: dict[str, Any], step: str) -> None:
    """Of a service key, so that roles do not matter."""
    assert (step,) in told(situation(kind="service", **changes))["administrator"]


def test_the_caller_may_ask_otherwise() -> None:
    """From an address that is allowed, or for a scope that the key has."""
    listed = IpAllowlist(workspace="demo", enabled=True, entries=(AllowlistEntry(cidr="203.0.113.0/24"),))
    assert told(situation(listed, kind="service"))["caller"] == [("ask from 203.0.113.0",)]
    asked = situation(kind="service", scopes=("pipelines:read",))
    assert told(asked)["caller"] == [("ask for pipelines:read instead",)]


def test_two_steps_where_one_is_not_enough() -> None:
    """No role and no team: both are needed."""
    found = told(situation(env="prod"), PROD)
    assert any(
        {"give ann the role operator", "put ann into the team ops"} == set(steps) for steps in found["administrator"]
    )


def test_a_rule_is_the_authors() -> None:
    """Of a service, which is on no team."""
    assert told(situation(env="prod", kind="service"), PROD)["author"] == [("take the rule `prod` out",)]
