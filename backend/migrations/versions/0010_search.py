"""Search that tolerates typing errors, by trigrams."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TEXTS = (("people", "name"), ("people", "notes"), ("encounters", "summary"))


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for table, column in TEXTS:
        op.create_index(
            f"ix_{table}_{column}_trgm",
            table,
            [column],
            postgresql_using="gin",
            postgresql_ops={column: "gin_trgm_ops"},
        )


def downgrade() -> None:
    for table, column in reversed(TEXTS):
        op.drop_index(f"ix_{table}_{column}_trgm", table)
    op.execute("DROP EXTENSION pg_trgm")
