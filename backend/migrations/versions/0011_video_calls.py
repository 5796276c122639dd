"""Add video calls as a kind of encounter."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TYPE encounter_kind ADD VALUE IF NOT EXISTS 'video'")


def downgrade() -> None:
    # PostgreSQL can't drop a value of an enum, so the type is created again without it.
    op.execute("UPDATE encounters SET kind = 'call' WHERE kind = 'video'")
    op.execute("ALTER TABLE encounters ALTER COLUMN kind DROP DEFAULT")
    op.execute("ALTER TYPE encounter_kind RENAME TO encounter_kind_old")
    op.execute("CREATE TYPE encounter_kind AS ENUM ('in_person', 'call', 'message')")
    op.execute(
        "ALTER TABLE encounters ALTER COLUMN kind"
        " TYPE encounter_kind USING kind::text::encounter_kind"
    )
    op.execute("ALTER TABLE encounters ALTER COLUMN kind SET DEFAULT 'in_person'")
    op.execute("DROP TYPE encounter_kind_old")
