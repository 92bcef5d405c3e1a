"""The facts a decision stands on: one struct per entity, as stored, as changed and as folded.

Every fact has an entity name and a key (see `ENTITIES`); the pair names it in tables, changes and snapshot alike. Times
are integer nanoseconds UTC. Secret verifiers are no facts: a decision never needs them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

PrincipalKind = Literal["user", "service"]
Key = tuple[str, ...]


class Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all facts. `entity` is its name; `key_fields` are the fields that make its key, in order."""

    entity: ClassVar[str] = ""
    key_fields: ClassVar[tuple[str, ...]] = ()

    def key(self) -> Key:
        """The identity of this fact within its entity."""
        return tuple(getattr(self, name) for name in self.key_fields)


class Workspace(Fact, frozen=True, kw_only=True):
    """The tenant. Keys, users, teams and resources belong to exactly one."""

    entity: ClassVar[str] = "workspace"
    key_fields: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    name: str = ""
    created_at: int = 0


class User(Fact, frozen=True, kw_only=True):
    """A person. Suspended: every key of theirs is refused until an admin lifts it."""

    entity: ClassVar[str] = "user"
    key_fields: ClassVar[tuple[str, ...]] = ("workspace", "id")
    workspace: str
    id: str
    name: str = ""
    suspended: bool = False


class ServicePrincipal(Fact, frozen=True, kw_only=True):
    """A program. It has no memberships or roles; its keys have just their explicit scopes."""

    entity: ClassVar[str] = "service_principal"
    key_fields: ClassVar[tuple[str, ...]] = ("workspace", "id")
    workspace: str
    id: str
    name: str = ""


class Team(Fact, frozen=True, kw_only=True):
    """A group of users. A member of a child team has the bindings of its parents as well."""

    entity: ClassVar[str] = "team"
    key_fields: ClassVar[tuple[str, ...]] = ("workspace", "id")
    workspace: str
    id: str
    name: str = ""
    parent: str | None = None


class Membership(Fact, frozen=True, kw_only=True):
    """A user's direct membership of one team."""

    entity: ClassVar[str] = "membership"
    key_fields: ClassVar[tuple[str, ...]] = ("workspace", "team", "user")
    workspace: str
    team: str
    user: str


class RoleBinding(Fact, frozen=True, kw_only=True):
    """Gives `role` to exactly one of `team` and `user`, over the workspace or over one registered resource."""

    entity: ClassVar[str] = "role_binding"
    key_fields: ClassVar[tuple[str, ...]] = ("workspace", "id")
    workspace: str
    id: str
    role: str
    team: str | None = None
    user: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None


class SecretSlot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One secret of a key. `expires_at`: the end of its grace period after a rotation; None while it is current."""

    number: int
    pepper_id: str
    created_at: int
    expires_at: int | None = None


class ApiKey(Fact, frozen=True, kw_only=True):
    """A credential. `scopes` as issued, sorted; `slots` by number, the last one is current."""

    entity: ClassVar[str] = "api_key"
    key_fields: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    workspace: str
    principal_kind: PrincipalKind
    principal_id: str
    scopes: tuple[str, ...]
    slots: tuple[SecretSlot, ...]
    created_at: int
    not_before: int | None = None
    expires_at: int | None = None
    revoked_at: int | None = None
    revoke_reason: str | None = None
    cidrs: tuple[str, ...] = ()
    labels: dict[str, str] = {}


class AllowlistEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One CIDR (canonical, or the word `any`) with a label for people."""

    cidr: str
    label: str = ""


class IpAllowlist(Fact, frozen=True, kw_only=True):
    """The workspace's source addresses. Enabled and empty denies all."""

    entity: ClassVar[str] = "ip_allowlist"
    key_fields: ClassVar[tuple[str, ...]] = ("workspace",)
    workspace: str
    enabled: bool = False
    entries: tuple[AllowlistEntry, ...] = ()


class Resource(Fact, frozen=True, kw_only=True):
    """A registered resource. `attributes` are JSON values, checked against the policy's types when read."""

    entity: ClassVar[str] = "resource"
    key_fields: ClassVar[tuple[str, ...]] = ("workspace", "type", "id")
    workspace: str
    type: str
    id: str
    owner: str | None = None
    attributes: dict[str, Any] = {}


class Bundle(Fact, frozen=True, kw_only=True):
    """A published set of policy files. `digest` names its meaning, `content_sha256` its text."""

    entity: ClassVar[str] = "bundle"
    key_fields: ClassVar[tuple[str, ...]] = ("digest",)
    digest: str
    content_sha256: str
    published_at: int = 0


class ActiveBundle(Fact, frozen=True, kw_only=True):
    """Which bundle decides. There is one such fact; its key is `active`."""

    entity: ClassVar[str] = "active_bundle"
    key_fields: ClassVar[tuple[str, ...]] = ("slot",)
    digest: str
    slot: Literal["active"] = "active"


class ShadowBundle(Fact, frozen=True, kw_only=True):
    """Which bundle is decided beside the active one, to be compared and never answered. At most one."""

    entity: ClassVar[str] = "shadow_bundle"
    key_fields: ClassVar[tuple[str, ...]] = ("slot",)
    digest: str
    slot: Literal["shadow"] = "shadow"


class LedgerShard(Fact, frozen=True, kw_only=True):
    """One process's part of the ledger, from when it was opened. `size` and `root` once it is closed.

    Args:
        size: how many records it holds.
        root: their RFC 6962 Merkle tree hash, 64 hexadecimal digits.
    """

    entity: ClassVar[str] = "ledger_shard"
    key_fields: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    opened_at: int
    closed_at: int | None = None
    size: int | None = None
    root: str | None = None


ENTITIES: dict[str, type[Fact]] = {
    fact.entity: fact
    for fact in (
        Workspace,
        User,
        ServicePrincipal,
        Team,
        Membership,
        RoleBinding,
        ApiKey,
        IpAllowlist,
        Resource,
        Bundle,
        ActiveBundle,
        ShadowBundle,
        LedgerShard,
    )
}
