"""A bundle may run in shadow; changes are found by what they did.

The release before this one must still run on the tables that this leaves, and does: until a bundle is put in shadow,
which it would not understand in the feed. To undo it, restore a backup.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql


revision = "0002"
down_revision = "0001"


def text(name: str) -> sa.Column:
    """Text that sorts by code point, whatever the server's locale."""
    return sa.Column(name, sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "shadow_bundles",
        text("slot"),
        text("digest"),
        sa.PrimaryKeyConstraint("slot", name="pk_shadow_bundles"),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["bundles.digest"],
            name="fk_shadow_bundles_digest",
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.CheckConstraint("slot = 'shadow'", name="ck_shadow_bundles_one_slot"),
    )
    op.create_index("ix_changes_action_revision", "changes", ["action", "revision"])
