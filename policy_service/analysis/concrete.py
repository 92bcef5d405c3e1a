"""From the solver's values to a request and facts that anybody could have: what a counterexample is made of."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import Any, Final

import z3

from policy_service.analysis.encode.terms import Truth, every, implies, no, some, text_of
from policy_service.analysis.encode.values import Entries, Sequence, Slot, Text
from policy_service.analysis.encode.world import OUTCOMES, World
from policy_service.analysis.situation import Situation
from policy_service.language.ir import Type
from policy_service.language.variables import ATTRIBUTE_PREFIX, CONTEXT_PREFIX
from policy_service.model.address import address_point, address_text
from policy_service.model.facts import (
    AllowlistEntry,
    ApiKey,
    Fact,
    IpAllowlist,
    Membership,
    Resource,
    RoleBinding,
    SecretSlot,
    ServicePrincipal,
    Team,
    User,
    Workspace,
)
from policy_service.model.instants import NS_PER_S, format_rfc3339
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential, Request, ResourceRef

USUAL_NOW: Final = 1_795_510_800 * NS_PER_S
"""2026-11-24T09:00:00Z"""
_DAY: Final = 86_400 * NS_PER_S
_USUAL_ADDRESS: Final = "203.0.113.7"
_OTHER_ADDRESSES: Final = ("192.0.2.1", "192.0.2.2")
_SHORT: Final = (100, 12, 4, 2, 1, 0)
_READABLE: Final = 12
_WORKSPACE: Final = "demo"
_OTHER_WORKSPACE: Final = "another-workspace"
_USUAL: Final = {
    "workspace.id": (_WORKSPACE,),
    "key.id": ("witness-key",),
    "principal.id": ("ann", "bob", "carl", "dora"),
    "resource.id": ("r1", "r2"),
    "resource.owner": ("owen", "olga"),
    "service": ("ci", "deployer"),
}


def wishes(world: World) -> Iterator[Truth]:
    """What makes a situation short to tell: nothing unusual, nothing that is not needed."""
    yield world.verified
    yield from _short_lists(world)
    yield from (no(one) for one in (world.suspended, world.revoked, world.expires, world.starts, world.graced))
    yield from (no(world.claims_other), world.registered, no(world.list_on), no(world.has_cidrs), world.no_owner)
    yield from (no(world.bad_address), no(world.no_address))
    yield from (world.now == USUAL_NOW, world.created_at == USUAL_NOW - _DAY)
    usual = [world.point == address_point(address) for address in (_USUAL_ADDRESS, *_OTHER_ADDRESSES)]
    yield from (some(usual), usual[0])
    yield from (world.point < 1 << 32, world.regions.region == 1)
    yield from (no(raw.given) for raw in world.raw.values())
    # What a resource has somebody registered; callers tell what nobody else can know.
    yield from (
        implies(raw.given, raw.from_store) for name, raw in world.raw.items() if name.startswith(ATTRIBUTE_PREFIX)
    )
    yield from (no(raw.wrong) for raw in world.raw.values())
    yield from (no(carried) for carried in world.carried.values())
    yield from (no(bound) for bound in world.bound.values())
    yield no(world.claims_own)
    yield from (text.code == -number for number, text in enumerate(world.texts.unknown.values(), start=1))


def _short_lists(world: World) -> Iterator[Truth]:
    """Early among the wishes: a list of ten thousand items is a counterexample that nobody can read."""
    slots = list(_slots(world))
    yield from (no(slot.present) for slot in slots)
    # The loosest first: where something has to be there ten times, it need not be there ten thousand times.
    for most in _SHORT:
        yield from (slot.times() <= most for slot in slots if slot.count is not None)


def readable(world: World) -> Truth:
    """Every list is so short that a person would read it: worth asking for before anything longer."""
    return every(slot.times() <= _READABLE for slot in _slots(world) if slot.count is not None)


def _slots(world: World) -> Iterator[Slot]:
    for made in world.lists_made().values():
        yield from made.value.keys().slots if isinstance(made.value, Entries) else made.value.slots


class Concretizer:
    """Reads one model.

    Args:
        avoid: names that mean something already; where any name will do, none of these is taken.
    """

    def __init__(self, world: World, model: Any, avoid: Collection[str] = ()) -> None:
        self._world = world
        self._model = model
        self._chosen: dict[int | str, str] = {}
        self._avoid = frozenset(avoid)
        self._used: set[str] = {*world.texts.constants, *avoid}
        texts = sorted(world.texts.unknown.values(), key=lambda text: (not text.is_string, text.name))
        self._texts = {text.name: self._text(text) for text in texts}

    def situation(self) -> Situation:
        """The request, the facts, the instant."""
        return Situation(self._request(), tuple(self._facts()), self._int(self._world.now))

    def _is(self, truth: Truth) -> bool:
        if isinstance(truth, bool):
            return truth
        return bool(z3.is_true(self._model.eval(truth, model_completion=True)))

    def _int(self, term: Any) -> int:
        return term if isinstance(term, int) else int(self._model.eval(term, model_completion=True).as_long())

    def _text(self, text: Text) -> str:
        """Its string, the constant that its number names, or some text that nobody mentions.

        A number says nothing about constants that the text was never compared with.
        """
        code = self._int(text.code)
        group = code if text.others() else text.name
        if group not in self._chosen:
            named = [one for one in text.known() if self._world.texts.number(one) == code]
            self._chosen[group] = self._string(text) if text.is_string else named[0] if named else self._new(text)
            self._used.add(self._chosen[group])
        return self._chosen[group]

    def _string(self, text: Text) -> str:
        return text_of(self._model.eval(text.string, model_completion=True))

    def _new(self, text: Text) -> str:
        is_service = text.name == "principal.id" and not self._is(self._world.is_user)
        candidates = self._of_region() if text.name == "resource.id" else _names("service" if is_service else text.name)
        taken = {*text.known(), *self._avoid} if text.name == "resource.id" else self._used
        return next(name for name in candidates if name not in taken)

    def _of_region(self) -> Iterator[str]:
        """Ids of the region that the model names."""
        regions = self._world.regions
        region = self._int(regions.region)
        start = regions.example(region)
        if regions.is_exact(region):
            return iter((start,))
        endings = ("1", *(f"x{number}" for number in range(1000))) if start else _names("resource.id")
        return (one for one in (start + ending for ending in endings) if regions.number(one) == region)

    def text(self, value: Any) -> str:
        return self._texts[value.name] if isinstance(value, Text) else value

    def _request(self) -> Request:
        world = self._world
        return Request(
            self._credential(),
            self.text(world.scope),
            ResourceRef(
                self.text(world.type),
                self.text(world.resource_id),
                self._claimed_workspace(),
                None if self._is(world.registered) else self._owner(),
                self._claims(ATTRIBUTE_PREFIX, stored=False),
            ),
            self._address(),
            self._claims(CONTEXT_PREFIX, stored=False),
        )

    def _credential(self) -> Credential:
        outcome = OUTCOMES[self._int(self._world.outcome)]
        others = {"missing": MISSING, "malformed": MALFORMED, "unknown": UNKNOWN}
        return others[outcome] if outcome in others else Credential("verified", self._key_id(), 1)

    def _key_id(self) -> str:
        return self._texts.get("key.id", "witness-key")

    def _workspace(self) -> str:
        return self._texts.get("workspace.id", _WORKSPACE)

    def _principal(self) -> str:
        return self._texts.get("principal.id", "ann" if self._is(self._world.is_user) else "ci")

    def _owner(self) -> str | None:
        return None if self._is(self._world.no_owner) else self._texts.get("resource.owner", "owen")

    def _claimed_workspace(self) -> str | None:
        if self._is(self._world.claims_own):
            return self._workspace()
        return _OTHER_WORKSPACE if self._is(self._world.claims_other) else None

    def _address(self) -> str | None:
        if self._is(self._world.no_address):
            return None
        return "not-an-address" if self._is(self._world.bad_address) else address_text(self._int(self._world.point))

    def _cidrs(self, inside: Truth) -> tuple[str, ...]:
        """A list that holds the request's address, or does not."""
        address = self._address()
        if address is not None and address != "not-an-address" and self._is(inside):
            return (address,)
        return (next(other for other in _OTHER_ADDRESSES if other != address),)

    def _claims(self, prefix: str, *, stored: bool) -> dict[str, Any]:
        """What is said by the store, or by the caller."""
        found: dict[str, Any] = {}
        for name, raw in self._world.raw.items():
            if name.startswith(prefix) and self._is(raw.given) and self._is(raw.from_store) == stored:
                path, _, kind = name.partition(" as ")
                wrong = self._is(raw.wrong)
                value = wrong_value(kind) if wrong else self._value(raw.value, _kind(kind))
                found[path.removeprefix(prefix)] = value
        return found

    def _value(self, value: Any, kind: Type) -> Any:
        """A JSON value."""
        if isinstance(value, Sequence):
            element = kind.element or kind
            return [self._value(slot.value, element) for slot in value.slots for _ in range(self._int(slot.times()))]
        if kind.kind == "string":
            return self.text(value)
        if kind.kind == "bool":
            return self._is(value)
        if kind.kind == "double":
            return self._double(value)
        number = value if isinstance(value, int) else self._int(value)
        return format_rfc3339(number) if kind.kind == "timestamp" else number

    def _double(self, value: Any) -> float:
        bits = self._model.eval(z3.fpToIEEEBV(value), model_completion=True)
        return _double_of(int(z3.simplify(bits).as_long()))

    def names(self, path: str) -> list[str]:
        """The names in a list of distinct names, fillers included."""
        made = self._world.lists_made().get(path)
        if made is None:
            return []
        slots = [slot for slot in made.value.slots if self._is(slot.present)]
        named = [self.text(slot.value) for slot in slots]
        return named + [f"filler-{number}" for number in range(self._int(made.value.slots[-1].times()))]

    def _labels(self) -> dict[str, str]:
        made = self._world.lists_made().get("key.labels")
        if made is None:
            return {}
        entries: Entries = made.value
        found = {key: self.text(value) for key, (there, value) in entries.named.items() if self._is(there)}
        found |= {self.text(slot.value): "" for slot in entries.more if self._is(slot.present)}
        return found | {f"filler-{number}": "" for number in range(self._int(entries.more[-1].times()))}

    def _facts(self) -> Iterator[Fact]:
        world, workspace = self._world, self._workspace()
        yield Workspace(id=workspace)
        yield from self._principal_facts(workspace)
        yield self._key(workspace)
        if self._is(world.registered):
            request = self._request().resource
            attributes = self._claims(ATTRIBUTE_PREFIX, stored=True)
            yield Resource(
                workspace=workspace, type=request.type, id=request.id, owner=self._owner(), attributes=attributes
            )
        if self._is(world.list_on):
            entries = tuple(AllowlistEntry(cidr=cidr) for cidr in self._cidrs(world.listed))
            yield IpAllowlist(workspace=workspace, enabled=True, entries=entries)

    def _principal_facts(self, workspace: str) -> Iterator[Fact]:
        principal = self._principal()
        if not self._is(self._world.is_user):
            yield ServicePrincipal(workspace=workspace, id=principal)
            return
        yield User(workspace=workspace, id=principal, suspended=self._is(self._world.suspended))
        for team in self.names("principal.teams"):
            yield Team(workspace=workspace, id=team)
            yield Membership(workspace=workspace, team=team, user=principal)
        roles = [name for name, bound in self._world.bound.items() if self._is(bound)]
        for number, role in enumerate(roles, start=1):
            yield RoleBinding(workspace=workspace, id=f"binding-{number}", role=role, user=principal)

    def _key(self, workspace: str) -> ApiKey:
        world = self._world
        carried = {name for name, one in world.carried.items() if self._is(one)}
        created = self._int(world.created_at)
        return ApiKey(
            id=self._key_id(),
            workspace=workspace,
            principal_kind="user" if self._is(world.is_user) else "service",
            principal_id=self._principal(),
            scopes=tuple(sorted(carried | set(self.names("key.scopes")))),
            slots=(
                SecretSlot(
                    number=1, pepper_id="p", created_at=created, expires_at=self._end(world.graced, world.grace_ends)
                ),
            ),
            created_at=created,
            not_before=self._end(world.starts, world.not_before),
            expires_at=self._end(world.expires, world.expires_at),
            revoked_at=created if self._is(world.revoked) else None,
            cidrs=self._cidrs(world.in_cidrs) if self._is(world.has_cidrs) else (),
            labels=self._labels(),
        )

    def _end(self, is_there: Truth, instant: Any) -> int | None:
        return self._int(instant) if self._is(is_there) else None


def _double_of(bits: int) -> float:
    """The double of 64 bits."""
    return float(struct.unpack(">d", bits.to_bytes(8, "big"))[0])


def _names(of: str) -> Iterator[str]:
    """Names for a text that conditions tell from none but its equals."""
    yield from _USUAL.get(of, ())
    word = "any-" + of.partition(" as ")[0].rpartition(".")[2].replace(" ", "-").replace("_", "-")
    yield word
    yield from (f"{word}-{number}" for number in range(2, 1_000_000))


def _kind(text: str) -> Type:
    if text.startswith("list("):
        return Type("list", _kind(text[len("list(") : -1]))
    return Type(text)  # type: ignore[arg-type]


def wrong_value(kind: str) -> Any:
    """A JSON value of another type."""
    return "wrong" if kind in ("int", "double", "bool", "timestamp") or kind.startswith("list(") else 0
