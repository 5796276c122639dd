"""Reminders refer to existing people, and repeat at most every ten years."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_reminders_person_id", "reminders", ["person_id"])
    op.create_foreign_key(None, "reminders", "people", ["person_id"], ["id"], ondelete="CASCADE")
    op.create_check_constraint("every_days_range", "reminders", "every_days BETWEEN 1 AND 3660")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_reminders_every_days_range"), "reminders")
    op.drop_constraint(op.f("fk_reminders_person_id_people"), "reminders")
    op.drop_index("ix_reminders_person_id", "reminders")
