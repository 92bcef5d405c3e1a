"""The facts that a test sees: its own over those of its file, over those of tests/facts.yaml. By name, innermost first.

A user brings their role bindings along, a team its memberships and bindings; so one name replaces the whole of another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from policy_service.model.facts import AllowlistEntry, ApiKey, Fact, IpAllowlist, Resource, ServicePrincipal, User
from policy_service.model.request import ResourceRef

WORKSPACE = "demo"
"""Where facts are that do not say it."""

Facts = tuple[Fact, ...]


class Layer(msgspec.Struct, frozen=True):
    """Everything visible, by section and name.

    Args:
        users, teams: the fact itself first, then what it brings along.
        claims: resources as a caller tells of them.
        allowlists: none of them is on unless the test says so; then in every workspace.
    """

    users: Mapping[str, Facts] = {}
    services: Mapping[str, Facts] = {}
    teams: Mapping[str, Facts] = {}
    resources: Mapping[str, Resource] = {}
    keys: Mapping[str, ApiKey] = {}
    claims: Mapping[str, ResourceRef] = {}
    allowlists: Mapping[str, tuple[str, ...]] = {}

    def principals(self) -> dict[str, User | ServicePrincipal]:
        """Whom a key can act as, by name."""
        found = {name: facts[0] for name, facts in (*self.users.items(), *self.services.items())}
        return {name: fact for name, fact in found.items() if isinstance(fact, User | ServicePrincipal)}

    def facts(self) -> Iterator[Fact]:
        """All facts but allowlists and claims."""
        for section in (self.users, self.services, self.teams):
            for facts in section.values():
                yield from facts
        yield from self.resources.values()
        yield from self.keys.values()

    def workspaces(self) -> list[str]:
        """Every workspace that some fact is in."""
        return sorted({fact.workspace for fact in self.facts() if hasattr(fact, "workspace")} | {WORKSPACE})

    def allowlist(self, name: str) -> Iterator[IpAllowlist]:
        """The facts that turn a list on."""
        entries = tuple(AllowlistEntry(cidr=cidr) for cidr in self.allowlists[name])
        for workspace in self.workspaces():
            yield IpAllowlist(workspace=workspace, enabled=True, entries=entries)
