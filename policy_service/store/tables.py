"""The tables: one per entity of `model.facts`, and those of the feed.

A column is named as the field it holds. Secret verifiers have no table: they travel in `changes.sealed`, which is where
followers need them, and nothing in the database reads them.

To add an entity: its table, its line in TABLES, a migration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, MetaData, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from policy_service.model import facts
from policy_service.store.columns import Document, Flag, Name, Number, Part, Plain

_NAMING: Final = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables; constraints are named the same on both databases."""

    metadata = MetaData(naming_convention=_NAMING)


def _reference(columns: list[str], target: str, key: list[str]) -> ForeignKeyConstraint:
    """A reference that is checked at commit: the effects of one change come in any order."""
    return ForeignKeyConstraint(
        columns, [f"{target}.{column}" for column in key], deferrable=True, initially="DEFERRED"
    )


def _of_workspace() -> ForeignKeyConstraint:
    return _reference(["workspace"], "workspaces", ["id"])


class Workspaces(Base):
    """Rows of `facts.Workspace`."""

    __tablename__ = "workspaces"
    id: Mapped[Part]
    name: Mapped[Name]
    created_at: Mapped[Number]


class Users(Base):
    """Rows of `facts.User`."""

    __tablename__ = "users"
    __table_args__ = (_of_workspace(),)
    workspace: Mapped[Part]
    id: Mapped[Part]
    name: Mapped[Name]
    suspended: Mapped[Flag]


class ServicePrincipals(Base):
    """Rows of `facts.ServicePrincipal`."""

    __tablename__ = "service_principals"
    __table_args__ = (_of_workspace(),)
    workspace: Mapped[Part]
    id: Mapped[Part]
    name: Mapped[Name]


class Teams(Base):
    """Rows of `facts.Team`."""

    __tablename__ = "teams"
    __table_args__ = (
        _of_workspace(),
        _reference(["workspace", "parent"], "teams", ["workspace", "id"]),
        Index(None, "workspace", "parent"),
    )
    workspace: Mapped[Part]
    id: Mapped[Part]
    name: Mapped[Name]
    parent: Mapped[Name | None]


class Memberships(Base):
    """Rows of `facts.Membership`."""

    __tablename__ = "memberships"
    __table_args__ = (
        _reference(["workspace", "team"], "teams", ["workspace", "id"]),
        _reference(["workspace", "user"], "users", ["workspace", "id"]),
        Index(None, "workspace", "user"),
    )
    workspace: Mapped[Part]
    team: Mapped[Part]
    user: Mapped[Part]


class RoleBindings(Base):
    """Rows of `facts.RoleBinding`."""

    __tablename__ = "role_bindings"
    __table_args__ = (
        _of_workspace(),
        _reference(["workspace", "team"], "teams", ["workspace", "id"]),
        _reference(["workspace", "user"], "users", ["workspace", "id"]),
        _reference(["workspace", "resource_type", "resource_id"], "resources", ["workspace", "type", "id"]),
        CheckConstraint('(team IS NULL) <> ("user" IS NULL)', name="one_grantee"),
        CheckConstraint("(resource_type IS NULL) = (resource_id IS NULL)", name="whole_resource"),
        Index(None, "workspace", "team"),
        Index(None, "workspace", "user"),
        Index(None, "workspace", "resource_type", "resource_id"),
    )
    workspace: Mapped[Part]
    id: Mapped[Part]
    role: Mapped[Name]
    team: Mapped[Name | None]
    user: Mapped[Name | None]
    resource_type: Mapped[Name | None]
    resource_id: Mapped[Name | None]


class ApiKeys(Base):
    """Rows of `facts.ApiKey`. The principal is no reference: the revoked keys of a deleted principal stay."""

    __tablename__ = "api_keys"
    __table_args__ = (
        _of_workspace(),
        CheckConstraint("principal_kind IN ('user', 'service')", name="principal_kind"),
        Index(None, "workspace", "id"),
        Index(None, "workspace", "principal_kind", "principal_id"),
    )
    id: Mapped[Part]
    workspace: Mapped[Name]
    principal_kind: Mapped[Name]
    principal_id: Mapped[Name]
    scopes: Mapped[Plain]
    slots: Mapped[Plain]
    created_at: Mapped[Number]
    # Nanoseconds of the year 9999 are past 64 bits: these two may be any instant, and are kept as exact JSON numbers.
    not_before: Mapped[Plain | None]
    expires_at: Mapped[Plain | None]
    revoked_at: Mapped[Number | None]
    revoke_reason: Mapped[Name | None]
    cidrs: Mapped[Plain]
    labels: Mapped[Plain]


class IpAllowlists(Base):
    """Rows of `facts.IpAllowlist`."""

    __tablename__ = "ip_allowlists"
    __table_args__ = (_of_workspace(),)
    workspace: Mapped[Part]
    enabled: Mapped[Flag]
    entries: Mapped[Plain]


class Resources(Base):
    """Rows of `facts.Resource`."""

    __tablename__ = "resources"
    __table_args__ = (_of_workspace(), Index(None, "workspace", "owner"))
    workspace: Mapped[Part]
    type: Mapped[Part]
    id: Mapped[Part]
    owner: Mapped[Name | None]
    attributes: Mapped[Document]


class Bundles(Base):
    """Rows of `facts.Bundle`: a bundle is a fact only when its text is there."""

    __tablename__ = "bundles"
    __table_args__ = (_reference(["digest"], "bundle_files", ["digest"]),)
    digest: Mapped[Part]
    content_sha256: Mapped[Name]
    published_at: Mapped[Number]


class ActiveBundles(Base):
    """Rows of `facts.ActiveBundle`: at most one."""

    __tablename__ = "active_bundles"
    __table_args__ = (
        _reference(["digest"], "bundles", ["digest"]),
        CheckConstraint("slot = 'active'", name="one_slot"),
    )
    slot: Mapped[Part]
    digest: Mapped[Name]


class ShadowBundles(Base):
    """Rows of `facts.ShadowBundle`: at most one."""

    __tablename__ = "shadow_bundles"
    __table_args__ = (
        _reference(["digest"], "bundles", ["digest"]),
        CheckConstraint("slot = 'shadow'", name="one_slot"),
    )
    slot: Mapped[Part]
    digest: Mapped[Name]


class LedgerShards(Base):
    """Rows of `facts.LedgerShard`."""

    __tablename__ = "ledger_shards"
    id: Mapped[Part]
    opened_at: Mapped[Number]
    closed_at: Mapped[Number | None]
    size: Mapped[Number | None]
    root: Mapped[Name | None]


class BundleFiles(Base):
    """The text of bundles: a JSON object of path and text, so that one row is one bundle, whole or not there."""

    __tablename__ = "bundle_files"
    digest: Mapped[Part]
    content_sha256: Mapped[Name]
    files: Mapped[Name]


class Changes(Base):
    """The feed. Triggers refuse everything but an insert of the next revision (see the migration)."""

    __tablename__ = "changes"
    __table_args__ = tuple(Index(None, name, "revision") for name in ("workspace", "actor", "action", "subject", "at"))
    revision: Mapped[Number] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[Number]
    actor: Mapped[Name]
    action: Mapped[Name]
    workspace: Mapped[Name | None]
    subject: Mapped[Name]
    effects: Mapped[Document]
    note: Mapped[Name]
    sealed: Mapped[Name | None]
    sealed_sha256: Mapped[Name | None]
    previous_hash: Mapped[Name]
    hash: Mapped[Name]


class Counter(Base):
    """One row: the last revision and its hash. Whoever holds it is the one writer (docs/decisions/0001)."""

    __tablename__ = "counter"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)
    id: Mapped[Number] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[Number]
    hash: Mapped[Name]


class KeyUses(Base):
    """When a key was last used. No fact: nothing refers to it, no change tells it, and it may be lost."""

    __tablename__ = "key_uses"
    key_id: Mapped[Part]
    last_used_at: Mapped[Number]


def _table(model: type[Base]) -> Table:
    table = model.__table__
    assert isinstance(table, Table)
    return table


TABLES: Final[Mapping[type[facts.Fact], Table]] = {
    facts.Workspace: _table(Workspaces),
    facts.User: _table(Users),
    facts.ServicePrincipal: _table(ServicePrincipals),
    facts.Team: _table(Teams),
    facts.Membership: _table(Memberships),
    facts.RoleBinding: _table(RoleBindings),
    facts.ApiKey: _table(ApiKeys),
    facts.IpAllowlist: _table(IpAllowlists),
    facts.Resource: _table(Resources),
    facts.Bundle: _table(Bundles),
    facts.ActiveBundle: _table(ActiveBundles),
    facts.ShadowBundle: _table(ShadowBundles),
    facts.LedgerShard: _table(LedgerShards),
}
"""Where each entity is kept."""

BUNDLE_FILES: Final = _table(BundleFiles)
CHANGES: Final = _table(Changes)
COUNTER: Final = _table(Counter)
KEY_USES: Final = _table(KeyUses)
