"""Facts and requests by the thousand, drawn around what a policy and its statements mention.

Random and at the limits: the ends of networks, the instants at which something begins or ends, texts that are just
right and just not, numbers one off, attributes absent or of a wrong type, other workspaces, keys revoked, expired,
rotated out, resources that nobody registered. Most of a request is good and one or two things about it are not: were
all drawn alike, nearly every request would end at the first check.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, Final

from policy_service.language.ir import Condition, Type
from policy_service.language.policy import Attribute, Policy
from policy_service.model.address import Network, parse_network
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
from policy_service.model.instants import format_rfc3339
from policy_service.model.request import MALFORMED, MISSING, UNKNOWN, Credential, Request, ResourceRef
from tests.property.mentions import ids_of, mentioned, types_of
from tests.property.strategies import DAY, NOW, ODD_IPS, WRONG

HOME: Final = "demo"
AWAY: Final = "acme"
CIDRS: Final = ("10.0.0.0/8", "203.0.113.0/24", "198.51.100.7", "2001:db8::/32", "::/1", "any")
MOMENTS: Final = (NOW - DAY, NOW - 1, NOW, NOW + 1, NOW + DAY)
USERS: Final = ("ada", "bob", "cyd", "dan", "eve", "fay")
"""`eve` is suspended; `fay` has one role at most."""
SERVICES: Final = ("ci", "bot")
KEYS: Final = 60
_ALLOWLISTS: Final = ("missing", "on", "missing", "off", "on", "missing", "empty")
"""The IP allowlist, world after world."""


class Crowd:
    """Draws worlds of facts, and requests that meet them."""

    def __init__(self, policy: Policy, statements: Iterable[Condition], random: Random) -> None:
        self._policy = policy
        self._random = random
        self._mentions = mentioned(policy, statements)
        self._types = types_of(policy)
        self._ids = {type_: ids_of(policy, type_) for type_ in self._types}
        self._fitting = {t: [name for name, scope in policy.scopes.items() if t in scope.on] for t in self._types}
        self._scopes = [*sorted(policy.scopes), "nobody:knows"]
        networks = [one for cidr in CIDRS if isinstance(one := parse_network(cidr), Network)]
        self._addresses = self._mentions.addresses(networks)
        self._instants = [*MOMENTS * 4, *self._mentions.instants()]
        self._teams = [one for one in self._mentions.texts("principal.teams") if one.isascii() and one.isalnum()]
        self._teams += [one for one in self._mentions.texts("principal.teams") if "-" in one]
        self._teams = [*self._teams[:8], "core"]
        self._pools: dict[str, Sequence[Any]] = {}
        self._keys: dict[str, list[ApiKey]] = {}
        self._worlds = 0

    def _one(self, options: Sequence[Any]) -> Any:
        return options[int(self._random.random() * len(options))]

    def _chance(self, of: int) -> bool:
        return self._random.random() * of < 1

    # Facts

    def facts(self) -> list[Fact]:
        """Everything of two workspaces in which the same names are used."""
        self._worlds += 1
        return [fact for workspace in (HOME, AWAY) for fact in self._workspace(workspace)]

    def _workspace(self, workspace: str) -> list[Fact]:
        keys = [self._key(workspace, number) for number in range(KEYS)]
        self._keys[workspace] = keys
        return [
            Workspace(id=workspace),
            *(User(workspace=workspace, id=name, suspended=name == "eve") for name in USERS),
            *(ServicePrincipal(workspace=workspace, id=name) for name in SERVICES),
            *self._groups(workspace),
            *self._bindings(workspace),
            *keys,
            *(self._resource(workspace, type_, one) for type_ in self._types[:-1] for one in self._some_ids(type_)),
            *self._allowlist(workspace),
        ]

    def _groups(self, workspace: str) -> list[Fact]:
        """Teams, each within the next or not, and who is in them."""
        names = list(dict.fromkeys(self._teams))
        parents = [self._one((None, None, *names[number + 1 :])) for number in range(len(names))]
        pairs = {(self._one(names), self._one(USERS[:-1])) for _ in range(6)}
        teams = [Team(workspace=workspace, id=n, parent=p) for n, p in zip(names, parents, strict=True)]
        return [*teams, *(Membership(workspace=workspace, team=team, user=user) for team, user in sorted(pairs))]

    def _bindings(self, workspace: str) -> list[Fact]:
        """The last user has one role and no more; the others have several, here or there."""
        roles = [*sorted(self._policy.roles), "ghost"]
        found: list[Fact] = []
        for number in range(26):
            place = (None, None)
            if number and self._chance(4):
                type_ = self._one(self._types[:-1])
                place = (type_, self._one(self._ids[type_]))
            user = USERS[number % 6 - 1] if number % 6 or not number else None
            team = None if user else self._one(self._teams)
            own: dict[str, Any] = {"role": self._one(roles), "user": user, "team": team}
            where = {"resource_type": place[0], "resource_id": place[1]}
            found.append(RoleBinding(workspace=workspace, id=f"b{number}", **own, **where))
        return found

    def _key(self, workspace: str, number: int) -> ApiKey:
        """The first third with nothing wrong about them; the others in any stage of their life."""
        is_good = number < KEYS // 3
        kind = "user" if number % 3 else "service"
        people = tuple(name for name in USERS if name != "eve") if is_good else (*USERS, "gone")
        services = SERVICES if is_good else (*SERVICES, "gone")
        late = SecretSlot(number=1, pepper_id="p", created_at=0, expires_at=self._one(self._instants))
        scopes = self._scopes[:-1] if self._chance(2) else [one for one in self._scopes if self._chance(2)]
        return ApiKey(
            id=f"{kind}{workspace}{number:03d}",
            workspace=workspace,
            principal_kind=kind,
            principal_id=self._one(people if kind == "user" else services),
            scopes=tuple(sorted(scopes)),
            slots=(late, SecretSlot(number=2, pepper_id="p", created_at=0)),
            created_at=self._one(self._instants),
            not_before=self._flaw(is_good),
            expires_at=self._flaw(is_good),
            revoked_at=self._flaw(is_good),
            cidrs=() if self._flaw(is_good) is None else tuple(sorted({self._one(CIDRS), self._one(CIDRS)})),
            labels=self._labels(),
        )

    def _flaw(self, is_good: bool) -> int | None:
        """An instant at which something begins or ends, or none."""
        return self._one(self._instants) if not is_good and self._chance(4) else None

    def _labels(self) -> dict[str, str]:
        texts = self._mentions.texts("key.labels")
        return {self._one(texts): self._one(texts) for _ in range(self._one((0, 1, 3)))}

    def _some_ids(self, type_: str) -> list[str]:
        return [one for one in self._ids[type_] if self._chance(2)]

    def _resource(self, workspace: str, type_: str, identity: str) -> Resource:
        attributes = self._claims(type_, self._attributes(type_), wrong=self._chance(3))
        return Resource(workspace=workspace, type=type_, id=identity, owner=self._owner(), attributes=attributes)

    def _owner(self) -> str | None:
        return self._one((None, *USERS[:3], "ci"))

    def _allowlist(self, workspace: str) -> list[IpAllowlist]:
        form = _ALLOWLISTS[self._worlds % len(_ALLOWLISTS)]
        if form == "missing":
            return []
        cidrs = () if form == "empty" else sorted({self._one(CIDRS[:-1]) for _ in range(2)})
        entries = tuple(AllowlistEntry(cidr=cidr) for cidr in cidrs)
        return [IpAllowlist(workspace=workspace, enabled=form != "off", entries=entries)]

    # Requests

    def request(self) -> tuple[Request, int, str]:
        """A request, its instant, and the id of the key that is shown, or would be."""
        bad = self._one if self._chance(3) else lambda options: options[0]
        keys = self._keys[HOME]
        key = self._one(keys if self._chance(2) else keys[: KEYS // 3])
        type_ = self._one(self._types) if self._chance(6) else self._one(self._types[:-1])
        fitting = self._fitting[type_]
        scope = self._one(fitting) if fitting and not self._chance(12) else self._one(self._scopes)
        resource = ResourceRef(
            type_,
            self._id(type_),
            bad((HOME, HOME, None, AWAY, "")),
            self._owner(),
            self._claims(type_, self._attributes(type_), wrong=self._chance(8)),
        )
        context = self._claims("context", self._policy.context, wrong=self._chance(8))
        request = Request(self._credential(key), scope, resource, self._address(), context)
        return request, self._one(self._instants), key.id

    def _address(self) -> str | None:
        if self._chance(8):
            return self._one(ODD_IPS) if self._chance(2) else None
        return self._one(self._addresses)

    def _id(self, type_: str) -> str:
        # A rule may compare an id with the workspace's; so may a statement.
        return HOME if self._chance(8) else self._one(self._ids[type_])

    def _credential(self, key: ApiKey) -> Credential:
        if not self._chance(10):
            return Credential("verified", key.id, 2)
        old = [Credential("verified", key.id, number) for number in (1, 1, 1, None, 0, 99)]
        return self._one([*old, MISSING, MALFORMED, UNKNOWN, Credential("unknown", key.id, 1)])

    def _attributes(self, type_: str) -> tuple[Attribute, ...]:
        resource = self._policy.resources.get(type_)
        return resource.attributes if resource else ()

    def _claims(self, owner: str, declared: Iterable[Attribute], *, wrong: bool) -> dict[str, Any]:
        """Values for most of what is declared, and for something that is not."""
        found: dict[str, Any] = {"undeclared": 1} if self._chance(8) else {}
        prefix = "request.context." if owner == "context" else "resource.attr."
        for one in declared:
            if not self._chance(3):
                is_wrong = wrong and self._chance(2)
                found[one.name] = self._wrong(one.type) if is_wrong else self._right(prefix + one.name, one.type)
        return found

    def _wrong(self, kind: Type) -> Any:
        if kind.element is None:
            return self._one(WRONG[kind.kind])
        return self._one((None, "secret", {}, [self._one(WRONG[kind.element.kind])]))

    def _right(self, path: str, kind: Type) -> Any:
        if kind.element is not None:
            return [self._right(path, kind.element) for _ in range(self._one((0, 1, 2, 2, 5)))]
        return self._one(self._pool(path, kind))

    def _pool(self, path: str, kind: Type) -> Sequence[Any]:
        if path not in self._pools:
            mentions = self._mentions
            self._pools[path] = {
                "string": lambda: mentions.texts(path),
                "int": lambda: mentions.ints(path),
                "double": lambda: mentions.doubles(path),
                "bool": lambda: (True, False),
                "timestamp": lambda: [format_rfc3339(one) for one in self._instants],
            }[kind.kind]()
        return self._pools[path]
