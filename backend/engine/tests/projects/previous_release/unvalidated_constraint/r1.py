"""Demand positive sizes"""
from alembic import op

revision = "r1"
down_revision = "r0"


def upgrade():
    op.create_check_constraint("positive", "item", "size > 0")


def downgrade():
    op.drop_constraint("positive", "item")
