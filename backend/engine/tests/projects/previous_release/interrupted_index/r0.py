"""Create the table item"""
from alembic import op

revision = "r0"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE item (id integer PRIMARY KEY, size integer NOT NULL, half integer)")
    op.execute("INSERT INTO item SELECT i, i FROM generate_series(1, 5000) AS i")


def downgrade():
    op.drop_table("item")
