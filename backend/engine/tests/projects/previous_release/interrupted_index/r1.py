"""Index the table item"""
from alembic import op

revision = "r1"
down_revision = "r0"


def upgrade():
    op.create_index("ix_size", "item", ["size"])


def downgrade():
    op.drop_index("ix_size")
