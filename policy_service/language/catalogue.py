"""scopes.yaml and roles.yaml: the catalogue of scopes, and named sets of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final, TypeVar

import msgspec

from policy_service.language.graphs import closures, cycles
from policy_service.language.places import Place
from policy_service.language.policy import Role, Scope
from policy_service.language.report import quoted
from policy_service.model import names

MAX_NAMES: Final = 1_000
"""Scopes, and roles: closures cost up to the square of it."""

_SHOWN_IN_CYCLE: Final = 12
_CYCLES: Final = {"scope": "scope-cycle", "role": "role-cycle"}

D = TypeVar("D")


class ScopeDraft(msgspec.Struct):
    """A scope before its closure is known. References are kept with their places until all names are."""

    key: Place
    on: frozenset[str] = frozenset()
    implies: dict[str, Place] = {}
    description: str = ""


class RoleDraft(msgspec.Struct):
    key: Place
    scopes: dict[str, Place] = {}
    inherits: dict[str, Place] = {}
    description: str = ""


def read_scopes(root: Place) -> dict[str, Scope] | None:
    """The catalogue, or None when nothing can be said of it.

    Scopes with mistakes are in it too, so that what names them is not reported as well.
    """
    drafts = _read_named(root, "scopes", names.SCOPE, "a scope name such as pipelines:run", _scope_draft)
    if drafts is None:
        return None
    for draft in drafts.values():
        check_declared(draft.implies, drafts.keys(), "undeclared-scope", "scope", "scopes.yaml")
    graph = {name: tuple(sorted(draft.implies)) for name, draft in drafts.items()}
    _report_cycles(graph, {name: draft.implies for name, draft in drafts.items()}, "scope", "implies")
    reach = closures(graph)
    return {
        name: Scope(name, draft.on, graph[name], reach[name], draft.description)
        for name, draft in sorted(drafts.items())
    }


def read_roles(root: Place, scopes: dict[str, Scope] | None) -> dict[str, Role]:
    """The roles. `scopes` is None when the catalogue could not be read: then scope names are not judged."""
    drafts = _read_named(root, "roles", names.NAME, "a role name such as operator", _role_draft) or {}
    for draft in drafts.values():
        if scopes is not None:
            check_declared(draft.scopes, scopes.keys(), "undeclared-scope", "scope", "scopes.yaml")
        check_declared(draft.inherits, drafts.keys(), "undeclared-role", "role", "roles.yaml")
    graph = {name: tuple(sorted(draft.inherits)) for name, draft in drafts.items()}
    _report_cycles(graph, {name: draft.inherits for name, draft in drafts.items()}, "role", "inherits")
    lineages = closures(graph)
    return {name: _role(name, drafts, lineages[name], scopes or {}) for name in sorted(drafts)}


def _role(name: str, drafts: dict[str, RoleDraft], lineage: frozenset[str], scopes: dict[str, Scope]) -> Role:
    granted = {scope for role in lineage for scope in drafts[role].scopes}
    closure = frozenset(implied for scope in granted if scope in scopes for implied in scopes[scope].closure)
    draft = drafts[name]
    return Role(name, tuple(sorted(draft.scopes)), tuple(sorted(draft.inherits)), closure, lineage, draft.description)


def check_declared(wanted: dict[str, Place], known: Collection[str], code: str, noun: str, file: str) -> None:
    """Report every wanted name that is not among the known ones."""
    for name, place in wanted.items():
        if name not in known:
            place.error(code, f"the {noun} {quoted(name)} is not declared in {file}{place.hint(name, known)}")


def read_names(place: Place, pattern: re.Pattern[str], what: str) -> dict[str, Place]:
    """A list of names, each with its place. A name that stands there twice is warned about."""
    found: dict[str, Place] = {}
    for item in place.items(f"a list, each item {what},") or ():
        name = item.name(pattern, what)
        if name is None:
            continue
        if name in found:
            item.warn("duplicate-item", f"{quoted(name)} stands in this list already; keep one")
        found.setdefault(name, item)
    return found


def read_description(fields: dict[str, Place]) -> str:
    """The optional `description`, on one line."""
    place = fields.get("description")
    return " ".join((place.text("a description") or "").split()) if place else ""


def _read_named(
    root: Place, field: str, pattern: re.Pattern[str], what: str, draft: Callable[[Place, Place], D]
) -> dict[str, D] | None:
    fields = root.fields("this file", (field,), (field,)) or {}
    members = fields[field].members(f"a mapping from {what} to its fields") if field in fields else None
    if members is None:
        return None
    if len(members) > MAX_NAMES:
        fields[field].error("too-many", f"there are more than {MAX_NAMES} {field}; take some out")
        return None
    found = {}
    for key, value in members:
        name = key.name(pattern, what)
        drafted = draft(key, value)
        if name is not None:
            found[name] = drafted
    return found


def _scope_draft(key: Place, value: Place) -> ScopeDraft:
    fields = value.fields("a scope", ("description", "on", "implies"), ("on",)) or {}
    on = read_names(fields["on"], names.NAME, "a resource type such as pipeline") if "on" in fields else {}
    implies = read_names(fields["implies"], names.SCOPE, "a scope name") if "implies" in fields else {}
    return ScopeDraft(key, frozenset(on), implies, read_description(fields))


def _role_draft(key: Place, value: Place) -> RoleDraft:
    fields = value.fields("a role", ("description", "scopes", "inherits")) or {}
    scopes = read_names(fields["scopes"], names.SCOPE, "a scope name") if "scopes" in fields else {}
    inherits = read_names(fields["inherits"], names.NAME, "a role name") if "inherits" in fields else {}
    return RoleDraft(key, scopes, inherits, read_description(fields))


def _report_cycles(
    graph: dict[str, tuple[str, ...]], arrows: dict[str, dict[str, Place]], noun: str, field: str
) -> None:
    for cycle in cycles(graph):
        shown = cycle if len(cycle) <= _SHOWN_IN_CYCLE else [*cycle[:_SHOWN_IN_CYCLE], "…", cycle[0]]
        place = arrows[cycle[0]][cycle[1]]
        way = " → ".join(shown)
        place.error(_CYCLES[noun], f"`{way}` is a cycle of {noun}s; take one `{field}` out of it")
