"""The unknowns of one question: a request on one type of resource for one scope, and the facts it meets.

Everything that the engine can look at has a variable here; what must hold of real facts stands among the `constraints`.
What conditions do not read is never made, so that a proof does not grow with what it does not need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import z3

from policy_service.analysis.encode.conditions import ALWAYS, Gap, Outcome, State, encode
from policy_service.analysis.encode.lists import Lists, Made
from policy_service.analysis.encode.patterns import occurs
from policy_service.analysis.encode.regions import Regions
from policy_service.analysis.encode.terms import Truth, both, implies, no, some, within
from policy_service.analysis.encode.usage import Usage
from policy_service.analysis.encode.values import Choice, Text, Texts
from policy_service.language.ir import Condition, Type
from policy_service.language.policy import Attribute, Policy, ResourcePattern
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX
from policy_service.model.address import LAST_POINT
from policy_service.model.instants import MAX_NS, MIN_NS

Name = str | None
"""The name of a scope or type; None stands for every one that no policy declares."""

OUTCOMES: Final = ("missing", "malformed", "unknown", "verified")
_FIRST_MAPPED: Final = (1 << 32) + (0xFFFF << 32)
_IDS: Final = "[A-Za-z0-9][A-Za-z0-9._@-]{0,127}"
_RESOURCE_IDS: Final = "[A-Za-z0-9][A-Za-z0-9._@/:-]{0,127}"


def path_of(name: str) -> str:
    """`resource.attr.env` of `resource.attr.env as string`."""
    return name.partition(" as ")[0]


class Raw(msgspec.Struct, frozen=True):
    """What is said of a declared value, before any policy's defaults.

    Args:
        given: whether store or caller say anything; `from_store`: that it is the store.
    """

    given: Truth
    from_store: Truth
    wrong: Truth
    value: Any


class World:
    """The unknowns, by name. One world may be read under several policies (`Reading`).

    Args:
        scope, type: of the request; None: any that is undeclared.
        declared_scopes, declared_types: what None excludes.
        roles: every role that some policy declares.
        patterns: of the rules that can apply.
        usages: how conditions look at lists.
    """

    def __init__(
        self,
        scope: Name,
        type_: Name,
        *,
        declared_scopes: Iterable[str],
        declared_types: Iterable[str],
        roles: Iterable[str],
        patterns: Iterable[ResourcePattern],
        usages: Mapping[str, Usage],
    ) -> None:
        self.texts = Texts()
        self.constraints: list[Truth] = []
        self.bounds: dict[str, str] = {}
        self.raw: dict[str, Raw] = {}
        self.usages = usages
        self.lists = Lists(self.texts, usages)
        self.declared_scopes = tuple(sorted(declared_scopes))
        self.roles = tuple(sorted(roles))
        self.scope = scope if scope is not None else self._undeclared("request.scope", self.declared_scopes)
        self.type = type_ if type_ is not None else self._undeclared("resource.type", sorted(declared_types))
        self._make_key()
        self._make_surroundings()
        self.regions = Regions(self.resource_id, patterns)
        self._made: dict[str, Made] = {}
        self._shared: list[tuple[Any, dict[str, tuple[Condition, Outcome | Gap]]]] = []

    def _undeclared(self, path: str, declared: Iterable[str]) -> Text:
        text = self.texts.text(path)
        self.constraints += [no(text.equals(name)) for name in declared]
        return text

    def _make_key(self) -> None:
        """The credential, the key's life, and what it carries."""
        self.outcome = z3.Int("credential")
        self.now = z3.Int("now")
        self.is_user = z3.Bool("user key")
        self.suspended = z3.Bool("suspended")
        self.revoked = z3.Bool("revoked")
        self.created_at = z3.Int("created at")
        self.expires, self.expires_at = z3.Bool("expires"), z3.Int("expires at")
        self.starts, self.not_before = z3.Bool("starts later"), z3.Int("not before")
        self.graced, self.grace_ends = z3.Bool("rotated out"), z3.Int("grace ends")
        self.carried = {name: z3.Bool(f"key has {name}") for name in self.declared_scopes}
        bound = {name: z3.Bool(f"bound to {name}") for name in self.roles}
        self.bound = {name: both(self.is_user, one) for name, one in bound.items()}
        self.constraints += [
            within(self.outcome, 0, len(OUTCOMES) - 1),
            implies(self.suspended, self.is_user),
            *(_is_instant(one) for one in (self.now, self.created_at, self.expires_at, self.not_before)),
            _is_instant(self.grace_ends),
        ]

    def _make_surroundings(self) -> None:
        """The resource's registration, the workspace that is claimed, and the address."""
        self.registered = z3.Bool("registered")
        self.claims_own, self.claims_other = z3.Bool("claims own workspace"), z3.Bool("claims other workspace")
        self.no_address, self.bad_address = z3.Bool("no address"), z3.Bool("bad address")
        self.point = z3.Int("address")
        self.no_owner = z3.Bool("no owner")
        self.list_on, self.listed = z3.Bool("allowlist on"), z3.Bool("on the allowlist")
        self.has_cidrs, self.in_cidrs = z3.Bool("key has CIDRs"), z3.Bool("in the key's CIDRs")
        self.resource_id = self.texts.text("resource.id")
        self.constraints += [
            no(both(self.claims_own, self.claims_other)),
            no(both(self.no_address, self.bad_address)),
            within(self.point, 0, LAST_POINT),
            # IPv4-mapped addresses are IPv4 addresses, so no address has these points.
            z3.Or(self.point < _FIRST_MAPPED, self.point >= _FIRST_MAPPED + (1 << 32)),
        ]

    @property
    def verified(self) -> Truth:
        return self.outcome == OUTCOMES.index("verified")

    def text(self, path: str) -> Text:
        return self.texts.text(path)

    def sequence(self, path: str, kind: Type) -> Any:
        """A list or map of the facts or of a claim, made when it is first read."""
        if path not in self._made:
            self._made[path] = made = self._make(path, kind)
            self.constraints += made.constraints
            self.bounds |= {path_of(path): text for text in made.bounds}
        return self._made[path].value

    def _make(self, path: str, kind: Type) -> Made:
        if path == "key.scopes":
            return self.lists.names(path, self.carried)
        if path == "principal.teams":
            return self.lists.names(path, {}, only_where=self.is_user)
        return self.lists.entries(path) if kind.kind == "map" else self.lists.items(path, kind.element or kind)

    def shared(self, alike: Any) -> dict[str, tuple[Condition, Outcome | Gap]]:
        """What is kept for all policies that read this world alike: conditions already encoded, by text."""
        for other, outcomes in self._shared:
            if other == alike:
                return outcomes
        self._shared.append((alike, {}))
        return self._shared[-1][1]

    def lists_made(self) -> dict[str, Made]:
        return self._made

    def given(self, path: str, kind: Type) -> Raw:
        """What store or caller say at a path, for a declared type."""
        name = f"{path} as {kind}"
        if name not in self.raw:
            given, stored = z3.Bool(f"{name} given"), z3.Bool(f"{name} stored")
            value = self.sequence(name, kind) if kind.element else self.scalar(name, kind)
            self.raw[name] = Raw(given, both(given, stored), z3.Bool(f"{name} wrong"), value)
            self.constraints.append(implies(stored, both(given, self.registered)))
        return self.raw[name]

    def scalar(self, name: str, kind: Type) -> Any:
        made = self.lists.scalar(name, kind)
        self.constraints += made.constraints
        return made.value

    def well_formed(self) -> list[Truth]:
        """All that holds of real facts and requests, and of texts in both views."""
        found = (*self.constraints, *self.regions.constraints(), *self._ids(), *self.texts.links())
        return [one for one in found if one is not True]

    def _ids(self) -> Iterator[Truth]:
        """Ids of facts look like ids: as strings, and as numbers of constants."""
        for name, text in self.texts.unknown.items():
            pattern = _RESOURCE_IDS if name == "resource.id" else _IDS if _is_id(name) else None
            if pattern is None:
                continue
            yield from (no(text.equals(one)) for one in sorted(text.known()) if not re.fullmatch(pattern, one))
            if text.is_string:
                yield occurs(f"^{pattern}$", text.string)


def _is_id(name: str) -> bool:
    return name in ("key.id", "principal.id", "workspace.id") or name.startswith("principal.teams")


def _is_instant(instant: Any) -> Truth:
    return within(instant, MIN_NS, MAX_NS)


class Reading:
    """A world as one policy reads it: its roles, defaults and sources."""

    def __init__(self, world: World, policy: Policy) -> None:
        self.world = world
        self.policy = policy
        resource = policy.resources.get(world.type) if isinstance(world.type, str) else None
        self._attributes = {one.name: one for one in (resource.attributes if resource else ())}
        self._context = {one.name: one for one in policy.context}
        self._states: dict[str, State] = {}
        self._outcomes = world.shared(
            (self._attributes, self._context, {name: role.lineage for name, role in policy.roles.items()})
        )

    def outcome(self, condition: Condition | None) -> Outcome | Gap:
        """The formulas of a condition, made once for all policies that read alike."""
        if condition is None:
            return ALWAYS
        known = self._outcomes.get(condition.text)
        if known is None or known[0] != condition:
            known = self._outcomes[condition.text] = (condition, encode(condition, self))
        return known[1]

    def read(self, path: str) -> State:
        """What a condition meets at a path."""
        if path not in self._states:
            self._states[path] = self._read(path)
        return self._states[path]

    def _read(self, path: str) -> State:
        if path.startswith(ATTRIBUTE_PREFIX):
            return self._declared(path, self._attributes[path.removeprefix(ATTRIBUTE_PREFIX)], is_context=False)
        if path.startswith(CONTEXT_PREFIX):
            return self._declared(path, self._context[path.removeprefix(CONTEXT_PREFIX)], is_context=True)
        world = self.world
        if path == "request.ip":
            return State(world.no_address, world.bad_address, world.point)
        if path == "key.expires_at":
            return State(no(world.expires), False, world.expires_at)
        if path == "resource.owner":
            return State(world.no_owner, False, world.text(path))
        return State(False, False, self._standard(path))

    def _standard(self, path: str) -> Any:
        world = self.world
        if path in ("key.kind", "principal.kind"):
            return Choice(((world.is_user, "user"), (no(world.is_user), "service")))
        if path == "principal.roles":
            return world.lists.finite(self.in_force())
        if path in ("resource.workspace", "workspace.id"):
            return world.text("workspace.id")
        if path in ("key.id", "principal.id"):
            return world.text(path)
        simple = {
            "request.scope": world.scope,
            "request.time": world.now,
            "key.created_at": world.created_at,
            "resource.type": world.type,
            "resource.id": world.resource_id,
        }
        return simple[path] if path in simple else world.sequence(path, _LISTS[path])

    def _declared(self, path: str, attribute: Attribute, *, is_context: bool) -> State:
        """A declared value: the store's word, else the caller's where it counts, else the default."""
        raw = self.world.given(path, attribute.type)
        if is_context:
            self.world.constraints.append(no(raw.from_store))
        given = raw.from_store if attribute.from_store else raw.given
        if not attribute.has_default:
            return State(no(given), both(given, raw.wrong), raw.value)
        value = self._or_default(given, raw.value, attribute)
        return State(False, both(given, raw.wrong), value)

    def _or_default(self, given: Truth, value: Any, attribute: Attribute) -> Any:
        if attribute.type.kind == "list":
            return self.world.lists.either(given, value, attribute.default)
        if attribute.type.kind == "bool":
            return z3.If(given, value, z3.BoolVal(attribute.default))
        return Choice(((given, value), (no(given), attribute.default)))

    def in_force(self) -> dict[str, Truth]:
        """Role → when it is in force: bound, or inherited by one that is."""
        declared = self.policy.roles
        return {
            name: some(self.world.bound[other] for other in sorted(declared) if name in declared[other].lineage)
            for name in sorted(declared)
        }

    def granted(self, scope: Any) -> Truth:
        """When some role in force grants a scope."""
        if not isinstance(scope, str):
            return False
        return some(self.world.bound[name] for name, role in sorted(self.policy.roles.items()) if scope in role.closure)

    def carried(self, scope: Any) -> Truth:
        """When the key's scopes, with all they imply, hold a scope."""
        if not isinstance(scope, str):
            return False
        scopes, carried = self.policy.scopes, self.world.carried
        return some(
            carried[name]
            for name in sorted(carried)
            if name == scope or (name in scopes and scope in scopes[name].closure)
        )


_LISTS: Final = {
    "key.scopes": Type("list", Type("string")),
    "principal.teams": Type("list", Type("string")),
    "key.labels": Type("map", Type("string")),
}
