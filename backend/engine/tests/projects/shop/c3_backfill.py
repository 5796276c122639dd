"""a name for every customer, read and written over the connection"""

from alembic import op
import sqlalchemy as sa

revision = "c3"
down_revision = "b2"


def upgrade():
    op.add_column("customer", sa.Column("name", sa.Text))
    bind = op.get_bind()
    for key, email in bind.execute(sa.text("SELECT id, email FROM customer ORDER BY id")).fetchall():
        bind.execute(sa.text("UPDATE customer SET name = :name WHERE id = :id"), {"name": email.split("@")[0], "id": key})
    op.alter_column("customer", "name", nullable=False)
    op.create_unique_constraint(None, "customer", ["name"])


def downgrade():
    op.drop_column("customer", "name")
