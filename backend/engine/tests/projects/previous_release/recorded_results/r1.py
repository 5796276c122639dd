"""Write a row that depends on a query, build an index, and fail where no size is negative"""
import sqlalchemy as sa
from alembic import op

revision = "r1"
down_revision = "r0"


def upgrade():
    bind = op.get_bind()
    rows = bind.execute(sa.text("SELECT count(*) FROM item")).scalar()
    bind.execute(sa.text("INSERT INTO item VALUES (:key, :size)"), {"key": -rows, "size": rows})
    op.create_index("ix_size", "item", ["size"])
    op.execute("SELECT 1 / (SELECT count(*) FROM item WHERE size < 0)")


def downgrade():
    op.drop_index("ix_size")
    op.execute("DELETE FROM item WHERE id < 0")
