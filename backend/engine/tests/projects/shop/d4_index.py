"""an index, concurrently"""

from alembic import op

revision = "d4"
down_revision = "c3"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("ix_order_placed_at", "order", ["placed_at"], postgresql_concurrently=True)


def downgrade():
    op.drop_index("ix_order_placed_at", "order")
