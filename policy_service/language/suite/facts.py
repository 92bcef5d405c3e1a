"""`facts:` of a test file: users, services, teams, resources, keys, claims, allowlists, each by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from policy_service.language.graphs import cycles
from policy_service.language.networks import read_cidr
from policy_service.language.places import Place
from policy_service.language.report import quoted
from policy_service.language.suite.layers import WORKSPACE, Facts, Layer
from policy_service.language.suite.values import one_or_more, read_flag, read_instant, read_json
from policy_service.language.suite.vocabulary import FACTS, Vocabulary, named
from policy_service.model import names
from policy_service.model.facts import (
    ApiKey,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    Team,
    User,
)
from policy_service.model.request import ResourceRef

SECTIONS: Final = ("users", "services", "teams", "resources", "keys", "claims", "allowlists")
USER_FIELDS: Final = ("suspended", "roles", "roles_on", "workspace")
SERVICE_FIELDS: Final = ("workspace",)
TEAM_FIELDS: Final = ("parent", "members", "roles", "roles_on", "workspace")
RESOURCE_FIELDS: Final = ("owner", "attributes", "workspace")
KEY_INSTANTS: Final = ("created_at", "not_before", "expires_at", "revoked_at")
KEY_FIELDS: Final = ("user", "service", "scopes", "cidrs", "labels", *KEY_INSTANTS)
CLAIM_FIELDS: Final = ("resource", "workspace", "owner", "attributes")
MAX_FACTS: Final = 10_000


def read_facts(place: Place | None, outer: Layer, policy: Vocabulary) -> Layer:
    """What is visible from here on: these facts over the outer ones.

    References are judged against everything visible, so that a file can add to teams of the shared facts.
    """
    fields = place.fields("`facts`", SECTIONS) if place else None
    return outer if not fields else _FactsReader(fields, outer, policy).read()


def key_of(name: str, principal: User | ServicePrincipal, scopes: tuple[str, ...], **more: Any) -> ApiKey:
    """A key whose id is its name, with one secret."""
    return ApiKey(
        id=name,
        workspace=principal.workspace,
        principal_kind="user" if isinstance(principal, User) else "service",
        principal_id=principal.id,
        scopes=scopes,
        slots=(SecretSlot(number=1, pepper_id="test", created_at=more["created_at"]),),
        **more,
    )


class _FactsReader:
    """Reads one `facts:` section by section; names are known before anything refers to them."""

    def __init__(self, fields: dict[str, Place], outer: Layer, policy: Vocabulary) -> None:
        self._policy = policy
        self._outer = outer
        self._layer = outer
        self._members = {name: self._named(name, place) for name, place in fields.items()}
        self._names = {
            section: {*getattr(outer, section), *self._members.get(section, {})} for section in ("users", "teams")
        }

    def read(self) -> Layer:
        readers: Mapping[str, Callable[[str, Place], Any]] = {
            "users": self._user,
            "services": self._service,
            "teams": self._team,
            "resources": self._resource,
            "keys": self._key,
            "claims": self._claim,
            "allowlists": lambda _name, place: _cidrs(place),
        }
        for section, read in readers.items():
            members = self._members.get(section, {})
            found = {name: one for name, place in members.items() if (one := read(name, place)) is not None}
            merged = {**getattr(self._outer, section), **found}
            self._layer = msgspec.structs.replace(self._layer, **{section: merged})
        self._refuse_cycles()
        return self._layer

    def _refuse_cycles(self) -> None:
        teams = {name: facts[0] for name, facts in self._layer.teams.items()}
        parents = {name: (team.parent,) for name, team in teams.items() if isinstance(team, Team) and team.parent}
        for cycle in cycles(parents):
            place = next(self._members["teams"][name] for name in cycle if name in self._members.get("teams", {}))
            place.error("team-cycle", f"`{' → '.join(cycle)}` is a cycle of teams; take one `parent` out of it")

    def _named(self, section: str, place: Place) -> dict[str, Place]:
        members = place.members(f"a mapping from names of {section}") or []
        if len(members) > MAX_FACTS:
            place.error("too-many", f"there are more than {MAX_FACTS} {section}; take some out")
            return {}
        found = {}
        for key, value in members:
            name = _resource_name(key, self._policy) if section == "resources" else key.name(names.ID, "a name")
            if name is not None:
                found[name] = value
        return found

    def _user(self, name: str, place: Place) -> Facts:
        fields = place.fields("a user", USER_FIELDS) or {}
        workspace = _workspace(fields)
        user = User(workspace=workspace, id=name, suspended=read_flag(fields.get("suspended")))
        return (user, *self._bindings(fields, workspace, user=name))

    def _service(self, name: str, place: Place) -> Facts:
        fields = place.fields("a service", SERVICE_FIELDS) or {}
        if name in self._layer.users:
            place.error("bad-name", f"a user is called {quoted(name)} already; users and services share their names")
        return (ServicePrincipal(workspace=_workspace(fields), id=name),)

    def _team(self, name: str, place: Place) -> Facts:
        fields = place.fields("a team", TEAM_FIELDS) or {}
        workspace = _workspace(fields)
        parent = named(fields.get("parent"), self._names["teams"], "team", FACTS)
        members = one_or_more(fields.get("members"), "a list of users")
        users = [user for item in members if (user := named(item, self._names["users"], "user", FACTS))]
        return (
            Team(workspace=workspace, id=name, parent=parent),
            *(Membership(workspace=workspace, team=name, user=user) for user in users),
            *self._bindings(fields, workspace, team=name),
        )

    def _bindings(self, fields: dict[str, Place], workspace: str, **subject: str) -> Iterator[RoleBinding]:
        """`roles`: over the workspace; `roles_on`: over one resource each."""
        for role in self._roles(fields.get("roles")):
            yield _binding(workspace, role, None, subject)
        members = fields["roles_on"].members("a mapping from resources to roles") if "roles_on" in fields else None
        for key, value in members or ():
            resource = _resource_name(key, self._policy)
            for role in self._roles(value) if resource else ():
                yield _binding(workspace, role, resource, subject)

    def _roles(self, place: Place | None) -> list[str]:
        items = one_or_more(place, "a list of roles")
        return [role for item in items if (role := named(item, self._policy.roles, "role", "roles.yaml"))]

    def _resource(self, name: str, place: Place) -> Resource:
        fields = place.fields("a resource", RESOURCE_FIELDS) or {}
        type_, _, identity = name.partition(":")
        attributes = _attributes(fields.get("attributes"), self._policy.attributes.get(type_, ()))
        owner = fields["owner"].name(names.ID, "a name") if "owner" in fields else None
        return Resource(workspace=_workspace(fields), type=type_, id=identity, owner=owner, attributes=attributes)

    def _key(self, name: str, place: Place) -> ApiKey | None:
        fields = place.fields("a key", KEY_FIELDS, ("scopes",)) or {}
        principal = self._principal(place, fields)
        items = one_or_more(fields.get("scopes"), "a list of scopes")
        scopes = {scope for item in items if (scope := named(item, self._policy.scopes, "scope", "scopes.yaml"))}
        instants = {field: read_instant(fields.get(field)) for field in KEY_INSTANTS}
        cidrs, labels = _cidrs(fields.get("cidrs")), _labels(fields.get("labels"))
        if principal is None:
            return None
        instants["created_at"] = instants["created_at"] or 0
        return key_of(name, principal, tuple(sorted(scopes)), cidrs=cidrs, labels=labels, **instants)

    def _principal(self, place: Place, fields: dict[str, Place]) -> User | ServicePrincipal | None:
        given = [fields[field] for field in ("user", "service") if field in fields]
        if len(given) != 1:
            place.error("missing-field", "a key needs one of the fields `user` and `service`")
            return None
        section = self._layer.users if "user" in fields else self._layer.services
        name = named(given[0], section, "user" if "user" in fields else "principal", FACTS)
        return None if name is None else self._layer.principals().get(name)

    def _claim(self, _name: str, place: Place) -> ResourceRef | None:
        fields = place.fields("a claim", CLAIM_FIELDS, ("resource",)) or {}
        resource = _resource_name(fields["resource"], self._policy) if "resource" in fields else None
        if resource is None:
            return None
        type_, _, identity = resource.partition(":")
        attributes = _attributes(fields.get("attributes"), self._policy.attributes.get(type_, ()))
        workspace = fields["workspace"].name(names.ID, "a workspace") if "workspace" in fields else None
        owner = fields["owner"].name(names.ID, "a name") if "owner" in fields else None
        return ResourceRef(type_, identity, workspace, owner, attributes)


def _binding(workspace: str, role: str, resource: str | None, subject: dict[str, str]) -> RoleBinding:
    type_, _, identity = (resource or "").partition(":")
    return RoleBinding(
        workspace=workspace,
        id="/".join((*subject, *subject.values(), role, *((resource,) if resource else ()))),
        role=role,
        resource_type=type_ or None,
        resource_id=identity or None,
        **subject,
    )


def _workspace(fields: dict[str, Place]) -> str:
    place = fields.get("workspace")
    return (place.name(names.ID, "a workspace") if place else None) or WORKSPACE


def _resource_name(place: Place, policy: Vocabulary) -> str | None:
    """`type:id` of a type that the policy knows."""
    text = place.text("a resource such as pipeline:etl-42")
    split = None if text is None else names.split_resource(text)
    if text is None:
        return None
    if split is None:
        place.error("bad-name", f"{quoted(text)} is not a resource; write its type and id, as in pipeline:etl-42")
        return None
    if split[0] not in policy.types:
        hint = place.hint(split[0], policy.types)
        message = f"no scope and no file is about the resource type {quoted(split[0])}{hint}"
        place.error("unknown-resource-type", message)
        return None
    return text


def _attributes(place: Place | None, declared: tuple[str, ...]) -> dict[str, Any]:
    """JSON values. One that the policy does not declare is of no effect, and most likely a typing mistake."""
    found = {}
    for key, value in place.members("a mapping from attributes to values") or () if place else ():
        name = key.name(names.ATTRIBUTE, "an attribute name")
        if name is not None and name not in declared:
            message = f"the attribute {quoted(name)} is not declared, so no rule reads it{key.hint(name, declared)}"
            key.warn("undeclared-attribute", message)
        if name is not None:
            found[name] = read_json(value)
    return found


def _cidrs(place: Place | None) -> tuple[str, ...]:
    items = one_or_more(place, "a list of CIDRs")
    return tuple(network.text for item in items if (network := read_cidr(item)) is not None)


def _labels(place: Place | None) -> dict[str, str]:
    members = place.members("a mapping from labels to texts") or () if place else ()
    found = {key.text("a label"): value.text("a text in quotes") for key, value in members}
    return {name: text for name, text in found.items() if name is not None and text is not None}
