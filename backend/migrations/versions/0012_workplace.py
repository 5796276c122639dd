"""Add `workplace`, which replaces `company`. Step one of two: the old release keeps working."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("people", sa.Column("workplace", sa.Text))
    op.execute("UPDATE people SET workplace = company WHERE company IS NOT NULL")


def downgrade() -> None:
    op.execute("UPDATE people SET company = left(workplace, 120) WHERE workplace IS NOT NULL")
    op.drop_column("people", "workplace")
