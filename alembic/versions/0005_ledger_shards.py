"""The shards of the ledger that were opened, and what they held when they were closed.

The release before this one cannot read a feed in which a shard was opened: stop it before the first one is.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql


revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    text = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
    op.create_table(
        "ledger_shards",
        sa.Column("id", text, nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("root", text, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_shards"),
    )
