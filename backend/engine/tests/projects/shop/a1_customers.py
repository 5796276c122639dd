"""customers and their mood"""

from alembic import op
import sqlalchemy as sa

revision = "a1"
down_revision = None


def upgrade():
    op.create_table(
        "customer",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("email", sa.String(100), nullable=False, unique=True),
        sa.Column("mood", sa.Enum("happy", "sad", name="mood")),
        sa.Column("note", sa.Text, comment="it's 100% free: text"),
    )
    op.create_index("ix_customer_note", "customer", [sa.text("lower(note)")])


def downgrade():
    op.drop_table("customer")
    op.execute("DROP TYPE mood")
