"""The facts and their changes.

The release before this one must still run on the tables that this leaves. To undo it, restore a backup.
"""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql


revision = "0001"
down_revision = None

GENESIS_HASH = "0" * 64
APPEND_ONLY = "changes are append-only"
NEXT_ONLY = "a change must have the next revision"


def text(name: str, *, null: bool = False) -> sa.Column:
    """Text that sorts by code point, whatever the server's locale."""
    return sa.Column(name, sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql"), nullable=null)


def number(name: str, *, null: bool = False) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=null)


def flag(name: str) -> sa.Column:
    return sa.Column(name, sa.Boolean(), nullable=False)


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def refers(table: str, columns: list[str], target: str, target_columns: list[str]) -> sa.ForeignKeyConstraint:
    """A reference that is checked at commit: the effects of one change come in any order."""
    return sa.ForeignKeyConstraint(
        columns,
        [f"{target}.{column}" for column in target_columns],
        name=f"fk_{table}_{'_'.join(columns)}",
        deferrable=True,
        initially="DEFERRED",
    )


def in_workspace(table: str) -> sa.ForeignKeyConstraint:
    return refers(table, ["workspace"], "workspaces", ["id"])


def check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=f"ck_{table}_{name}")


def index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def upgrade() -> None:
    make_people()
    make_access()
    make_bundles()
    make_feed()
    statements = SQLITE_GUARDS if op.get_context().dialect.name == "sqlite" else POSTGRES_GUARDS
    run(statements)


def make_people() -> None:
    op.create_table("workspaces", text("id"), text("name"), number("created_at"), key("workspaces", "id"))
    op.create_table(
        "users",
        text("workspace"),
        text("id"),
        text("name"),
        flag("suspended"),
        key("users", "workspace", "id"),
        in_workspace("users"),
    )
    op.create_table(
        "service_principals",
        text("workspace"),
        text("id"),
        text("name"),
        key("service_principals", "workspace", "id"),
        in_workspace("service_principals"),
    )
    op.create_table(
        "teams",
        text("workspace"),
        text("id"),
        text("name"),
        text("parent", null=True),
        key("teams", "workspace", "id"),
        in_workspace("teams"),
        refers("teams", ["workspace", "parent"], "teams", ["workspace", "id"]),
    )
    index("teams", "workspace", "parent")
    op.create_table(
        "memberships",
        text("workspace"),
        text("team"),
        text("user"),
        key("memberships", "workspace", "team", "user"),
        refers("memberships", ["workspace", "team"], "teams", ["workspace", "id"]),
        refers("memberships", ["workspace", "user"], "users", ["workspace", "id"]),
    )
    index("memberships", "workspace", "user")


def make_access() -> None:
    op.create_table(
        "resources",
        text("workspace"),
        text("type"),
        text("id"),
        text("owner", null=True),
        text("attributes"),
        key("resources", "workspace", "type", "id"),
        in_workspace("resources"),
    )
    index("resources", "workspace", "owner")
    make_role_bindings()
    make_api_keys()
    op.create_table(
        "ip_allowlists",
        text("workspace"),
        flag("enabled"),
        text("entries"),
        key("ip_allowlists", "workspace"),
        in_workspace("ip_allowlists"),
    )


def make_role_bindings() -> None:
    table = "role_bindings"
    op.create_table(
        table,
        text("workspace"),
        text("id"),
        text("role"),
        text("team", null=True),
        text("user", null=True),
        text("resource_type", null=True),
        text("resource_id", null=True),
        key(table, "workspace", "id"),
        in_workspace(table),
        refers(table, ["workspace", "team"], "teams", ["workspace", "id"]),
        refers(table, ["workspace", "user"], "users", ["workspace", "id"]),
        refers(table, ["workspace", "resource_type", "resource_id"], "resources", ["workspace", "type", "id"]),
        check(table, "one_grantee", '(team IS NULL) <> ("user" IS NULL)'),
        check(table, "whole_resource", "(resource_type IS NULL) = (resource_id IS NULL)"),
    )
    index(table, "workspace", "team")
    index(table, "workspace", "user")
    index(table, "workspace", "resource_type", "resource_id")


def make_api_keys() -> None:
    table = "api_keys"
    op.create_table(
        table,
        text("id"),
        text("workspace"),
        text("principal_kind"),
        text("principal_id"),
        text("scopes"),
        text("slots"),
        number("created_at"),
        text("not_before", null=True),
        text("expires_at", null=True),
        number("revoked_at", null=True),
        text("revoke_reason", null=True),
        text("cidrs"),
        text("labels"),
        key(table, "id"),
        in_workspace(table),
        check(table, "principal_kind", "principal_kind IN ('user', 'service')"),
    )
    index(table, "workspace", "id")
    index(table, "workspace", "principal_kind", "principal_id")


def make_bundles() -> None:
    op.create_table("bundle_files", text("digest"), text("content_sha256"), text("files"), key("bundle_files", "digest"))
    op.create_table(
        "bundles",
        text("digest"),
        text("content_sha256"),
        number("published_at"),
        key("bundles", "digest"),
        refers("bundles", ["digest"], "bundle_files", ["digest"]),
    )
    op.create_table(
        "active_bundles",
        text("slot"),
        text("digest"),
        key("active_bundles", "slot"),
        refers("active_bundles", ["digest"], "bundles", ["digest"]),
        check("active_bundles", "one_slot", "slot = 'active'"),
    )


def make_feed() -> None:
    op.create_table(
        "changes",
        number("revision"),
        number("at"),
        text("actor"),
        text("action"),
        text("workspace", null=True),
        text("subject"),
        text("effects"),
        text("note"),
        text("sealed", null=True),
        text("sealed_sha256", null=True),
        text("previous_hash"),
        text("hash"),
        key("changes", "revision"),
    )
    counter = op.create_table(
        "counter",
        number("id"),
        number("revision"),
        text("hash"),
        key("counter", "id"),
        check("counter", "one_row", "id = 1"),
    )
    op.bulk_insert(counter, [{"id": 1, "revision": 0, "hash": GENESIS_HASH}])


def run(statements: Iterable[str]) -> None:
    for statement in statements:
        op.execute(sa.text(statement))


# The feed guards itself: rows are neither changed nor taken out, and none is put in but the next.
SQLITE_GUARDS = (
    f"""CREATE TRIGGER changes_no_update BEFORE UPDATE ON changes
        BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}'); END""",
    f"""CREATE TRIGGER changes_no_delete BEFORE DELETE ON changes
        BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}'); END""",
    f"""CREATE TRIGGER changes_next_only BEFORE INSERT ON changes
        WHEN NEW.revision <> (SELECT coalesce(max(revision), 0) + 1 FROM changes)
        BEGIN SELECT RAISE(ABORT, '{NEXT_ONLY}'); END""",
)
POSTGRES_GUARDS = (
    f"""CREATE FUNCTION changes_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '{APPEND_ONLY}'; END $$""",
    f"""CREATE FUNCTION changes_next_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.revision <> (SELECT coalesce(max(revision), 0) + 1 FROM changes) THEN
                RAISE EXCEPTION '{NEXT_ONLY}';
            END IF;
            RETURN NEW;
        END $$""",
    """CREATE TRIGGER changes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON changes
        FOR EACH STATEMENT EXECUTE FUNCTION changes_append_only()""",
    """CREATE TRIGGER changes_next_only BEFORE INSERT ON changes
        FOR EACH ROW EXECUTE FUNCTION changes_next_only()""",
)
