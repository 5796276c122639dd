"""Fill the column half, without a condition: what is done twice is seen"""
from alembic import op

revision = "r1"
down_revision = "r0"


def upgrade():
    op.backfill("item", set="half = coalesce(half, 0) + size")


def downgrade():
    pass
