"""Index encounters by time and by person, because their list became slow."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_encounters_account_id_happened_at_id", "encounters", ["account_id", "happened_at", "id"]
    )
    op.create_index("ix_encounter_people_person_id", "encounter_people", ["person_id"])


def downgrade() -> None:
    op.drop_index("ix_encounter_people_person_id", "encounter_people")
    op.drop_index("ix_encounters_account_id_happened_at_id", "encounters")
