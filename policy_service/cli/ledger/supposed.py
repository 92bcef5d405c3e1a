"""Options that say what to suppose of the past: other rules, other facts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from policy_service.cli.ledger.foresee import FailOn
from policy_service.cli.shared.grouped import Group
from policy_service.language.load import load_policy
from policy_service.model.errors import UsageError
from policy_service.service.auditing.foresee import Scenario
from policy_service.service.auditing.hypotheses import Edit, without_key, without_member
from policy_service.service.policies.policy_folder import read_folder

Policies = Annotated[
    Path | None, typer.Option("--policies", metavar="DIR", help="What if these rule files had decided?")
]
FactsNow = Annotated[bool, typer.Option("--facts-now", help="Old requests, today's facts.")]
WithoutKeys = Annotated[
    list[str] | None, typer.Option("--without-key", metavar="KEY", help="What if this key had not been there?")
]
WithoutMembers = Annotated[
    list[str] | None,
    typer.Option("--without-member", metavar="USER:TEAM", help="What if this membership had not been there?"),
]
Least = Annotated[
    str | None, typer.Option("--least-privilege", metavar="KEY", help="The fewest scopes that this key needed.")
]


class Supposed(Group, frozen=True):
    """As it was typed."""

    policies: Policies = None
    facts_now: FactsNow = False
    without_keys: WithoutKeys = None
    without_members: WithoutMembers = None
    least: Least = None
    fail_on: FailOn = None

    def scenario(self, workspace: str | None) -> Scenario | None:
        """What is supposed; None for nothing. Raises UsageError, PolicyErrors."""
        edits = [
            *map(without_key, self.without_keys or ()),
            *(_member_edit(member, workspace) for member in self.without_members or ()),
        ]
        if self.policies is None and not self.facts_now and not edits:
            return None
        policy = None if self.policies is None else load_policy(read_folder(self.policies))
        return Scenario(policy=policy, edits=tuple(edits), facts_now=self.facts_now)


def _member_edit(text: str, workspace: str | None) -> Edit:
    user, colon, team = text.partition(":")
    if not (user and colon and team):
        raise UsageError("usage", f"`--without-member` takes USER:TEAM, such as `ada:prod-operators`, not `{text}`")
    return without_member(team, user, workspace)
