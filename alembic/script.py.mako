"""${message}

The release before this one must still run on the tables that this leaves. To undo it, restore a backup.
On SQLite a table that is made anew (`batch_alter_table`) loses its triggers: make those of `changes` again.
"""

import sqlalchemy as sa

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
