"""Indexes to find changes by who, what, where and when.

The release before this one runs on them unchanged: it writes a little slower, and reads as it did.
"""

from alembic import op


revision = "0003"
down_revision = "0002"

FOUND_BY = ("workspace", "actor", "subject", "at")


def upgrade() -> None:
    for column in FOUND_BY:
        op.create_index(f"ix_changes_{column}_revision", "changes", [column, "revision"])
