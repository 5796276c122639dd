"""Allow names of more than 80 characters."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column(
        "people", "name", type_=sa.Text, existing_type=sa.String(80), existing_nullable=False
    )


def downgrade() -> None:
    op.alter_column(
        "people",
        "name",
        type_=sa.String(80),
        existing_type=sa.Text,
        existing_nullable=False,
        postgresql_using="left(name, 80)",
    )
