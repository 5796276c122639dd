"""orders"""

from alembic import op
import sqlalchemy as sa

revision = "b2"
down_revision = "a1"


def upgrade():
    op.create_table(
        "order",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customer.id", name="order_customer"), nullable=False),
        sa.Column("total", sa.Numeric(10, 2), server_default="0", nullable=False),
    )
    op.bulk_insert(
        sa.table("customer", sa.column("email"), sa.column("mood")),
        [{"email": "a@example.com", "mood": "happy"}, {"email": "b:c%d@example.com", "mood": "sad"}],
    )
    with op.batch_alter_table("order") as batch:
        batch.add_column(sa.Column("placed_at", sa.DateTime, server_default=sa.func.now()))
        batch.create_check_constraint("total_positive", "total >= 0")


def downgrade():
    op.drop_table("order")
    op.execute("DELETE FROM customer")
