"""People without tags have an empty list instead of NULL: backfill, then NOT NULL."""

import sqlalchemy as sa
from alembic import op

import liftlock

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("people", "tags", server_default=sa.text("'{}'::text[]"))
    op.execute("UPDATE people SET tags = '{}' WHERE tags IS NULL")
    with liftlock.allow(
        "LL-BREAKS-RUNNING-RELEASE",
        "LL-MIXED-PHASES",
        because="every release that knows the column writes a list; the others get the default",
    ):
        op.alter_column("people", "tags", nullable=False)
    op.create_index("ix_people_tags", "people", ["tags"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_index("ix_people_tags", "people")
    op.alter_column("people", "tags", nullable=True)
    op.alter_column("people", "tags", server_default=None)
